"""Sidecars that share a target: what each has reported, and what its part is. Pure; time is monotonic seconds.

    group.join(pod); group.report(pod, rates)     as it happens
    group.divide(now)                             a few times a second
    for pod in group.due(most): group.answer(pod) to whoever has reported, and to all when much has moved

Sums by key are kept up to date with each report, so dividing costs as much as there are keys, and an answer as much as
the sidecar has keys, however many sidecars there are. A key is a number here: 12 bytes for each key of a sidecar, and
8 more where an earlier sampler has taken traces out.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice

from tracekeeper_spec.sampling import Adaptive as Limits
from tracekeeper_spec.sampling_share import EMPTY, GRAIN, LEAST, MOST_RATE, fill, grains

MOST_KEYS = 2000
"""Of a group. Traces of keys beyond these are taken together, as those are that a sidecar has too many keys for."""
REST = ""
"""The key of all that have none of their own."""
LINGER = 10.0
"""Seconds that a sidecar counts on for when its stream breaks: it keeps its part meanwhile, and mostly comes back."""
MOVED = 0.1
"""Share of the target that has to move before all sidecars are told without having reported."""
IDLE = 0.5
"""Share of the target below which nobody is limited, so that it does not matter where parts move."""
ROOM = 0.9
"""The floor begins so far below the lowest probability, and rises when that is `RISE` times higher: it should rest."""
RISE = 1.25
NOBODY = -1_000_000
"""In place of the number of sidecars that were told: everybody is to be told."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a sidecar is told; see `Share` in control.proto."""

    traces_per_second: float
    sidecars: int
    floor: float


@dataclass(slots=True)
class _Part:
    numbers: array[int] = field(default_factory=lambda: array("I"))
    """Of its keys."""
    rates: array[int] = field(default_factory=lambda: array("Q"))
    """Of each, in grains."""
    missing: array[int] = field(default_factory=lambda: array("Q"))
    """Of each, how much of its rate an earlier sampler took out, in grains; empty where nothing is missing anywhere."""
    until: float | None = None
    """Its stream is broken, and it counts until then."""


class Group:
    """Sidecars by the UIDs of their pods."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._parts: dict[str, _Part] = {}
        self._numbers: dict[str, int] = {}
        self._names: list[str] = []
        self._sums: list[int] = []
        """Of each key, in grains: whole numbers, so that what is added and taken away again leaves nothing behind."""
        self._missing: list[int] = []
        """Of each key, how much of its sum an earlier sampler took out."""
        self._holders: list[int] = []
        self._free: list[int] = []
        self._gains: list[float] = []
        """By key's number: keeps a second that are granted for each trace a second. Empty while nobody has any."""
        self._told: dict[str, float] = {}
        """The gains that everybody knows of."""
        self._told_sidecars = 0
        self._busy = False
        self._changed = True
        self._asked: dict[str, None] = {}
        """Who has come or reported since it was told last."""
        self._stale: dict[str, None] = {}
        """Who was told what does not hold any more; those that wait the longest first."""
        self._lingering: dict[str, None] = {}
        self.floor = min(limits.min_probability, limits.max_probability)
        """The probability below which no sidecar goes."""

    def __len__(self) -> int:
        """Sidecars that count, those whose stream has just broken with them."""
        return len(self._parts)

    def __contains__(self, pod: object) -> bool:
        return pod in self._parts

    def configure(self, limits: Limits) -> None:
        """The config has changed. Everybody is told after the next `divide`."""
        if limits != self._limits:
            self._limits = limits
            self._tell_anew()

    def join(self, pod: str) -> None:
        """It is there, or back. Until it reports it counts as one without traces, or with those from before."""
        part = self._parts.setdefault(pod, _Part())
        part.until = None
        self._lingering.pop(pod, None)
        self._asked[pod] = None
        self._changed = True

    def leave(self, pod: str, now: float, *, for_good: bool) -> None:
        """It is gone: `for_good` when it has said so, else it lingers."""
        part = self._parts.get(pod)
        if part is None:
            return
        self._stale.pop(pod, None)
        self._asked.pop(pod, None)
        if for_good:
            self._forget(pod)
        else:
            part.until = now + LINGER
            self._lingering[pod] = None

    def report(self, pod: str, rates: Iterable[tuple[str, float]], coming: Mapping[str, float] = EMPTY) -> None:
        """Traces a second by key, in place of what it has said before. Rates that are none count as 0. `coming` is how
        many there are, for keys of which an earlier sampler took some out; see `fill`."""
        part = self._parts[pod]
        found: dict[int, int] = {}
        missing: dict[int, int] = {}
        for key, rate in rates:
            if amount := grains(rate):
                number = self._number(key)
                known = found.get(number)
                if known is None:
                    self._holders[number] += 1
                found[number] = min(grains(MOST_RATE), amount + (known or 0))
                if there := grains(coming.get(key, 0.0)):
                    missing[number] = missing.get(number, 0) + max(0, amount - there)
        lacking = array("Q", (min(found[number], missing.get(number, 0)) for number in found if missing))
        for number, rate in found.items():
            self._sums[number] += rate
        for number, lack in zip(found, lacking, strict=False):
            self._missing[number] += lack
        self._withdraw(part)
        part.numbers, part.rates, part.missing = array("I", found.keys()), array("Q", found.values()), lacking
        self._asked[pod] = None
        self._changed = True

    def divide(self, now: float) -> None:
        """Take into the answers what has come since the last time."""
        for pod in [pod for pod in self._lingering if (self._parts[pod].until or 0.0) <= now]:
            self._forget(pod)
        if not self._changed:
            return
        self._changed = False
        limits, names = self._limits, self._names
        sums = {name: self._sums[number] / GRAIN for name, number in self._numbers.items()}
        coming = {
            name: (self._sums[number] - self._missing[number]) / GRAIN
            for name, number in self._numbers.items()
            if self._missing[number]
        }
        filled = fill(limits, sums, coming)
        budget = (1.0 - LEAST) * limits.target_traces_per_second
        scale = budget / filled.kept if filled.kept > 0.0 else 0.0
        gains = {name: gain * scale for name, gain in filled.gains.items()}
        self._gains = [gains.get(name, 0.0) for name in names] if gains else []
        self._set_floor(filled.floor)
        busy = filled.kept > IDLE * budget
        moved = sum(abs(gain - self._told.get(name, 0.0)) * sums[name] for name, gain in gains.items())
        more = abs(len(self._parts) - self._told_sidecars) > MOVED * len(self._parts)
        if ((busy or self._busy) and moved > MOVED * budget) or more:
            self._tell_all(gains)
        self._busy = busy

    def due(self, most: int) -> list[str]:
        """Whom to tell now: all that have come or reported since they were told last, and of the others up to `most`
        whose answer does not hold any more."""
        return [*self._asked, *islice((pod for pod in self._stale if pod not in self._asked), most)]

    def answer(self, pod: str) -> Answer:
        """By its newest report, and by what is known of the others since the last `divide`."""
        self._asked.pop(pod, None)
        self._stale.pop(pod, None)
        part, gains = self._parts[pod], self._gains
        target = self._limits.target_traces_per_second
        equal = target / len(self._parts)
        if not gains:
            return Answer(equal, len(self._parts), self.floor)
        pairs = zip(part.numbers, part.rates, strict=True)
        # A key that has come since the last `divide` has no gain yet.
        own = sum(gains[number] * rate for number, rate in pairs if number < len(gains)) / GRAIN
        return Answer(min(target, LEAST * equal + own), len(self._parts), self.floor)

    def _tell_all(self, gains: dict[str, float]) -> None:
        self._told, self._told_sidecars = gains, len(self._parts)
        waiting = dict(self._stale)
        waiting.update(dict.fromkeys(pod for pod, part in self._parts.items() if part.until is None))
        self._stale = waiting

    def _set_floor(self, lowest: float) -> None:
        """It rests while what it is made from does: what one keeps at the old floor another may drop at the new one."""
        least = min(self._limits.min_probability, self._limits.max_probability)
        if len(self._parts) < 2:
            floor = least  # there is nobody to agree with
        elif least <= self.floor <= lowest <= RISE * self.floor:
            return
        else:
            floor = lowest if lowest >= self._limits.max_probability else max(least, ROOM * lowest)
        if floor != self.floor:
            self.floor, self._told_sidecars = floor, NOBODY

    def _tell_anew(self) -> None:
        self._told_sidecars = NOBODY
        self._changed = True

    def _number(self, key: str) -> int:
        number = self._numbers.get(key)
        if number is not None:
            return number
        if key != REST and len(self._numbers) - (REST in self._numbers) >= MOST_KEYS:
            return self._number(REST)
        if self._free:
            number = self._free.pop()
            self._names[number] = key
        else:
            number = len(self._names)
            self._names.append(key)
            self._sums.append(0)
            self._missing.append(0)
            self._holders.append(0)
        self._numbers[key] = number
        return number

    def _withdraw(self, part: _Part) -> None:
        """Take what it had reported out of the sums."""
        for number, lack in zip(part.numbers, part.missing, strict=False):
            self._missing[number] -= lack
        for number, rate in zip(part.numbers, part.rates, strict=True):
            self._holders[number] -= 1
            self._sums[number] -= rate
            if not self._holders[number]:
                del self._numbers[self._names[number]]
                self._free.append(number)

    def _forget(self, pod: str) -> None:
        self._changed = True
        self._withdraw(self._parts.pop(pod))
        self._lingering.pop(pod, None)
