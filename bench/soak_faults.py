"""The soak's faults: what strikes when, drawn from a seed, and what each does to the running programs."""

from __future__ import annotations

import os
import random
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sidecar import Sidecar
from sinks import NAMES, Sinks

SINK_FAULTS = ("hang", "reset", "throttle", "large", "unavailable", "lost")
SIDECAR_FAULTS = ("kill", "freeze", "reload")
DISK_FAULTS = ("full",)
CONFIGS = (
    "",
    ", batch: {maxSpans: 200, maxDelay: 50ms}",
    ", circuitBreaker: {failureThreshold: 3, openFor: 1s, maxOpenFor: 3s}",
)


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: seconds since the beginning, how long it lasts, and whom it strikes."""

    at: float
    lasts: float
    kind: str
    whom: str


def plan(seconds: float, seed: int, *, disk: bool, every: tuple[float, float] = (2.0, 8.0)) -> Iterator[Fault]:
    """Faults until `seconds`; several may hold at a time, but one at a time for each of whom they strike."""
    chance = random.Random(seed)
    busy: dict[str, float] = {}
    at = chance.uniform(*every)
    kinds = [(kind, name) for kind in SINK_FAULTS for name in NAMES]
    kinds += [(kind, "sidecar") for kind in SIDECAR_FAULTS for _ in range(2)]
    kinds += [(kind, "disk") for kind in DISK_FAULTS if disk]
    while at < seconds:
        free = [(kind, whom) for kind, whom in kinds if busy.get(whom, 0.0) <= at]
        if free:
            kind, whom = chance.choice(free)
            lasts = {"kill": 0.0, "reload": 0.0, "freeze": chance.uniform(0.5, 3)}.get(kind, chance.uniform(2, 12))
            lasts = min(lasts, seconds - at)
            busy[whom] = at + lasts + 1.0
            yield Fault(at, lasts, kind, whom)
        at += chance.uniform(*every)


class Faults:
    """Does what the plan says; `tick` is to be called often."""

    def __init__(
        self, faults: Iterator[Fault], sidecar: Sidecar, sinks: Sinks, ballast: Path | None, seed: int
    ) -> None:
        self._faults, self._sidecar, self._sinks, self._ballast = faults, sidecar, sinks, ballast
        self._next = next(faults, None)
        self._open: list[Fault] = []
        self._chance = random.Random(seed)
        self.count: Counter[str] = Counter()

    def tick(self, now: float) -> list[str]:
        """End what is over and begin what is due, `now` seconds after the beginning; says what it did."""
        said = []
        for fault in [fault for fault in self._open if fault.at + fault.lasts <= now]:
            self._open.remove(fault)
            self._end(fault)
        while self._next is not None and self._next.at <= now:
            fault, self._next = self._next, next(self._faults, None)
            self.count[fault.kind] += 1
            self._begin(fault)
            if fault.lasts:
                self._open.append(fault)
            said.append(f"{fault.kind} {fault.whom}" + (f" for {fault.lasts:.1f} s" if fault.lasts else ""))
        return said

    def end(self) -> None:
        """End all that is still open, whenever it was to end."""
        for fault in self._open:
            self._end(fault)
        self._open.clear()
        self._next = None

    def _begin(self, fault: Fault) -> None:
        match fault.kind:
            case "kill":
                self._sidecar.running.kill()
                self._sidecar.start()
            case "freeze":
                os.kill(self._sidecar.pid, signal.SIGSTOP)
            case "reload":
                self._sidecar.configure(self._chance.choice(CONFIGS))
            case "full":
                assert self._ballast is not None
                fill(self._ballast)
            case mode:
                self._sinks.mode(mode, fault.whom)

    def _end(self, fault: Fault) -> None:
        match fault.kind:
            case "freeze":
                os.kill(self._sidecar.pid, signal.SIGCONT)
            case "full":
                assert self._ballast is not None
                self._ballast.unlink(missing_ok=True)
            case _:
                self._sinks.mode("ok", fault.whom)


def fill(ballast: Path) -> None:
    """Take all the room that the filesystem of `ballast` has left, to the last block."""
    with ballast.open("wb") as out:
        size = 0
        for chunk in (64 << 20, 1 << 20, 1 << 12):
            while True:
                try:
                    os.posix_fallocate(out.fileno(), size, chunk)
                except OSError:
                    break
                size += chunk
