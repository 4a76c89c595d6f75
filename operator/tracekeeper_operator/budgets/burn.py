"""How fast money goes: sums of five minutes for six hours, of hours for three days. Pure; times are Unix seconds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

WINDOWS: Mapping[str, float] = {
    "5m": 300.0,
    "30m": 1800.0,
    "1h": 3600.0,
    "2h": 7200.0,
    "6h": 21_600.0,
    "1d": 86_400.0,
    "3d": 259_200.0,
}
"""What is told: the pairs that alerts on fast and slow burning compare."""
FINE, COARSE = 300, 3600
"""Seconds of a sum."""
FINE_FOR, COARSE_FOR = WINDOWS["6h"], WINDOWS["3d"]
"""Seconds for which it is known."""


class Burn:
    """Of one account. Where nothing was spent, nothing is kept: at most 146 numbers."""

    def __init__(self) -> None:
        self.fine: dict[int, int] = {}
        """Billionths of a dollar by number of the five minutes since 1970."""
        self.coarse: dict[int, int] = {}
        """The same by hour."""

    def add(self, at: float, nano: int, now: float) -> None:
        """So much was spent `at`; what is too long ago is passed over."""
        for sums, size, kept in ((self.fine, FINE, FINE_FOR), (self.coarse, COARSE, COARSE_FOR)):
            index, oldest = int(at // size), int((now - kept) // size)
            if index < oldest:
                continue
            if index not in sums:
                for past in [each for each in sums if each < oldest]:
                    del sums[past]
            sums[index] = sums.get(index, 0) + nano

    def spent(self, seconds: float, now: float) -> int:
        """In the last `seconds`. Of the sum in which the window begins, the share that lies in it."""
        sums, size = (self.fine, FINE) if seconds <= FINE_FOR else (self.coarse, COARSE)
        first, begins = int((now - seconds) // size), now - seconds
        whole = sum(nano for index, nano in sums.items() if index > first)
        share = (first + 1) * size - begins
        return whole + int(sums.get(first, 0) * share / size)

    def load(self, fine: Iterable[tuple[int, int]], coarse: Iterable[tuple[int, int]]) -> None:
        """As they were saved."""
        self.fine, self.coarse = dict(fine), dict(coarse)
