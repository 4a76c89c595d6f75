"""How a changed entry comes to the pods: one step at a time, and over whole lives."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from spec_cases import BACKEND
from tracekeeper_operator.rollout import Phase, PodSeen, Step, Why, below_for, step
from tracekeeper_spec.candidate import PLACES, digest_of
from tracekeeper_spec.config import Section
from tracekeeper_spec.policy import PolicyEntry

NOW = 1_800_000_000.0
ROLLOUT: dict[str, Any] = {"canaryPercent": 10, "observeFor": "5m"}
PODS = tuple(PodSeen(f"uid-{number}", f"pod-{number}", attached=True, able=True) for number in range(20))


def backend(name: str = "a", endpoint: str = "http://127.0.0.1:4317") -> dict[str, Any]:
    return {**BACKEND, "name": name, "otlp": {"protocol": "GRPC", "endpoint": endpoint}}


def entry(generation: int = 1, rollout: dict[str, Any] | None = ROLLOUT, **spec: Any) -> PolicyEntry:
    operator = {"rollout": rollout} if rollout is not None else {}
    body = {"backends": [backend()], **spec}
    return PolicyEntry(
        "agents", "shop", "u", generation, "2026", body, sources=(f"shop/agents@{generation}",), operator=operator
    )


def go(
    fresh: PolicyEntry,
    old: PolicyEntry | None,
    pods: tuple[PodSeen, ...] | None = PODS,
    *,
    now: float = NOW,
    held: bool = True,
    fixed: tuple[Section, ...] = (),
    seen: bool = True,
) -> Step:
    look = (lambda: pods) if seen else None
    return step(fresh, old, fixed=fixed, may_hold=lambda _: held, look=look, now=now)


NEW = entry(2, logLevel="Debug")


def run(entry: PolicyEntry, pods: tuple[PodSeen, ...] = PODS, **more: Any) -> tuple[PodSeen, ...]:
    """Those that try it run it; `more` is what they say."""
    new = entry.candidate
    assert new is not None
    return tuple(replace(pod, digest=new.digest, **more) if new.takes(pod.uid) else pod for pod in pods)


def told(taken: Step) -> tuple[Phase, Why]:
    assert taken.state is not None
    return taken.state.phase, taken.state.why


def test_a_change_is_tried_by_some_while_all_others_keep_what_works() -> None:
    first = go(NEW, entry())
    assert told(first) == (Phase.PROGRESSING, Why.WAITING)
    assert first.entry.proven == replace(entry(), operator=NEW.operator)
    new = first.entry.candidate
    assert new is not None and (new.spec, new.generation, new.started) == (NEW.spec, 2, NOW)
    tried = [pod for pod in PODS if new.takes(pod.uid)]
    assert 1 <= len(tried) <= 6 and first.state is not None and first.state.canaries == len(tried)


def test_it_is_in_effect_when_it_has_done_well_for_long_enough() -> None:
    first = go(NEW, entry()).entry
    second = go(NEW, first, run(first), now=NOW + 30)
    assert told(second) == (Phase.PROGRESSING, Why.OBSERVING)
    assert second.entry.candidate is not None and second.entry.candidate.observed == NOW + 30
    third = go(NEW, second.entry, run(first), now=NOW + 329)
    assert third.entry == second.entry, "nothing is written while nothing happens"
    last = go(NEW, third.entry, run(first), now=NOW + 330)
    assert last.entry == NEW and told(last) == (Phase.COMPLETE, Why.OBSERVED)
    assert last.state is not None and last.state.previous is not None and last.state.previous.generation == 1
    assert go(NEW, last.entry).entry == NEW


def test_what_nobody_runs_never_completes() -> None:
    first = go(NEW, entry()).entry
    later = go(NEW, first, PODS, now=NOW + 10_000)
    assert later.entry == first and told(later) == (Phase.PROGRESSING, Why.WAITING)
    assert later.state is not None and "too old" in later.state.message
    seen = go(NEW, first, run(first)).entry
    assert go(NEW, seen, PODS, now=NOW + 10_000).entry.candidate is not None, "they are away"


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"failing": {"b": "connection refused"}}, Why.DELIVERY),
        ({"crashed_at": NOW + 1, "crash": "OOMKilled, exit code 137"}, Why.CRASH),
        ({"dropped_at": NOW + 60}, Why.DELIVERY),
    ],
)
def test_what_canaries_suffer_takes_it_back(more: dict[str, Any], why: Why) -> None:
    new = entry(2, backends=[backend(), backend("b")])
    first = go(new, entry()).entry
    running = go(new, first, run(first), now=NOW + 30).entry
    halted = go(new, running, run(running, **more), now=NOW + 61)
    assert told(halted) == (Phase.HALTED, why)
    assert halted.entry.proven == first.proven and halted.entry.candidate is None and halted.entry.halted is not None
    assert halted.state is not None and halted.state.news and halted.state.previous is not None
    again = go(new, halted.entry, PODS, now=NOW + 9999)
    assert again.entry == halted.entry and told(again) == (Phase.HALTED, why) and not again.state.news  # type: ignore[union-attr]
    other = entry(3, backends=[backend(), backend("b")])
    assert told(go(other, again.entry))[0] is Phase.PROGRESSING, "a new generation is tried again"
    undone = go(replace(entry(3), spec=entry().spec), again.entry)
    assert undone.entry.halted is None and told(undone) == (Phase.COMPLETE, Why.UNCHANGED)


def test_a_sidecar_that_refuses_it_takes_it_back() -> None:
    first = go(NEW, entry()).entry
    assert first.candidate is not None
    refusing = tuple(replace(pod, refused="no such field") if first.candidate.takes(pod.uid) else pod for pod in PODS)
    assert told(go(NEW, first, refusing)) == (Phase.HALTED, Why.REFUSED)
    everybody = tuple(replace(pod, refused="no such field") for pod in PODS)
    assert told(go(NEW, first, everybody))[0] is Phase.PROGRESSING, "that is not for what is tried"


@pytest.mark.parametrize(
    ("halt_on", "more"),
    [
        (["SidecarCrash"], {"failing": {"b": "refused"}}),
        (["DeliveryFailure"], {"crashed_at": NOW + 1}),
        ([], {"crashed_at": NOW + 1}),
    ],
)
def test_only_what_is_asked_for_halts(halt_on: list[str], more: dict[str, Any]) -> None:
    new = entry(2, {**ROLLOUT, "haltOn": halt_on}, backends=[backend("b")])
    first = go(new, entry()).entry
    assert told(go(new, first, run(first, **more)))[0] is Phase.PROGRESSING


def test_a_backend_that_fails_for_all_is_not_held_against_it() -> None:
    first = go(NEW, entry()).entry
    away = {"a": "connection refused"}
    peers = tuple(replace(pod, failing=away) for pod in PODS)
    assert told(go(NEW, first, run(first, peers)))[0] is Phase.PROGRESSING
    assert told(go(NEW, first, run(first, failing=away))) == (Phase.HALTED, Why.DELIVERY), "for the others it works"
    before = go(NEW, entry(), peers).entry
    alone = tuple(pod for pod in run(before, failing=away) if pod.digest)
    assert told(go(NEW, before, alone))[0] is Phase.PROGRESSING, "it failed before this one came"
    elsewhere = entry(2, backends=[backend("a", "http://127.0.0.1:1")])
    moved = go(elsewhere, entry(), peers).entry
    assert told(go(elsewhere, moved, run(moved, peers))) == (Phase.HALTED, Why.DELIVERY), "it is another one now"


def test_one_pod_among_many_is_chance() -> None:
    pods = tuple(replace(PODS[0], uid=f"u{number}") for number in range(200))
    wide = entry(2, {**ROLLOUT, "canaryPercent": 50}, logLevel="Debug")
    first = go(wide, entry(), pods).entry
    seen = list(run(first, pods))
    index = next(number for number, pod in enumerate(seen) if pod.digest)
    seen[index] = replace(seen[index], failing={"a": "timeout"})
    assert told(go(wide, first, tuple(seen)))[0] is Phase.PROGRESSING
    assert told(go(wide, first, run(first, pods, failing={"a": "timeout"})))[0] is Phase.HALTED


@pytest.mark.parametrize(
    ("case", "why"),
    [
        ({"pods": ()}, Why.NO_PODS),
        ({"held": False}, Why.NOT_HELD),
        ({"seen": False}, Why.BLIND),
    ],
)
def test_where_nothing_can_be_tried_it_comes_at_once(case: dict[str, Any], why: Why) -> None:
    taken = go(NEW, entry(), **case)
    assert taken.entry == NEW and told(taken) == (Phase.COMPLETE, why)


def test_without_the_section_it_comes_at_once() -> None:
    plain = entry(2, None, logLevel="Debug")
    assert go(plain, entry()) == Step(plain)
    trying = go(NEW, entry()).entry
    assert go(plain, trying) == Step(plain), "who takes the section away wants it now"


def test_pods_that_are_not_known_yet_change_nothing() -> None:
    trying = go(NEW, entry()).entry
    assert go(NEW, trying, None, now=NOW + 9999).entry == trying
    assert go(NEW, entry(), None).entry.candidate is not None


@pytest.mark.parametrize(
    "part", [{"suspend": True}, {"selector": {"matchLabels": {"a": "b"}}}, {"sidecar": {"drainTimeout": "9s"}}]
)
def test_what_must_not_wait_comes_to_all(part: dict[str, Any]) -> None:
    alone = go(entry(2, **part), entry())
    assert alone.entry == entry(2, **part)
    trying = go(entry(2, logLevel="Debug", **part), entry())
    assert trying.entry.candidate is not None
    assert {key: trying.entry.spec[key] for key in part} == part
    assert "logLevel" not in trying.entry.spec


def test_what_is_enforced_comes_to_all() -> None:
    new = replace(entry(2, logLevel="Debug", buffer={"whenFull": "DropOldest"}), origins={"buffer": "obs/root"})
    taken = go(new, entry(), fixed=(Section.BUFFER,))
    assert taken.entry.spec == {**entry().spec, "buffer": {"whenFull": "DropOldest"}}
    assert taken.entry.origins == new.origins and taken.entry.candidate is not None


def test_what_does_not_go_together_comes_to_all() -> None:
    old = entry(1, delivery=[{"name": "d", "backends": ["a"]}])
    new = entry(2, backends=[backend("b")], delivery=[{"name": "d", "backends": ["b"]}])
    assert told(go(new, old, fixed=(Section.BACKENDS,))) == (Phase.COMPLETE, Why.NOT_HELD)


def test_somebody_always_tries_it() -> None:
    digest = digest_of(NEW.spec)
    for count in (1, 2, 3):
        below = below_for(digest, 1, PODS[:count], 0)
        assert any(replace(NEW, candidate=None) and _below(digest, pod, below) for pod in PODS[:count])
    old = tuple(replace(pod, able=False) for pod in PODS[:19])
    assert _below(digest, PODS[19], below_for(digest, 1, (*old, PODS[19]), 0)), "one that knows how to"
    assert below_for(digest, 100, PODS, 0) >= PLACES
    assert below_for(digest, 1, PODS, PLACES // 2) >= PLACES // 2, "nobody changes back and forth"


def _below(digest: str, pod: PodSeen, below: int) -> bool:
    from tracekeeper_spec.candidate import place_of

    return place_of(digest, pod.uid) < below


@dataclass
class _Pod:
    uid: str
    runs: str = "good"
    """Name of the version that it has."""
    digest: str = ""
    hurt: bool = field(default=False)


class Lives(RuleBasedStateMachine):
    """A config that changes, pods that come, go and hear late, and a controller that may forget everything.

    Versions called `bad…` fail wherever they run; `good…` never do.
    """

    @initialize()
    def begin(self) -> None:
        self.now, self.generation, self.count = NOW, 1, 0
        self.wanted = "good"
        self.document = go(self.fresh(), None).entry
        self.pods: dict[str, _Pod] = {}
        self.suffered: dict[str, set[str]] = {}
        self.allowed = 0
        for _ in range(5):
            self.pod_comes()

    def fresh(self) -> PolicyEntry:
        return entry(self.generation, {**ROLLOUT, "canaryPercent": 20}, backends=[backend(self.wanted)])

    @rule(name=st.sampled_from(["good", "good-2", "bad", "bad-2"]))
    def somebody_changes_it(self, name: str) -> None:
        self.wanted, self.generation = name, self.generation + 1
        self.round()

    @rule()
    def pod_comes(self) -> None:
        self.count += 1
        uid = f"pod-{self.count}"
        self.pods[uid] = _Pod(uid, self.document.taken_by(uid).spec["backends"][0]["name"])
        self.hear(uid)

    @precondition(lambda self: len(self.pods) > 1)
    @rule(data=st.data())
    def pod_goes(self, data: st.DataObject) -> None:
        del self.pods[data.draw(st.sampled_from(sorted(self.pods)))]

    @rule(data=st.data())
    def some_hear(self, data: st.DataObject) -> None:
        for uid in data.draw(st.sets(st.sampled_from(sorted(self.pods)))):
            self.hear(uid)

    @rule()
    def all_hear(self) -> None:
        for uid in self.pods:
            self.hear(uid)

    @rule(seconds=st.sampled_from([1, 10, 299, 301]))
    def time_passes(self, seconds: int) -> None:
        """A round follows within the time in which one is due while something is tried."""
        for _ in range(0, seconds, 60):
            self.now += min(60, seconds)
            self.round()

    @rule()
    def another_controller(self) -> None:
        """It knows nothing but the document, and not yet which pods there are."""
        self.document = go(self.fresh(), self.document, None, now=self.now).entry

    def hear(self, uid: str) -> None:
        taken = self.document.taken_by(uid)
        pod = self.pods[uid]
        pod.runs = taken.spec["backends"][0]["name"]
        pod.digest = self.document.candidate.digest if taken is not self.document and self.document.candidate else "all"

    def round(self) -> None:
        seen = tuple(
            PodSeen(
                pod.uid,
                pod.uid,
                attached=True,
                able=True,
                digest=pod.digest,
                failing={pod.runs: "refused"} if pod.runs.startswith("bad") else {},
            )
            for pod in self.pods.values()
        )
        self.document = go(self.fresh(), self.document, seen, now=self.now).entry

    @invariant()
    def nothing_bad_is_ever_in_effect_for_all(self) -> None:
        if hasattr(self, "document"):
            assert self.document.spec["backends"][0]["name"].startswith("good")

    @invariant()
    def somebody_tries_what_is_tried(self) -> None:
        if hasattr(self, "document") and self.document.candidate is not None:
            self.round()
            new = self.document.candidate
            assert new is None or any(new.takes(uid) for uid in self.pods)

    @invariant()
    def what_is_good_arrives_and_what_is_bad_is_taken_back(self) -> None:
        """If nothing more happens."""
        if not hasattr(self, "document"):
            return
        kept = self.document, self.now, {uid: replace(pod) for uid, pod in self.pods.items()}
        for _ in range(12):
            for uid in self.pods:
                self.hear(uid)
            self.now += 60
            self.round()
        name = self.document.spec["backends"][0]["name"]
        assert self.document.candidate is None
        if self.wanted.startswith("good"):
            assert name == self.wanted
        else:
            assert self.document.halted is not None and name.startswith("good")
        self.document, self.now, self.pods = kept


Lives.TestCase.settings = settings(max_examples=40, stateful_step_count=15, deadline=None)
TestLives = Lives.TestCase
