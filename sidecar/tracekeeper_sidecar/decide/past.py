"""The thresholds that each key's traces have met. Pure; times are Unix seconds.

Late spans of a trace whose verdict is not remembered any more follow the threshold that was in force when the trace was
decided on: by the trace's random number that comes to the same answer. Any threshold that was ever in force will do as
far as counts go, because none depends on the trace, and `th` says which one it was.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right

MOST = 512
"""Changes of one key that are known, at most, and half of them at least."""


class Past:
    """Owned by one thread. 16 bytes for each change of a threshold."""

    def __init__(self) -> None:
        self._times: dict[int, array[float]] = {}
        self._thresholds: dict[int, array[int]] = {}

    def note(self, now: float, key: int, threshold: int) -> None:
        """From now on this is in force for the key. A clock that is put back forgets what was later."""
        times, thresholds = self._times.get(key), self._thresholds.get(key)
        if times is None or thresholds is None:
            self._times[key], self._thresholds[key] = array("d", (now,)), array("Q", (threshold,))
            return
        while times and times[-1] >= now:
            times.pop()
            thresholds.pop()
        if thresholds and thresholds[-1] == threshold:
            return
        if len(times) >= MOST:
            del times[: MOST // 2]
            del thresholds[: MOST // 2]
        times.append(now)
        thresholds.append(threshold)

    def newest(self, key: int) -> int | None:
        """What was noted last for the key."""
        thresholds = self._thresholds.get(key)
        return thresholds[-1] if thresholds else None

    def at(self, key: int, when: float) -> int | None:
        """What was in force for the key then; None where that is not known."""
        times = self._times.get(key)
        if times is None or not (place := bisect_right(times, when)):
            return None
        return self._thresholds[key][place - 1]

    def forget(self, key: int) -> None:
        """The key's number is given to another one."""
        self._times.pop(key, None)
        self._thresholds.pop(key, None)
