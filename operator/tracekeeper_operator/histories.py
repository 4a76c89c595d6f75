"""Since when sidecars cannot deliver, and when they did, as far as what they say of themselves was seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tracekeeper_proto.control.v1 import control_pb2 as pb

from .clock import Clock

SERVING = ("Closed", "Disabled", "ForcedOpen")
"""Circuits that are as they should be, or as the policy wants them."""


@dataclass(slots=True)
class _History:
    """Of one sidecar. All times are monotonic seconds."""

    failing: dict[str, float] = field(default_factory=dict)
    """By backend, since when."""
    counted: dict[str, tuple[int, float]] = field(default_factory=dict)
    """By delivery entry, how many spans it had delivered, and when that was seen first."""
    delivered: dict[str, float] = field(default_factory=dict)
    """By delivery entry, a time after which it has."""

    def note(self, standing: pb.Standing, now: float) -> None:
        self.failing = {name: self.failing.get(name, now) for name in failing(standing)}
        counted = {each.name: each.delivered for each in standing.delivery}
        for name, count in counted.items():
            before = self.counted.get(name)
            if before is not None and count > before[0]:
                self.delivered[name] = before[1]
        self.counted = {
            name: before if (before := self.counted.get(name)) is not None and before[0] == count else (count, now)
            for name, count in counted.items()
        }
        self.delivered = {name: at for name, at in self.delivered.items() if name in counted}


class Histories:
    """Kept of the namespaces in which something is tried."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[str, dict[str, _History]] = {}

    def note(self, namespace: str, standings: Mapping[str, pb.Standing]) -> None:
        """What all sidecars there say now, by the UIDs of their pods."""
        before, now = self._known.get(namespace, {}), self._clock.monotonic()
        self._known[namespace] = {uid: before.get(uid) or _History() for uid in standings}
        for uid, history in self._known[namespace].items():
            history.note(standings[uid], now)

    def forget(self, namespace: str) -> None:
        self._known.pop(namespace, None)

    def failing_since(self, namespace: str, uid: str) -> dict[str, float]:
        """Unix time by backend."""
        history = self._known.get(namespace, {}).get(uid)
        return self._dated(history.failing) if history is not None else {}

    def delivered_at(self, namespace: str, uid: str) -> dict[str, float]:
        """Unix time by delivery entry, after which it has delivered."""
        history = self._known.get(namespace, {}).get(uid)
        return self._dated(history.delivered) if history is not None else {}

    def _dated(self, times: Mapping[str, float]) -> dict[str, float]:
        ago = self._clock.now() - self._clock.monotonic()
        return {name: ago + at for name, at in times.items()}


def failing(standing: pb.Standing) -> dict[str, str]:
    """Backends that take nothing, and why."""
    return {each.name: each.fault or "it takes nothing" for each in standing.backends if each.circuit not in SERVING}
