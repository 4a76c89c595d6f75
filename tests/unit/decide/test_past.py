"""Late spans of a trace that is not remembered any more are decided on as the trace was."""

from __future__ import annotations

import random
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from forward_support.routed import sampling
from stage_rig import section
from tracekeeper_sidecar.decide.decider import SOON, Decider
from tracekeeper_sidecar.decide.past import MOST, Past
from tracekeeper_sidecar.decide.rules import DEFAULT, Numbers, Rules
from tracekeeper_sidecar.decide.spread import Spread
from tracekeeper_sidecar.wire.fold import Folder
from tracekeeper_sidecar.wire.remembered import Remembered
from tracekeeper_sidecar.wire.told import Told
from tracekeeper_sidecar.wire.traces import KEEP, SHUTDOWN, THRESHOLD, Traces
from traces_to_sample import START, request_of, trace

BEGIN = START / 1e9
REMEMBERED = 64
ADAPTIVE: dict[str, Any] = {"type": "Adaptive", "adaptive": {"targetTracesPerSecond": 10, "minProbability": 0.001}}
ALWAYS = {"from": "00:00", "to": "24:00", "probability": 0.5}


def test_what_was_in_force_at_a_time_is_known_from_the_first_change_on() -> None:
    past = Past()
    for now, threshold in ((10.0, 5), (11.0, 5), (12.0, 7), (20.0, 6)):
        past.note(now, 1, threshold)
    assert [past.at(1, when) for when in (9.9, 10.0, 11.9, 12.0, 19.9, 1e9)] == [None, 5, 5, 7, 7, 6]
    assert past.at(2, 15.0) is None
    past.forget(1)
    assert past.at(1, 15.0) is None


def test_the_newest_changes_are_known_however_many_there_are() -> None:
    past = Past()
    for number in range(10 * MOST):
        past.note(float(number), 1, number)
    newest = 10 * MOST - 1
    assert past.at(1, newest - MOST / 2 + 1) == newest - MOST // 2 + 1
    assert past.at(1, newest - MOST) is None


def test_a_clock_that_is_put_back_forgets_what_was_later() -> None:
    past = Past()
    for now, threshold in ((10.0, 5), (100.0, 7), (50.0, 6)):
        past.note(now, 1, threshold)
    assert (past.at(1, 49.0), past.at(1, 200.0)) == (5, 6)


class World:
    """A decider that remembers few traces, and time that passes."""

    def __init__(self, default: dict[str, Any], rules: list[dict[str, Any]] | None = None) -> None:
        self.time, self.chance, self.table = 0.0, random.Random(3), Traces(seed=1)
        written = sampling(default=default, wait="30s")
        if rules is not None:
            written["rules"] = rules
        in_force = Rules(section(written), Numbers())
        self.remembered = Remembered(REMEMBERED)
        self.spread = Spread(str, lambda: BEGIN + self.time)
        self.decider = Decider(in_force, self.remembered, Told(), self.spread, 0.0, BEGIN)
        self._folder = Folder(self.table, in_force.codes.span_tests, in_force.codes.root_tests, self.decider.keys)

    def decide(self, spans: list[Span], service: str = "shop") -> int:
        """The verdict on these spans of one trace."""
        self._folder.fold(request_of(spans, service), int((BEGIN + self.time) * 1000))
        slots = self.table.due(SHUTDOWN)
        self.decider.decide(self.table, slots)
        self.remembered.add(self.table.pack(slots))
        verdict = self.table.verdict(slots[0])
        self.table.remove(slots[0])
        assert verdict is not None
        return verdict

    def made(self) -> list[Span]:
        """A trace that is to be decided on now."""
        spans = trace(self.chance)
        for span in spans:
            span.start_time_unix_nano += int((self.time - SOON) * 1e9)
            span.end_time_unix_nano += int((self.time - SOON) * 1e9)
        return spans

    def load(self, seconds: int, traces: int) -> list[tuple[list[Span], int]]:
        """So many traces a second; the last ones, and what was decided about them."""
        last = []
        for _ in range(seconds):
            last = [(spans, self.decide(spans)) for spans in [self.made() for _ in range(traces)]]
            self.time += 1.0
            self.decider.tick(self.time, BEGIN + self.time)
        return last


def test_late_spans_follow_the_probability_of_their_time_when_their_trace_is_forgotten() -> None:
    world = World(ADAPTIVE)
    world.load(30, 20)
    known = world.load(3, 20)
    assert {bool(verdict & KEEP) for _, verdict in known} == {True, False}
    world.load(30, 500)
    assert not any(world.remembered.get(spans[0].trace_id) for spans, _ in known)
    late = [world.decide(spans[:1]) for spans, _ in known]
    assert [bool(verdict & KEEP) for verdict in late] == [bool(verdict & KEEP) for _, verdict in known]
    busy = world.decide(world.made()) & THRESHOLD
    assert all(verdict & THRESHOLD < busy for verdict in late), "the probability has fallen since"


def test_late_spans_follow_a_fall_within_a_second() -> None:
    world = World(ADAPTIVE)
    world.load(30, 20)
    calm = world.decide(world.made()) & THRESHOLD
    # A burst, all of it before probabilities are set anew: they fall while it comes.
    for _ in range(500):
        world.decide(world.made())
    world.time += 0.5
    fallen = [(spans, world.decide(spans)) for spans in [world.made() for _ in range(20)]]
    least = fallen[0][1] & THRESHOLD
    assert {verdict & THRESHOLD for _, verdict in fallen} == {least} and least > calm
    world.time += 0.5
    world.decider.tick(world.time, BEGIN + world.time)
    world.load(30, 500)
    assert not world.remembered.get(fallen[-1][0][0].trace_id)
    late = [world.decide(spans[:1]) for spans, _ in fallen]
    assert [verdict & (KEEP | THRESHOLD) for verdict in late] == [verdict & (KEEP | THRESHOLD) for _, verdict in fallen]


def test_late_spans_follow_what_let_the_trace_of_a_rare_key_through() -> None:
    world = World({"type": "Adaptive", "adaptive": {"targetTracesPerSecond": 0.01, "minProbability": 0.0001}})
    rare = world.made()
    assert world.decide(rare, "rare") & (KEEP | THRESHOLD) == KEEP
    world.time += 10.0
    next_one = world.made()
    least = world.decide(next_one, "rare") & THRESHOLD
    assert least > 0, "it is not let through"
    world.load(5, 100)
    assert not world.remembered.get(rare[0].trace_id)
    assert world.decide(rare[:1], "rare") & (KEEP | THRESHOLD) == KEEP
    assert world.decide(next_one[:1], "rare") & THRESHOLD == least


def test_what_has_a_root_is_a_trace_of_its_own_however_old_it_says_to_be() -> None:
    """As of a sender whose clock is behind."""
    world = World(ADAPTIVE)
    old = [spans for spans, _ in world.load(30, 20)]
    world.load(30, 500)
    count = world.decider.kept[DEFAULT] + world.decider.left_out[DEFAULT]
    late = {world.decide(spans) & THRESHOLD for spans in old}
    assert world.decider.kept[DEFAULT] + world.decider.left_out[DEFAULT] == count + len(old)
    assert min(late) > world.load(30, 20)[-1][1] & THRESHOLD, "as probable as other traces that come now"


def test_nothing_is_late_while_all_that_was_decided_is_remembered() -> None:
    world = World(ADAPTIVE)
    world.load(2, 20)
    spans = trace(world.chance)[:1]
    spans[0].start_time_unix_nano -= 3600 * 10**9
    before = world.decide(spans) & THRESHOLD
    assert before == world.decide(world.made()) & THRESHOLD


def test_late_spans_follow_the_schedule_of_their_time() -> None:
    rest: dict[str, Any] = {
        "type": "Probabilistic",
        "probabilistic": {"probability": 0.1, "schedule": [{**ALWAYS, "to": "22:30"}]},
    }
    world = World(rest)
    known = world.load(3, 100)
    assert {verdict & THRESHOLD for _, verdict in known} == {1 << 55}, "at 22:13"
    world.time = 3600.0
    world.load(30, 100)
    late = [world.decide(spans[:1]) for spans, _ in known]
    assert [verdict & (KEEP | THRESHOLD) for verdict in late] == [verdict & (KEEP | THRESHOLD) for _, verdict in known]


@pytest.mark.parametrize(("before", "after"), [(0.5, 0.1), (0.1, 0.5)])
def test_around_a_change_of_the_schedule_others_are_told_of_what_only_one_of_both_keeps(
    before: float, after: float
) -> None:
    """Their clocks, or the time at which a trace comes to them, may be on the other side."""
    schedule = [{**ALWAYS, "to": "22:30", "probability": before}]
    world = World({"type": "Probabilistic", "probabilistic": {"probability": after, "schedule": schedule}}, [])
    world.spread.listening = True
    change, told = 1000.0, dict[float, tuple[int, int]]()
    for at in (100.0, change - 10, change + 10, change + 100):
        world.time = at
        world.decider.tick(world.time, BEGIN + world.time)
        kept = sum(bool(world.decide(world.made()) & KEEP) for _ in range(400))
        told[at] = kept, sum(batch.traces for batch in world.spread.take())
    assert told[100.0][1] == told[change + 100][1] == 0, "everybody decides alike"
    for at, probability in ((change - 10, before), (change + 10, after)):
        kept, spread = told[at]
        assert (0.6 * kept < spread < kept) if probability == 0.5 else spread == 0, told


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times of day in a schedule are in UTC unless it says otherwise."""
    monkeypatch.setenv("TZ", "UTC")
