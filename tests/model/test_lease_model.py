"""Candidates for one Lease in a simulated world: whatever becomes of requests, answers, clocks and processes, there are
never two leaders at once; and where the world behaves, there soon is one.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from tracekeeper_operator.lease import ABSENT, Elector, Lost, Read, Record, Terms, Wait, Write

TERMS = Terms()
FASTEST = 1.49
"""How much faster than the slowest clock any other one may run."""


@dataclass
class World:
    """Real time, the API server's one Lease, and requests on their way; all of it from one seed."""

    dice: random.Random
    trouble: float = 1.0
    """How much of it there is: 0 is a world in which everything works."""
    now: float = 0.0
    lease: Record = ABSENT
    version: int = 0
    events: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    order: int = 0
    leads: list[tuple[float, float, int]] = field(default_factory=list)
    """From when until when which process may act as the leader, in real time."""

    def after(self, seconds: float, what: Callable[[], None]) -> None:
        self.order += 1
        heapq.heappush(self.events, (self.now + seconds, self.order, what))

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self.events and self.events[0][0] <= end:
            self.now, _, what = heapq.heappop(self.events)
            what()
        self.now = end

    def way(self) -> float | None:
        """How long a message takes; None for one that never arrives. Most are quick, some come when nobody waits."""
        luck = self.dice.random() / self.trouble if self.trouble else 1.0
        if luck < 0.1:
            return None
        if luck < 0.3:
            return self.dice.uniform(0, 40)
        return self.dice.uniform(0, 5 if luck < 0.6 else 0.05)

    def ask(self, action: Read | Write) -> Record | None:
        """The API server's answer at this moment; None for a no."""
        if isinstance(action, Read):
            return self.lease
        if action.seen.version != self.lease.version:
            return None
        self.version += 1
        self.lease = Record(str(self.version), action.holder, TERMS.duration)
        return self.lease

    def overlaps(self) -> list[tuple[int, int]]:
        """Processes that led at the same time."""
        rows = sorted(self.leads)
        found = []
        for place, (_, end, who) in enumerate(rows):
            for begin, _, other in rows[place + 1 :]:
                if begin >= end:
                    break
                if other != who:
                    found.append((who, other))
        return found


class Process:
    """One candidate with a clock of its own; ends when it has lost the lead, is killed, or releases it."""

    def __init__(self, world: World, number: int, make: type[Elector]) -> None:
        self.world, self.number = world, number
        self.rate = world.dice.choice((1, FASTEST, world.dice.uniform(1, FASTEST)))
        self.offset, self.cut = world.dice.uniform(-1e6, 1e6), 0.0
        self.elector = make(f"controller-{number}", TERMS, uniform=world.dice.uniform)
        self.alive, self.asked = True, 0
        world.after(world.dice.uniform(0, 5), self.step)

    def clock(self) -> float:
        return self.offset + self.rate * self.world.now

    def step(self) -> None:
        if not self.alive:
            return
        if self.world.dice.random() < 0.03 * self.world.trouble:
            # It stands still for a while (SIGSTOP, a node that swaps); its clock does not.
            self.world.after(self.world.dice.uniform(0, 60), self.step)
            return
        match self.elector.next(self.clock()):
            case Wait(seconds):
                self.world.after(max(seconds, 0.001) / self.rate, self.step)
            case Lost():
                self.alive = False
                self.world.after(self.world.dice.uniform(0.5, 3), lambda: start(self.world, type(self.elector)))
            case Read() | Write() as action:
                self.send(action)

    def send(self, action: Read | Write) -> None:
        self.asked += 1
        question, sent = self.asked, self.clock()
        if self.world.dice.random() < 0.03 * self.world.trouble:
            # From now on its requests arrive nowhere for a while, whatever the others' do.
            self.cut = self.world.now + self.world.dice.uniform(0, 60)
        if self.world.now >= self.cut and (there := self.world.way()) is not None:
            self.world.after(there, lambda: self.arrive(action, question, sent))
        # asyncio's timers run by the same clock.
        self.world.after(self.elector.left(sent) / self.rate, lambda: self.give_up(question))

    def arrive(self, action: Read | Write, question: int, sent: float) -> None:
        answer = self.world.ask(action)
        if (back := self.world.way()) is not None:
            self.world.after(back, lambda: self.hear(action, question, sent, answer))

    def give_up(self, question: int) -> None:
        if self.alive and question == self.asked:
            self.asked += 1
            self.elector.failed(self.clock())
            self.step()

    def hear(self, action: Read | Write, question: int, sent: float, answer: Record | None) -> None:
        if not self.alive or question != self.asked:
            return
        self.asked += 1
        now = self.clock()
        if answer is None:
            self.elector.failed(now)
        elif isinstance(action, Read):
            self.elector.read(answer, now)
        else:
            self.elector.written(answer, sent, now)
        self.note(now)
        self.step()

    def note(self, now: float) -> None:
        if self.elector.held(now):
            self.world.leads.append((self.world.now, (self.elector._until - self.offset) / self.rate, self.number))

    def kill(self) -> None:
        self.alive = False
        # What it sent before is still on its way.
        self.world.leads = [
            (begin, min(end, self.world.now) if who == self.number else end, who)
            for begin, end, who in self.world.leads
        ]

    def release(self) -> None:
        if self.alive and (action := self.elector.release(self.clock())) is not None:
            self.kill()
            self.send(action)


PROCESSES: list[Process] = []


def start(world: World, make: type[Elector]) -> None:
    PROCESSES.append(Process(world, len(PROCESSES), make))


def lives(seed: int, make: type[Elector] = Elector, seconds: float = 1200) -> World:
    """Three candidates, and all that may happen to them, for twenty minutes."""
    PROCESSES.clear()
    world = World(random.Random(seed), trouble=(1.0, 0.2)[seed % 2])
    if world.dice.random() < 0.5:
        # As the chart makes it.
        world.lease, world.version = Record("1"), 1
    for _ in range(3):
        start(world, make)
    end = world.now + seconds
    while world.now < end:
        world.run(world.dice.expovariate(1 / 60))
        victim = world.dice.choice(PROCESSES[-4:])
        if victim.alive and world.dice.random() < 0.5:
            (victim.kill if world.dice.random() < 0.6 else victim.release)()
            start(world, make)
    return world


def test_there_are_never_two_leaders() -> None:
    led, changes = 0.0, 0
    for seed in range(150):
        world = lives(seed)
        assert world.overlaps() == [], f"seed {seed}"
        led += sum(end - begin for begin, end, _ in merged(world.leads))
        changes += len({who for _, _, who in world.leads})
    print(f"150 lives of 20 minutes: {changes} leads, never two at once; somebody led {led / (150 * 1200):.0%} of it")
    assert changes > 1000 and led > 150 * 1200 * 0.2


def merged(leads: list[tuple[float, float, int]]) -> list[tuple[float, float, int]]:
    """Each lead as one piece, without what renewals have in common."""
    found: list[tuple[float, float, int]] = []
    for begin, end, who in sorted(leads):
        if found and found[-1][2] == who and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]), who)
        else:
            found.append((begin, end, who))
    return found


class CountsFromTheAnswer(Elector):
    """Relies on its lead from when it heard of it, instead of from when it asked."""

    def written(self, found: Record, sent: float, now: float) -> None:
        super().written(found, now, now)


class TakesTheLastLook(Elector):
    """Takes a Lease that it sees for the first time to have been the same since it looked before."""

    def read(self, found: Record, now: float) -> None:
        if found.version != self._version:
            self._version, self._since = found.version, now - TERMS.period
        super().read(found, now)


class ComparesNothing(Elector):
    """Writes whatever is there now."""

    def next(self, now: float) -> Wait | Read | Write | Lost:
        action = super().next(now)
        newest = PROCESSES[0].world.lease
        return replace(action, seen=newest) if isinstance(action, Write) else action


@pytest.mark.parametrize("make", [CountsFromTheAnswer, TakesTheLastLook, ComparesNothing])
def test_the_model_notices_what_would_be_wrong(make: type[Elector]) -> None:
    assert any(lives(seed, make).overlaps() for seed in range(150))


def test_where_nothing_is_wrong_one_leads_for_good() -> None:
    for seed in range(20):
        PROCESSES.clear()
        world = World(random.Random(seed), trouble=0)
        for _ in range(3):
            start(world, Elector)
        world.run(600)
        assert len(PROCESSES) == 3
        ((begin, end, who),) = merged(world.leads)
        assert begin < TERMS.duration + 2 * TERMS.period and end >= world.now
        # And its end is noticed: a standby looks once in a period, and waits out the duration.
        PROCESSES[who].kill()
        killed = world.now
        world.run(60)
        *_, (begin, end, other) = merged(world.leads)
        assert other != who and begin - killed <= TERMS.duration + TERMS.period + 1 and end >= world.now
        # One that says that it goes does not keep anybody waiting.
        PROCESSES[other].release()
        released = world.now
        world.run(60)
        *_, (begin, end, last) = merged(world.leads)
        assert last not in (who, other) and begin - released <= TERMS.period + 1 and end >= world.now
