"""What sampling here and sampling in other pods tell each other, and where the link between them meets sampling.

The link (`control`) carries these; sampling (`decide`) makes and takes them. Neither imports the other. Everything is
called on the event loop.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

TRACE_ID = 16
"""Bytes of a trace's id."""


@dataclass(frozen=True, slots=True)
class KeptBatch:
    """Traces that one sidecar keeps for the same reason, although others may not."""

    rule: str
    """Name of the rule that has kept them, or `default`, `overload`, `max-spans`."""
    threshold: int
    """0 to 2^56, as in OpenTelemetry's `th`: what their spans say, wherever they are."""
    erase: bool
    """They were not kept by probability: their spans say no `th`."""
    decided: float
    """Unix time in seconds at which the first of them was decided on."""
    ids: bytes
    """16 bytes for each trace, at least one."""

    @property
    def traces(self) -> int:
        """Traces in it."""
        return len(self.ids) // TRACE_ID


@dataclass(frozen=True, slots=True)
class Report:
    """What a sidecar sees of the traces that ask for a part of the target."""

    keys: Mapping[str, float]
    """Traces a second by key, as metrics write keys; the empty name is all traces beyond those with a key of their own.
    At most 501. Where an earlier sampler took some out, as many as they stand for by their `th`."""
    lowest: float
    """The lowest probability at which a trace of any key is kept here now, 0 to 1."""
    coming: Mapping[str, float] = field(default_factory=dict)
    """Traces a second that there are, by key; one that is missing has as many as `keys` says."""


@dataclass(frozen=True, slots=True)
class LinkHealth:
    """One moment of the link."""

    endpoint: str = ""
    """Empty while there is nothing to attach to."""
    attached: bool = False
    seconds: float = 0.0
    """For which it has been attached, or not been."""
    problem: str = ""
    """Why it is not attached; empty while it is, and before the first attempt has ended."""
    attempts: Counter[str] = field(default_factory=Counter)
    """To attach, by how they ended: attached, or why not. One that ended later counts as attached all the same."""
    ends: Counter[str] = field(default_factory=Counter)
    """Of attachments, by their cause."""
    sent: int = 0
    received: int = 0
    """Bytes of messages."""


class Hub(Protocol):
    """Where what the link brings goes, and where it takes what it carries: sampling's side of it."""

    def report(self) -> Report | None:
        """What to report now; None where there is no target to share."""

    def kept(self) -> Sequence[KeptBatch]:
        """Take what is to be told; it is told at most once. Bounded by the hub, which drops the rest and counts it."""

    def call_when_kept(self, wake: Callable[[], None]) -> None:
        """From now on call `wake`, and nobody else, whenever something is to be told and nothing was before."""

    def on_share(self, share: float, sidecars: int, floor: float) -> None:
        """This sidecar may keep `share` traces a second, as one of `sidecars` (≥ 1); none of them goes below the
        probability `floor` (0 to 1)."""

    def on_kept(self, batch: KeptBatch) -> None:
        """Another sidecar keeps these traces."""

    def on_attached(self, attached: bool) -> None:
        """Whether the others can be heard and told from now on. What waits to be told while they cannot is the hub's to
        keep or to drop."""
