"""The circuit breaker: its rules one by one, and all of them together against a model."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from tracekeeper_sidecar.forward.breaker import Breaker, BreakerSettings, Cause, Circuit, Permit, Transition
from tracekeeper_sidecar.forward.window import SLICES

SETTINGS = BreakerSettings(failure_threshold=3, open_for=10.0, max_open_for=45.0)
RATES = replace(
    SETTINGS,
    window=20.0,
    failure_rate=0.6,
    slow_call_rate=0.8,
    slow_call_duration=1.0,
    minimum_calls=10,
    success_threshold=2,
)


def breaker(random: float = 0.0, settings: BreakerSettings = SETTINGS) -> Breaker:
    return Breaker(settings, lambda: random)


def circuit(target: Breaker) -> Circuit:
    """Read anew each time: an assertion about the attribute itself would hold for mypy ever after."""
    return target.circuit


def fail(target: Breaker, now: float, times: int = 1, seconds: float = 0.0) -> None:
    for _ in range(times):
        permit = target.allow(now)
        assert permit is not None
        target.failure(permit, now, "no answer", seconds)


def succeed(target: Breaker, now: float, times: int = 1, seconds: float = 0.0) -> None:
    for _ in range(times):
        permit = target.allow(now)
        assert permit is not None
        target.success(permit, now, seconds)


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
    target.success(probe, 10)
    assert circuit(target) is Circuit.CLOSED
    assert target.transitions == {
        ("Open", "failures_in_a_row"): 1,
        ("HalfOpen", "open_time_over"): 1,
        ("Closed", "probes_succeeded"): 1,
    }


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
    said = "3 failures in a row, the last one: no answer"
    assert seen == [Transition(Circuit.CLOSED, Circuit.OPEN, Cause.FAILURES_IN_A_ROW, said, 10.0)]


def test_failure_rate_opens_once_there_are_enough_calls() -> None:
    target = breaker(settings=RATES)
    for _ in range(2):
        fail(target, 0, 2)
        succeed(target, 0, 2)
    fail(target, 0)  # 5 of 9: not enough calls yet
    assert circuit(target) is Circuit.CLOSED
    fail(target, 0)
    assert circuit(target) is Circuit.OPEN
    assert target.transitions == {("Open", "failure_rate"): 1}


def test_failures_leave_the_window_with_time() -> None:
    target = breaker(settings=RATES)
    for _ in range(3):
        fail(target, 0, 2)
        succeed(target, 0)
    succeed(target, 21, 5)
    fail(target, 21, 2)
    succeed(target, 21)
    fail(target, 21, 2)
    assert target.circuit is Circuit.CLOSED


def test_calls_that_work_but_slowly_open_it() -> None:
    target = breaker(settings=RATES)
    succeed(target, 0, 2)
    succeed(target, 0, 8, seconds=1.5)
    assert target.circuit is Circuit.OPEN
    assert target.transitions == {("Open", "slow_call_rate"): 1}


def test_slow_probe_opens_it_again() -> None:
    target = breaker(settings=RATES)
    fail(target, 0, 3)
    succeed(target, 10, seconds=1.5)
    assert target.circuit is Circuit.OPEN
    assert target.transitions["Open", "probe_slow"] == 1


def test_several_successes_one_after_another_close_it() -> None:
    target = breaker(settings=RATES)
    fail(target, 0, 3)
    succeed(target, 10)
    assert circuit(target) is Circuit.HALF_OPEN
    assert target.allow(10) is not None
    assert target.allow(10) is None
    target = breaker(settings=RATES)
    fail(target, 0, 3)
    succeed(target, 10, 2)
    assert circuit(target) is Circuit.CLOSED


def test_forced_open_sends_nothing_and_disabled_everything() -> None:
    target = breaker(settings=replace(SETTINGS, fixed=Circuit.FORCED_OPEN))
    assert target.allow(0) is None
    target.hasten(0)
    assert target.allow(1e9) is None
    assert target.rejected == 2
    assert target.wait(1e9) == float("inf")
    target.restart(replace(SETTINGS, fixed=Circuit.DISABLED), "told so")
    fail(target, 0, 1000)
    assert target.circuit is Circuit.DISABLED
    assert target.passing
    target.restart(SETTINGS, "told so")
    assert target.transitions == {("Disabled", "configuration"): 1, ("Closed", "configuration"): 1}


def test_restart_forgets_what_is_on_its_way() -> None:
    target = breaker()
    late = target.allow(0)
    assert late is not None
    fail(target, 0, 2)
    target.restart(SETTINGS, "new connection")
    target.failure(late, 0, "too late")
    assert target.failures == 0
    assert target.transitions == {}


class AgainstModel(RuleBasedStateMachine):
    """The model keeps only what a user can see: calls, their results since the last change, and when it opened."""

    permits = Bundle("permits")

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.changes: list[Transition] = []
        self.draw = 0.0
        self.settings = RATES
        self.breaker = Breaker(RATES, lambda: self.draw, self.changes.append)
        self.results: list[tuple[float, bool, bool]] = []  # (when, failed, slow) of this era, in order
        self.probes: set[int] = set()  # ids of permits given out while half-open
        self.opened_at = 0.0
        self.openings = 0
        self.current: dict[int, Permit] = {}  # permits of this era that have not come back
        self.state = Circuit.CLOSED
        self.refusals = 0

    def change(self, target: Circuit, cause: Cause) -> None:
        assert self.changes[-1].source is self.state
        assert self.changes[-1].target is target
        assert self.changes[-1].cause is cause
        self.state = target
        self.forget()

    def forget(self) -> None:
        self.results.clear()
        self.probes.clear()
        self.current.clear()

    @rule(seconds=st.sampled_from([0.0, 0.3, 2.0, 5.0, 30.0]) | st.floats(0, 60))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(draw=st.floats(0, 1, exclude_max=True))
    def chance(self, draw: float) -> None:
        self.draw = draw

    @rule(fixed=st.sampled_from([None, None, None, Circuit.FORCED_OPEN, Circuit.DISABLED]))
    def configure(self, fixed: Circuit | None) -> None:
        self.breaker.restart(replace(RATES, fixed=fixed), "told so")
        self.openings = 0
        target = fixed or Circuit.CLOSED
        if target is self.state:
            self.forget()
        else:
            self.change(target, Cause.CONFIGURATION)

    @rule(target=permits)
    def call(self) -> Permit | None:
        return self.allowed()

    def allowed(self) -> Permit | None:
        over = self.state is Circuit.OPEN and self.now >= self.reopens()
        probe = over or (self.state is Circuit.HALF_OPEN and not self.probes)
        permit = self.breaker.allow(self.now)
        assert (permit is not None) == (self.state in (Circuit.CLOSED, Circuit.DISABLED) or probe)
        if over:
            self.change(Circuit.HALF_OPEN, Cause.OPEN_TIME_OVER)
        if permit is None:
            self.refusals += 1
            return None
        self.current[id(permit)] = permit
        if self.state is Circuit.HALF_OPEN:
            self.probes.add(id(permit))
        return permit

    def reopens(self) -> float:
        return self.opened_at + self.changes[-1].open_for

    @rule(permit=consumes(permits), seconds=st.sampled_from([0.1, 1.0, 1.1]))
    def success(self, permit: Permit | None, seconds: float) -> None:
        if permit is None:
            return
        self.breaker.success(permit, self.now, seconds)
        if self.current.pop(id(permit), None) is None or self.state is Circuit.DISABLED:
            return
        slow = seconds > RATES.slow_call_duration
        self.results.append((self.now, False, slow))
        if self.state is Circuit.CLOSED:
            self.expect_rates(slow)
        elif slow:
            self.expect_open(Cause.PROBE_SLOW)
        else:
            self.probes.clear()
            if len(self.results) == RATES.success_threshold:
                self.openings = 0
                self.change(Circuit.CLOSED, Cause.PROBES_SUCCEEDED)

    @rule(permit=consumes(permits), seconds=st.sampled_from([0.1, 1.1]), times=st.integers(1, 8))
    def failure(self, permit: Permit | None, seconds: float, times: int) -> None:
        for number in range(times):
            if number:
                permit = self.allowed()
            if permit is None:
                return
            self.breaker.failure(permit, self.now, "test", seconds)
            if self.current.pop(id(permit), None) is None or self.state is Circuit.DISABLED:
                continue
            self.results.append((self.now, True, seconds > RATES.slow_call_duration))
            tail = [failed for _, failed, _ in self.results[-RATES.failure_threshold :]]
            if self.state is Circuit.HALF_OPEN:
                self.expect_open(Cause.PROBE_FAILED)
            elif len(tail) == RATES.failure_threshold and all(tail):
                self.expect_open(Cause.FAILURES_IN_A_ROW)
            else:
                self.expect_rates(True)

    def expect_rates(self, judged: bool) -> None:
        """A rate opens the circuit when a call that speaks against the backend ends, and the window is full enough."""
        width = RATES.window / SLICES
        first = int(self.now / width) - SLICES + 1
        window = [result for result in self.results if int(result[0] / width) >= first]
        failed, slow = sum(result[1] for result in window), sum(result[2] for result in window)
        if not judged or len(window) < RATES.minimum_calls:
            assert self.breaker.circuit is Circuit.CLOSED
        elif failed >= RATES.failure_rate * len(window):
            self.expect_open(Cause.FAILURE_RATE)
        elif slow >= RATES.slow_call_rate * len(window):
            self.expect_open(Cause.SLOW_CALL_RATE)

    def expect_open(self, cause: Cause) -> None:
        self.opened_at, self.openings = self.now, self.openings + 1
        ceiling = min(RATES.max_open_for, RATES.open_for * 2**self.openings)
        assert RATES.open_for <= self.changes[-1].open_for <= ceiling
        self.change(Circuit.OPEN, cause)

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
TestAgainstModel.settings = settings(max_examples=60)
