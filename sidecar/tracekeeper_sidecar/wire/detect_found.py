"""What detectors go by, and what they find; see `detect`."""

from __future__ import annotations

from typing import NamedTuple

LOOP, CONTEXT, TOKENS, FAILURES, PING_PONG, UNDECLARED, FAN_OUT, MODEL, CUT_OFF = range(9)
"""Detectors, by their numbers."""
RING, GAVE_UP = 1, 2
"""Forms of what is found: hand-offs went round between three agents; the trace has ended after failures."""
MOST_FOUND = 2_048
"""Findings, and links, that are written in one request: each takes some 30 µs."""
NEVER = 1 << 62
"""As a limit: the detector is off."""


class Limits(NamedTuple):
    """From which number on each detector reports; NEVER where it is off."""

    repeats: int
    repeats_unknown: int
    context: int
    context_thousandths: int
    context_calls: int
    tokens: int
    tokens_per_minute: int
    failures: int
    failed_share: int
    """In thousandths."""
    failed_calls: int
    ping_pong: int
    undeclared: int
    fan_out: int
    model: int
    cut_off: int
    short_answer: int
    failures_at_end: int


class Found(NamedTuple):
    """One thing that a detector has seen."""

    begin: int
    """Where the span is whose coming has completed it."""
    end: int
    ended: int
    """When it has ended: Unix nanoseconds."""
    detector: int
    seen: int
    limit: int
    agent: str
    subject: str
    """A tool, a model, or an agent; empty where there is none to name."""
    other: str
    """The other agent, or the other model."""
    form: int
    """0, or one of those above."""
    nth: int
    """Which of the request's spans it is, from 1 on."""


class Link(NamedTuple):
    """A span whose conversation has had another trace before."""

    begin: int
    end: int
    trace: bytes
    span: bytes
    nth: int
