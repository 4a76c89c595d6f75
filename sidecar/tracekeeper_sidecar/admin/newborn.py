"""Which new series are still shown as 0.

Prometheus' `increase` and `rate` take the first value of a series for where it began. Of an error that comes once in a
pod's life they would never say more than 0, for the series is born with it. So a new row is shown as 0 until every
scraper has had it once, and from then on as it is. Nobody is kept waiting for long: a row that is known for two minutes
is shown whatever some scraper has had, and once somebody was shown the truth, nobody sees 0 any more, because a counter
that falls looks like a restart.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from tracekeeper_sidecar.clock import Clock

MOST_SCRAPERS: Final = 4
"""Others are shown what these are."""
FORGOTTEN_AFTER: Final = 300.0
"""Seconds without a scrape, after which nobody waits for a scraper."""
LONGEST: Final = 120.0
"""Seconds for which a row may be shown as 0."""
STEP: Final = 5.0
"""Seconds within which it is not told apart when rows were born."""


class Newborns:
    """Owned by the event loop. Rows are numbered in the order of their birth; those that a restart brought back are 0
    and were shown before."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: dict[str, int] = {}
        """By scraper: the youngest row that it was shown, as 0 or not."""
        self._asked: dict[str, float] = {}
        self._marks: deque[tuple[float, int]] = deque()
        """When which row was the youngest, for so long as that is not `LONGEST` ago."""
        self._shown = 0
        self._ended = False

    def end(self) -> None:
        """Show everything from now on: there may be no scrape after the next one."""
        self._ended = True

    def shown_to(self, scraper: str, youngest: int) -> int:
        """Somebody scrapes: the youngest row whose count is shown, of rows up to `youngest`; later ones are shown as 0.

        `scraper` is empty for a person, who is told the truth.
        """
        if not scraper or self._ended:
            return youngest
        now = self._clock.monotonic()
        self._forget(now)
        if scraper in self._seen or len(self._seen) < MOST_SCRAPERS:
            self._seen.setdefault(scraper, self._shown)
            self._asked[scraper] = now
        self._advance(now)
        if scraper in self._seen:
            self._seen[scraper] = youngest
        self._mark(now, youngest)
        return self._shown

    def _mark(self, now: float, youngest: int) -> None:
        """Rows that came within `STEP` have one mark, the time of the first, so that there are never many."""
        if youngest <= (self._marks[-1][1] if self._marks else self._shown):
            return
        when = self._marks.pop()[0] if self._marks and now - self._marks[-1][0] < STEP else now
        self._marks.append((when, youngest))

    def _forget(self, now: float) -> None:
        for scraper in [each for each, asked in self._asked.items() if now - asked >= FORGOTTEN_AFTER]:
            del self._seen[scraper], self._asked[scraper]

    def _advance(self, now: float) -> None:
        if self._seen:
            self._shown = max(self._shown, min(self._seen.values()))
        while self._marks and now - self._marks[0][0] >= LONGEST:
            self._shown = max(self._shown, self._marks.popleft()[1])
