"""How much of the event loop sidecars may take by what they say. Pure; time is monotonic seconds.

One stream has bounds of its own, but a namespace may have a thousand pods. So work is counted by namespace and second,
in units of about a microsecond: whoever has spent its part is not read from until the next second begins. Nothing of it
is lost, it waits with the sidecar. One namespace, or several that act together, leave most of the loop to the rest of
the controller, and those that say little never wait for others.
"""

from __future__ import annotations

MESSAGE = 30
"""Units for any message."""
UNIT_BYTES = 16
"""Bytes for one unit more: as many as a trace id has, and each is looked up, also one that is known already."""
OWN = 250_000
"""Units a second for one namespace."""
LITTLE = 25_000
"""Units a second that each namespace has whatever the others do."""
ALL = 500_000
"""Units a second, above which there is only what is LITTLE."""


def work(size: int) -> int:
    """Units for one message of that many bytes."""
    return MESSAGE + size // UNIT_BYTES


class Budget:
    """Owned by the event loop of the control server."""

    def __init__(self) -> None:
        self._second = 0
        self._spent: dict[str, int] = {}
        self._all = 0

    def wait(self, namespace: str, now: float) -> float:
        """Seconds for which nothing more may come from that namespace; 0 when it may."""
        self._turn(now)
        own = self._spent.get(namespace, 0)
        if own < LITTLE or (own < OWN and self._all < ALL):
            return 0.0
        return self._second + 1.0 - now

    def spend(self, namespace: str, units: int, now: float) -> None:
        """So much was done for it."""
        self._turn(now)
        self._spent[namespace] = self._spent.get(namespace, 0) + units
        self._all += units

    def _turn(self, now: float) -> None:
        if int(now) != self._second:
            self._second, self._all = int(now), 0
            self._spent.clear()
