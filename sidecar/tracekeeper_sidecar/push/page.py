"""What a push sends: everything that a scrape would show, and the truth of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from tracekeeper_sidecar.admin.openmetrics import Family
from tracekeeper_sidecar.meter.reading import Reading


@dataclass(frozen=True, slots=True)
class Page:
    """One moment of the sidecar's metrics, safe to be read in a thread."""

    at: float
    """Unix time."""
    own: tuple[Family, ...]
    """Of the sidecar itself. Not of its process: a gateway has such metrics of its own."""
    reading: Reading | None
    """What spans are counted as; None before any are."""

    def families(self) -> Iterator[Family]:
        """All of them that have rows."""
        for metric, samples in self.own:
            if rows := list(samples):
                yield metric, rows
        for metric, counted in self.reading.families.items() if self.reading is not None else ():
            if counted:
                yield metric, [(row.labels, row.value) for row in counted]


class Target(Protocol):
    """One place that is pushed to."""

    def begin(self, page: Page, *, again: bool = False) -> None:
        """What there is before the first push; `again` after others of the same name that have ended."""

    async def push(self, page: Page, timeout: float) -> None:  # noqa: ASYNC109 - it bounds connections too
        """Send `page` within so many seconds. Raises PushFailed, in words for people."""

    async def tidy(self, now: float) -> None:
        """Remove what pods that are gone have left there, if that is ours to do. Raises PushFailed."""

    def close(self) -> None:
        """End connections."""
