"""The values that stages hand to each other. All are frozen; none holds a span as an object."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place between two frames of the log; orders as the log does."""

    segment: int
    """Number of the segment, 64 bits, never reused."""
    offset: int
    """Byte offset in the segment's file at which the next frame starts."""
    seq: int
    """Spans appended before this place since the log began."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A run of whole frames, as read from the log.

    Each payload is one serialised ExportTraceServiceRequest; by protobuf's merge rule their concatenation is one too.
    """

    payloads: tuple[bytes, ...]
    spans: int
    """Spans in `payloads`."""
    size: int
    """Bytes in `payloads`."""
    begin: Position
    end: Position
    """Where the cursor stands once this batch is settled."""
    lost: int = 0
    """Spans between `begin` and `end` that damage on disk has taken; end.seq - begin.seq == spans + lost."""
    oldest: float = 0.0
    """Unix time at which the first frame was appended; 0 for an empty batch."""
