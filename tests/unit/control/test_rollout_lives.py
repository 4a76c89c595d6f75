"""Whole lives of an entry that is rolled out: whatever happens, nothing bad becomes what all pods have."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from spec_cases import BACKEND
from tracekeeper_operator.pod_seen import PodSeen
from tracekeeper_operator.rollout import Why, step
from tracekeeper_spec.candidate import PLACES
from tracekeeper_spec.policy import PolicyEntry

NOW = 1_800_000_000.0
ROLLOUT: dict[str, Any] = {"canaryPercent": 20, "observeFor": "5m"}
SOON = 60.0
"""Seconds after which a sidecar notices at the latest that its backend takes nothing."""


def entry(generation: int, backend: str) -> PolicyEntry:
    spec = {"backends": [{**BACKEND, "name": backend}]}
    sources = (f"shop/agents@{generation}",)
    return PolicyEntry("agents", "shop", "u", generation, "2026", spec, sources=sources, operator={"rollout": ROLLOUT})


def name_of(found: PolicyEntry) -> str:
    return str(found.spec["backends"][0]["name"])


@dataclass
class Pod:
    uid: str
    able: bool
    """Whether its sidecar knows candidates."""
    silent: bool
    """Whether its sidecar never attaches: it is stuck, or nothing lets it through."""
    attached: bool = False
    runs: str = ""
    """Name of the version that it has; it is known by `digest` to whom it is attached to."""
    digest: str = ""
    since: float = 0.0
    """When it got that."""

    def seen(self, real: float) -> PodSeen:
        if not self.attached:
            return PodSeen(self.uid, self.uid)
        hurt = self.runs.startswith("bad") and real >= self.since + SOON
        failing = {self.runs: "refused"} if hurt else {}
        return PodSeen(self.uid, self.uid, attached=True, able=self.able, digest=self.digest, failing=failing)


class Lives(RuleBasedStateMachine):
    """A config that changes; pods that come, go, hear late, are too old or never seen; streams that break, controllers
    that know nothing but the document, and clocks that were ahead.

    Versions called `bad…` fail wherever they run; `good…` never do.
    """

    @initialize(count=st.integers(0, 6), name=st.sampled_from(["good-2", "bad"]))
    def begin(self, count: int, name: str) -> None:
        self.now, self.real, self.generation, self.count = NOW, 0.0, 1, 0
        self.wanted = "good"
        self.at_once = ""
        """What came to all because there was no pod that could try it."""
        self.pods: dict[str, Pod] = {}
        self.document = entry(1, "good")
        for _ in range(count):
            self.pod_comes(able=True, silent=False)
            self.some_attach(None)
        self.somebody_changes_it(name)

    @rule(name=st.sampled_from(["good", "good-2", "bad", "bad-2"]))
    def somebody_changes_it(self, name: str) -> None:
        self.wanted, self.generation = name, self.generation + 1
        self.round()

    @rule(able=st.sampled_from([True, True, False]), silent=st.sampled_from([False, False, True]))
    def pod_comes(self, *, able: bool, silent: bool) -> None:
        self.count += 1
        uid = f"pod-{self.count}"
        self.pods[uid] = Pod(uid, able, silent)
        self.hear(uid)

    @precondition(lambda self: self.pods)
    @rule(data=st.data())
    def pod_goes(self, data: st.DataObject) -> None:
        del self.pods[data.draw(st.sampled_from(sorted(self.pods)))]
        self.round()

    @rule()
    def all_go(self) -> None:
        """The gap in which a workload is recreated."""
        self.pods.clear()
        self.round()

    @rule(data=st.data())
    def some_attach(self, data: st.DataObject | None) -> None:
        """Each is news, for which a round is made."""
        uids = sorted(self.pods)
        for uid in data.draw(st.sets(st.sampled_from(uids))) if data is not None and uids else uids:
            self.pods[uid].attached = not self.pods[uid].silent
            self.round()

    @rule()
    def streams_break(self) -> None:
        for pod in self.pods.values():
            pod.attached = False
        self.round()

    @rule()
    def another_controller(self) -> None:
        """It knows nothing but the document, and not yet which pods there are."""
        for pod in self.pods.values():
            pod.attached = False
        self.round(None)

    @rule(data=st.data())
    def some_hear(self, data: st.DataObject) -> None:
        for uid in data.draw(st.sets(st.sampled_from(sorted(self.pods)))) if self.pods else ():
            self.hear(uid)

    @rule(seconds=st.sampled_from([1, 10, 299, 301]))
    def time_passes(self, seconds: int) -> None:
        """A round follows within the time in which one is due while something is tried."""
        for _ in range(0, seconds, 60):
            self.pass_by(min(60, seconds))

    @rule(seconds=st.sampled_from([1, 600, 86_400]))
    def clock_goes_back(self, seconds: int) -> None:
        """It was ahead, or the next leader's is behind."""
        self.now -= seconds
        self.round()

    def pass_by(self, seconds: float) -> None:
        self.now, self.real = self.now + seconds, self.real + seconds
        self.round()

    def hear(self, uid: str) -> None:
        pod = self.pods[uid]
        taken = self.document.taken_by(uid) if pod.able else self.document
        if name_of(taken) != pod.runs:
            pod.runs, pod.since = name_of(taken), self.real
        new = self.document.candidate
        pod.digest = new.digest if new is not None and taken is not self.document else "all"

    def round(self, pods: Sequence[Pod] | None = ()) -> None:
        """With all pods, unless it is not known which there are."""
        seen = [pod.seen(self.real) for pod in self.pods.values()] if pods is not None else None
        fresh, before = entry(self.generation, self.wanted), self.document
        taken = step(fresh, before, fixed=(), withdrawn=lambda _: (), look=lambda: seen, now=self.now)
        self.document = taken.entry
        assert taken.state is not None
        if taken.state.why is Why.NO_PODS:
            assert before.candidate is None, "that was being tried"
            self.at_once = self.wanted

    @invariant()
    def nothing_bad_is_ever_in_effect_for_all(self) -> None:
        if hasattr(self, "document"):
            name = name_of(self.document)
            assert name.startswith("good") or name == self.at_once

    @invariant()
    def some_try_it_and_not_many(self) -> None:
        if not hasattr(self, "document") or self.document.candidate is None:
            return
        self.round()
        new = self.document.candidate
        if new is not None:
            assert new.below == -(-20 * PLACES // 100)
            assert not self.pods or any(new.takes(uid) for uid in self.pods)
            assert not new.also or new.also in self.pods

    @invariant()
    def what_is_good_arrives_and_what_is_bad_is_taken_back(self) -> None:
        """If nothing more happens, and somebody is there who can try it and be seen."""
        if not hasattr(self, "document"):
            return
        kept = self.document, self.now, self.real, deepcopy(self.pods), self.at_once
        for _ in range(14):
            for uid, pod in self.pods.items():
                pod.attached = not pod.silent
                self.hear(uid)
            self.pass_by(60)
        name = name_of(self.document)
        if any(pod.able and not pod.silent for pod in self.pods.values()):
            assert self.document.candidate is None
            assert (name == self.wanted) != (self.document.halted is not None)
            assert name == self.wanted or self.wanted.startswith("bad")
        self.nothing_bad_is_ever_in_effect_for_all()
        self.document, self.now, self.real, self.pods, self.at_once = kept


Lives.TestCase.settings = settings(max_examples=40, stateful_step_count=15, deadline=None)
TestLives = Lives.TestCase
