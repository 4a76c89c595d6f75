"""The circuit breaker: its rules one by one, and all of them together against a model."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from tracekeeper_sidecar.forward.breaker import Breaker, BreakerSettings, Circuit, Permit, Transition

SETTINGS = BreakerSettings(failure_threshold=3, open_for=10.0, max_open_for=45.0)


def breaker(random: float = 0.0) -> Breaker:
    return Breaker(SETTINGS, lambda: random)


def circuit(target: Breaker) -> Circuit:
    """Read anew each time: an assertion about the attribute itself would hold for mypy ever after."""
    return target.circuit


def fail(target: Breaker, now: float, times: int = 1) -> None:
    for _ in range(times):
        permit = target.allow(now)
        assert permit is not None
        target.failure(permit, now, "no answer")


def succeed(target: Breaker, now: float) -> None:
    permit = target.allow(now)
    assert permit is not None
    target.success(permit)


def test_opens_after_failures_in_a_row() -> None:
    target = breaker()
    fail(target, 0, 2)
    assert circuit(target) is Circuit.CLOSED
    fail(target, 0)
    assert circuit(target) is Circuit.OPEN
    assert target.allow(9.9) is None
    assert target.rejected == 1


def test_success_between_failures_starts_the_count_again() -> None:
    target = breaker()
    fail(target, 0, 2)
    succeed(target, 0)
    fail(target, 0, 2)
    assert target.circuit is Circuit.CLOSED


def test_half_open_lets_one_probe_through() -> None:
    target = breaker()
    fail(target, 0, 3)
    probe = target.allow(10)
    assert probe is not None
    assert circuit(target) is Circuit.HALF_OPEN
    assert target.allow(10) is None
    target.success(probe)
    assert circuit(target) is Circuit.CLOSED
    assert target.transitions == {"Open": 1, "HalfOpen": 1, "Closed": 1}


def test_probe_that_proves_nothing_makes_room_for_the_next() -> None:
    target = breaker()
    fail(target, 0, 3)
    probe = target.allow(10)
    assert probe is not None
    target.release(probe)
    assert target.circuit is Circuit.HALF_OPEN
    assert target.allow(10) is not None


def test_late_result_of_an_earlier_era_changes_nothing() -> None:
    target = breaker()
    late = target.allow(0)
    assert late is not None
    fail(target, 0, 3)
    succeed(target, 10)
    for _ in range(5):
        target.failure(late, 11, "a timeout from before")
    assert target.circuit is Circuit.CLOSED
    assert target.failures == 0


@pytest.mark.parametrize(("random", "waits"), [(0.0, [10, 10, 10, 10]), (1.0, [20, 40, 45, 45])])
def test_open_time_is_drawn_up_to_a_doubling_ceiling(random: float, waits: list[float]) -> None:
    target, now, seen = breaker(random), 0.0, []
    fail(target, now, 3)
    for _ in waits:
        seen.append(target.wait(now))
        now += target.wait(now)
        fail(target, now)
    assert seen == waits


def test_success_makes_the_next_open_time_short_again() -> None:
    target = breaker(1.0)
    fail(target, 0, 3)
    fail(target, 20)
    succeed(target, 60)
    fail(target, 60, 3)
    assert target.wait(60) == 20


def test_open_time_survives_months_of_failure() -> None:
    target, now = breaker(0.5), 0.0
    fail(target, now, 3)
    for _ in range(2000):
        now += target.wait(now)
        fail(target, now)
    assert 10 <= target.wait(now) <= 45


def test_hasten_allows_the_probe_at_once() -> None:
    target = breaker()
    fail(target, 0, 3)
    target.hasten(1)
    assert target.allow(1) is not None
    assert target.allow(1) is None


def test_transition_says_why() -> None:
    seen: list[Transition] = []
    target = Breaker(SETTINGS, lambda: 0.0, seen.append)
    fail(target, 0, 3)
    assert seen == [Transition(Circuit.CLOSED, Circuit.OPEN, "3 failures in a row, the last one: no answer", 10.0)]


class AgainstModel(RuleBasedStateMachine):
    """The model keeps only what a user can see: calls, their results since the last change, and when it opened."""

    permits = Bundle("permits")

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.changes: list[Transition] = []
        self.draw = 0.0
        self.breaker = Breaker(SETTINGS, lambda: self.draw, self.changes.append)
        self.results: list[bool] = []  # of permits of this era, in order, since the last change
        self.probes: set[int] = set()  # ids of permits given out while half-open
        self.opened_at = 0.0
        self.openings = 0
        self.current: dict[int, Permit] = {}  # permits of this era that have not come back
        self.state = Circuit.CLOSED
        self.refusals = 0

    def change(self, target: Circuit) -> None:
        assert self.changes[-1].source is self.state
        assert self.changes[-1].target is target
        self.state = target
        self.results.clear()
        self.probes.clear()
        self.current.clear()

    @rule(seconds=st.floats(0, 60))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(draw=st.floats(0, 1, exclude_max=True))
    def chance(self, draw: float) -> None:
        self.draw = draw

    @rule(target=permits)
    def call(self) -> Permit | None:
        over = self.state is Circuit.OPEN and self.now >= self.reopens()
        expected = self.state is Circuit.CLOSED or over or (self.state is Circuit.HALF_OPEN and not self.probes)
        permit = self.breaker.allow(self.now)
        assert (permit is not None) == expected
        if over:
            self.change(Circuit.HALF_OPEN)
        if permit is None:
            self.refusals += 1
            return None
        self.current[id(permit)] = permit
        if self.state is Circuit.HALF_OPEN:
            self.probes.add(id(permit))
        return permit

    def reopens(self) -> float:
        return self.opened_at + self.changes[-1].open_for

    @rule(permit=consumes(permits))
    def success(self, permit: Permit | None) -> None:
        if permit is None:
            return
        self.breaker.success(permit)
        if self.current.pop(id(permit), None) is None:
            return
        self.results.append(True)
        if self.state is Circuit.HALF_OPEN:
            self.openings = 0
            self.change(Circuit.CLOSED)

    @rule(permit=consumes(permits))
    def failure(self, permit: Permit | None) -> None:
        if permit is None:
            return
        self.breaker.failure(permit, self.now, "test")
        if self.current.pop(id(permit), None) is None:
            return
        self.results.append(False)
        tail = self.results[-SETTINGS.failure_threshold :]
        if self.state is Circuit.HALF_OPEN or (len(tail) == SETTINGS.failure_threshold and not any(tail)):
            self.opened_at, self.openings = self.now, self.openings + 1
            ceiling = min(SETTINGS.max_open_for, SETTINGS.open_for * 2**self.openings)
            assert SETTINGS.open_for <= self.changes[-1].open_for <= ceiling
            self.change(Circuit.OPEN)

    @rule(permit=consumes(permits))
    def release(self, permit: Permit | None) -> None:
        if permit is None:
            return
        self.breaker.release(permit)
        self.current.pop(id(permit), None)
        self.probes.discard(id(permit))

    @invariant()
    def agrees(self) -> None:
        assert self.breaker.circuit is self.state
        assert self.breaker.rejected == self.refusals
        assert sum(self.breaker.transitions.values()) == len(self.changes)
        if self.state is Circuit.OPEN:
            assert self.breaker.wait(self.now) == pytest.approx(max(0.0, self.reopens() - self.now))


TestAgainstModel = AgainstModel.TestCase
