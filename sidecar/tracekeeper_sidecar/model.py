"""The values that stages hand to each other. All are frozen; none holds a span as an object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, NamedTuple

NOTHING: Final[Mapping[str, int]] = MappingProxyType({})
"""No counts by any name."""
LONGEST_DUMP: Final = 86400.0
"""Seconds that one dump may take."""


@dataclass(frozen=True, slots=True)
class Pod:
    """The pod that this sidecar is in, as far as it is known."""

    namespace: str
    name: str
    uid: str = ""


NO_POD: Final = Pod("", "")


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place between two frames of the log; orders as the log does."""

    segment: int
    """Number of the segment, 64 bits, never reused."""
    offset: int
    """Byte offset in the segment's file at which the next frame starts."""
    seq: int
    """Spans appended before this place since the log began."""


class Frame(NamedTuple):
    """One append inside the body of a batch: itself a serialised ExportTraceServiceRequest."""

    seq: int
    """Spans appended to the log before it."""
    spans: int
    """By the log's count: those in the body, and what the last two fields say."""
    offset: int
    """Where it starts in the body, in bytes."""
    length: int
    """Bytes."""
    sampled_out: Mapping[str, int] = NOTHING
    """Spans that sampling left out, by rule."""
    lost: int = 0
    """Spans that damage had taken before sampling came by."""

    @property
    def kept(self) -> int:
        """Spans in the body."""
        return self.spans - sum(self.sampled_out.values()) - self.lost


@dataclass(frozen=True, slots=True)
class Batch:
    """A run of whole frames, as read from the log."""

    body: bytes
    """The frames' payloads one behind the other; by protobuf's merge rule this is one ExportTraceServiceRequest."""
    spans: int
    """Spans in `body`."""
    size: int
    """Bytes in `body`."""
    begin: Position
    end: Position
    """Where the cursor stands once this batch is settled."""
    lost: int = 0
    """Spans between `begin` and `end` that damage on disk has taken.

    end.seq - begin.seq == spans + lost + sum(sampled_out.values())
    """
    oldest: float = 0.0
    """Unix time at which the first frame was appended; 0 for an empty batch."""
    newest: float = 0.0
    """Unix time at which the last frame was appended; 0 for an empty batch."""
    critical: bool = False
    """Whether a frame holds a span that must not wait for others."""
    frames: tuple[Frame, ...] = ()
    """What `body` is made of, in order; empty unless the reader was asked for it."""
    sampled_out: Mapping[str, int] = field(default_factory=lambda: NOTHING)
    """Spans between `begin` and `end` that sampling left out, by rule."""


@dataclass(frozen=True, slots=True)
class DumpAsked:
    """What a dump is to send of what sampling has left out. Raises ValueError, in words for people."""

    since: float
    """Seconds before now."""
    where: str
    """A condition on spans; empty takes all of them."""
    to: str
    """The backend's name."""
    forgotten: bool
    """Whether spans are sent, too, of whose traces it is not known what was decided."""
    timeout: float
    """Seconds after which it ends."""

    def __post_init__(self) -> None:
        if not self.to:
            raise ValueError("to: the name of the backend to send to is missing")
        if not (0 < self.since < float("inf") and 0 < self.timeout <= LONGEST_DUMP):
            raise ValueError(f"since and timeout: more than no seconds; timeout at most {LONGEST_DUMP:g}")
