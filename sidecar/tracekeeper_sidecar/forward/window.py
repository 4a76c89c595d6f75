"""The calls of the last seconds, counted in slices: what a breaker's rates are made of. Pure.

A call leaves the window with its slice, so the window is between `length` less one slice and `length` long. Memory is a
dozen small tuples, however many calls there are (the "time-based sliding window" of resilience4j, with coarser slices).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

SLICES = 10


@dataclass(slots=True)
class _Slice:
    number: int
    calls: int = 0
    failed: int = 0
    slow: int = 0


class Window:
    """Times are monotonic seconds that never go back."""

    def __init__(self, length: float) -> None:
        self.calls = 0
        """Calls in the window, as of the last `add` or `pass_time`."""
        self.failed = 0
        """Of these, the failed ones."""
        self.slow = 0
        """Of these, the slow ones, failed or not."""
        self._slice = length / SLICES
        self._slices: deque[_Slice] = deque()

    def add(self, now: float, *, failed: bool, slow: bool) -> None:
        """Count one call that has ended."""
        self.pass_time(now)
        number = int(now / self._slice)
        if not self._slices or self._slices[-1].number != number:
            self._slices.append(_Slice(number))
        last = self._slices[-1]
        last.calls += 1
        last.failed += failed
        last.slow += slow
        self.calls += 1
        self.failed += failed
        self.slow += slow

    def pass_time(self, now: float) -> None:
        """Forget what is no longer in the window."""
        first = int(now / self._slice) - SLICES + 1
        while self._slices and self._slices[0].number < first:
            gone = self._slices.popleft()
            self.calls -= gone.calls
            self.failed -= gone.failed
            self.slow -= gone.slow

    def clear(self) -> None:
        """Forget everything."""
        self._slices.clear()
        self.calls = self.failed = self.slow = 0
