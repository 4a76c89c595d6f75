"""Keys come and go: at a time 500 of them have a rate of their own, whoever was there first."""

from __future__ import annotations

import random
from typing import Any

import pytest

from forward_support.routed import ERRORS, sampling
from stage_rig import section
from tracekeeper_sidecar.decide.decider import Decider
from tracekeeper_sidecar.decide.key_rate import FORGET
from tracekeeper_sidecar.decide.rules import Numbers, Rules
from tracekeeper_sidecar.decide.spread import Spread
from tracekeeper_sidecar.wire.fold import Folder
from tracekeeper_sidecar.wire.keys import Keys
from tracekeeper_sidecar.wire.remembered import Remembered
from tracekeeper_sidecar.wire.told import Told
from tracekeeper_sidecar.wire.traces import SHUTDOWN, Traces
from traces_to_sample import request_of, trace

NOW = 1_700_000_000_000
MOST = 500


class Rig:
    def __init__(self, written: dict[str, Any]) -> None:
        rules = Rules(section(written), Numbers())
        self.time, self.chance, self.table = 0.0, random.Random(3), Traces(seed=1)
        spread = Spread(str, lambda: self.time)
        self.decider = Decider(rules, Remembered(), Told(), spread, self.time, self.time)
        self._folder = Folder(self.table, rules.codes.span_tests, rules.codes.root_tests, self.decider.keys)

    @property
    def keys(self) -> Keys:
        assert self.decider.keys is not None
        return self.decider.keys

    @property
    def known(self) -> set[tuple[str, ...]]:
        return {self.keys.names(number) for number in self.keys.numbers()}

    def decide(self, service: str, *, error: bool = False) -> int:
        """The number of the key that a trace of this service has had."""
        self._folder.fold(request_of(trace(self.chance, 1, error=error), service), NOW)
        (slot,) = self.table.due(SHUTDOWN)
        key = self.table.key(slot)
        self.decider.decide(self.table, [slot])
        self.table.remove(slot)
        return key

    def pass_seconds(self, seconds: float, *services: str, error: bool = False) -> None:
        end = self.time + seconds
        while self.time < end:
            for service in services:
                self.decide(service, error=error)
            self.time += 10.0
            self.decider.tick(self.time, self.time)


@pytest.fixture
def rig() -> Rig:
    return Rig(sampling(ERRORS, default={"type": "Adaptive", "adaptive": {"targetTracesPerSecond": 1000}}))


def test_the_number_of_a_key_without_traces_goes_to_the_next_new_one(rig: Rig) -> None:
    numbers = {rig.decide(f"service {number}") for number in range(MOST)}
    assert len(numbers) == MOST and 0 not in numbers
    assert rig.decide("one too many") == 0
    rig.pass_seconds(FORGET + 20.0, "service 7")
    assert rig.known == {("service 7",)}
    assert len({rig.decide(f"new {number}") for number in range(MOST - 1)} - {0}) == MOST - 1


def test_so_does_that_of_a_key_whose_traces_a_rule_decides_on(rig: Rig) -> None:
    for number in range(MOST):
        rig.decide(f"service {number}", error=True)
    rig.pass_seconds(FORGET - 20.0)
    assert len(rig.known) == MOST, "open traces may still have it"
    rig.pass_seconds(2 * FORGET)
    assert not rig.known
    assert rig.decide("new") != 0


def test_a_key_from_an_earlier_process_is_known_by_what_stands_for_it() -> None:
    first = Rig(sampling(default={"type": "Adaptive", "adaptive": {}}))
    number = first.decide("shop")
    mark, names = first.keys.mark(number), first.keys.names(number)
    second = Rig(sampling(default={"type": "Adaptive", "adaptive": {}}))
    second.decide("another")
    taken = second.keys.take(mark, names)
    assert taken == second.keys.take(mark, names) == second.decide("shop") != 0
    assert second.keys.names(taken) == ("shop",)
    assert (first.keys.mark(0), first.keys.mark(77)) == (0, 0)


def test_how_long_the_minimum_has_kept_more_than_the_target_is_known() -> None:
    adaptive = {"targetTracesPerSecond": 0.01, "minProbability": 0.5}
    rig = Rig(sampling(default={"type": "Adaptive", "adaptive": adaptive}))
    assert rig.decider.pinned(rig.time) == 0.0
    rig.pass_seconds(100.0, *["loud"] * 20)
    begun = rig.decider.pinned(rig.time)
    assert 80.0 <= begun <= 100.0
    rig.pass_seconds(50.0, *["loud"] * 20)
    assert rig.decider.pinned(rig.time) == begun + 50.0
    rig.pass_seconds(FORGET * 2)
    assert rig.decider.pinned(rig.time) == 0.0, "nobody asks for anything any more"
