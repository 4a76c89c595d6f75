"""What the table of open traces tells of one of them."""

from __future__ import annotations

from typing import NamedTuple


class Summary(NamedTuple):
    """What is known of a trace, for people and tests."""

    trace_id: bytes
    randomness: int
    start: int
    """Unix time in nanoseconds of its earliest span that says when it started, or 0. So is `end`."""
    end: int
    first_seen: int
    """Unix time in milliseconds."""
    spans: int
    errors: int
    span_tests: int
    """A bit for each that held for some span."""
    root_tests: int
    rank: int
    """Of the root: 0 there is none, 1 a local one (its parent is in another process), 2 it has no parent."""
    root_status: int
    """By its number in OTLP."""
    critical: bool
    key: int
    verdict: int | None
    """None while it is open."""
