"""What is told of rollouts that go on in several namespaces, and how long what was before is kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from control_api import serve
from control_objects import StoodClock, backend, config, pod
from tracekeeper_cli.rollout import phase
from tracekeeper_operator.access import Access
from tracekeeper_operator.book import Book
from tracekeeper_operator.clock import timestamp
from tracekeeper_operator.handlers import take
from tracekeeper_operator.kube import Kube
from tracekeeper_operator.metrics import ControllerMetrics
from tracekeeper_operator.namespaces import Namespaces
from tracekeeper_operator.plan import Plan, assess
from tracekeeper_operator.pods.index import PodIndex
from tracekeeper_operator.reconcile import Reconciler
from tracekeeper_operator.rollout import Phase, State, Why
from tracekeeper_operator.rollout_telling import KEPT_FOR, RolloutTeller
from tracekeeper_operator.store import Store
from tracekeeper_spec.policy import PolicyDocument, PolicyEntry

UID = "uid-agents"
BEFORE = PolicyEntry("agents", "shop", UID, 1, "2026-01-01T00:00:00Z", {"backends": [backend("a")]})


def state(generation: int, phase: Phase = Phase.COMPLETE, **more: Any) -> State:
    found = State(phase, Why.OBSERVED, "it did well", f"digest-{generation}", generation, generation, 1, news=True)
    return replace(found, **more)


class Rig:
    def __init__(self) -> None:
        self.clock, self.metrics, self.retold = StoodClock(), ControllerMetrics(), list[str]()
        self.teller = RolloutTeller(Store(), self.clock, self.retold.append, lambda notice: None, self.metrics.rollouts)
        self.manifest = config(rollout={})

    def saw(self, namespace: str, found: State | None, uid: str = UID) -> None:
        rollouts = {uid: found} if found is not None else {}
        self.teller.planned(Plan(namespace, (), PolicyDocument(1), False, delete=False, rollouts=rollouts))

    def said(self, generation: int) -> dict[str, Any]:
        """`status.rollout` of the config in shop, once it has that generation; the condition is checked for sense."""
        self.manifest["metadata"]["generation"] = generation
        (item,) = assess([self.manifest], None)
        section = self.teller.say(item, Plan("shop", (item,), PolicyDocument(1), False, delete=False))
        assert section is not None
        (condition,) = section.conditions
        found: dict[str, Any] = dict(section.members["rollout"])
        expected = {"Complete": "True", "Halted": "False", "Progressing": "Unknown"}
        assert condition.status == expected[found["phase"]]
        self.manifest["status"] = {"rollout": found}
        return found

    def counted(self) -> dict[str, float | None]:
        sample = self.metrics.registry.get_sample_value
        return {phase: sample("tracekeeper_controller_rollouts", {"phase": phase}) for phase in Phase}


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_it_is_not_complete_before_each_namespace_has_it(rig: Rig) -> None:
    for namespace in ("shop", "app", "zoo"):
        rig.saw(namespace, state(8))
    assert (rig.said(8)["phase"], rig.said(8)["generation"]) == ("Complete", 8)
    rig.saw("shop", state(9))
    told = rig.said(9)
    assert (told["phase"], told["generation"], told["effective"]) == ("Progressing", 9, 8)
    assert told["reason"] == "WaitingForNamespaces" and "namespace app" in told["message"]
    rig.clock.wall += 30
    assert rig.said(9) == told, "nothing is written while nothing is new"
    rig.saw("app", state(9, Phase.PROGRESSING, effective=8, canaries=2, ready=1, why=Why.OBSERVING))
    told = rig.said(9)
    assert (told["phase"], told["reason"], told["canaries"]) == ("Progressing", "Observing", 2)
    rig.saw("app", state(9))
    assert "namespace zoo" in rig.said(9)["message"]
    rig.saw("zoo", state(9))
    assert (rig.said(9)["phase"], rig.said(9)["generation"]) == ("Complete", 9)


def test_what_was_halted_before_is_not_the_newest_generation_s_fate(rig: Rig) -> None:
    rig.saw("shop", state(9))
    rig.saw("app", state(8, Phase.HALTED, effective=7))
    assert (rig.said(9)["phase"], rig.said(9)["effective"]) == ("Progressing", 7)
    rig.saw("zoo", state(9, Phase.HALTED, effective=7))
    assert rig.said(9)["phase"] == "Halted"


def test_a_config_with_faults_tells_of_what_is_in_force(rig: Rig) -> None:
    rig.saw("shop", state(8))
    rig.manifest["spec"]["backends"] = 7
    assert (rig.said(9)["phase"], rig.said(9)["generation"]) == ("Complete", 8)


def test_what_was_before_is_kept_for_a_day(rig: Rig) -> None:
    since = int(rig.clock.wall)
    rig.saw("shop", state(2, since=since, previous=BEFORE))
    assert rig.said(2)["previous"]["generation"] == 1
    rig.saw("shop", state(2, since=0, why=Why.UNCHANGED, news=False))
    rig.clock.wall += KEPT_FOR
    told = rig.said(2)
    assert told["previous"]["generation"] == 1 and told["since"] == timestamp(since)
    rig.clock.wall += 1
    told = rig.said(2)
    assert "previous" not in told and told["since"] == timestamp(since)


def test_what_runs_instead_is_kept_as_long_as_it_does(rig: Rig) -> None:
    rig.saw("shop", state(2, Phase.HALTED, effective=1, since=int(rig.clock.wall), previous=BEFORE))
    rig.clock.wall += 2 * KEPT_FOR
    assert rig.said(2)["previous"]["generation"] == 1


def test_each_config_counts_once_by_its_worst_phase(rig: Rig) -> None:
    rig.saw("shop", state(1))
    rig.saw("app", state(1, Phase.PROGRESSING))
    rig.saw("zoo", state(1), uid="uid-other")
    assert rig.counted() == {"Progressing": 1, "Halted": 0, "Complete": 1}
    rig.saw("shop", state(1, Phase.HALTED))
    assert rig.counted() == {"Progressing": 0, "Halted": 1, "Complete": 1}
    rig.saw("shop", None)
    assert rig.counted() == {"Progressing": 1, "Halted": 0, "Complete": 1}
    rig.saw("app", state(1))
    rig.saw("zoo", None)
    assert rig.counted() == {"Progressing": 0, "Halted": 0, "Complete": 1}
    rig.saw("app", None)
    assert rig.counted() == {"Progressing": 0, "Halted": 0, "Complete": 0}


async def test_a_lent_default_is_complete_when_the_last_namespace_has_it() -> None:
    clock, metrics, store, pods, retold = StoodClock(), ControllerMetrics(), Store(), PodIndex(), list[str]()
    teller = RolloutTeller(store, clock, retold.append, lambda notice: None, metrics.rollouts)
    async with serve() as api, Kube(Access(server=api.url)) as kube:
        book = Book(store, Namespaces(), "obs")
        reconciler = Reconciler(
            kube, store, clock, metrics, book=book, demand=pods, on_planned=teller.planned, sources=[teller]
        )
        found = pod(inject="true")
        found["metadata"] |= {"namespace": "shop", "name": "app", "uid": "uid-app"}
        pods.replace([found])

        def write(generation: int, level: str) -> None:
            status = api.objects.get(("tracingconfigs", "obs", "default"), {}).get("status", {})
            lent = {"allowedNamespaces": {"from": "All"}, "rollout": {}, "logLevel": level}
            manifest = {**config("default", "obs", generation=generation, **lent), "status": status}
            take({"type": "ADDED", "object": api.put("tracingconfigs", manifest)}, store, reconciler)

        write(1, "Info")
        for namespace in ("obs", "shop", "obs"):
            await reconciler.round(namespace)
        assert phase(api.get("tracingconfigs", "obs", "default")) == "Complete"
        write(2, "Debug")
        assert phase(api.get("tracingconfigs", "obs", "default")) == "Unseen"
        await reconciler.round("obs")
        written = api.get("tracingconfigs", "obs", "default")
        assert phase(written) == "Progressing"
        assert "namespace shop" in written["status"]["rollout"]["message"]
        retold.clear()
        await reconciler.round("shop")
        assert retold == ["obs"]
        await reconciler.round("obs")
        written = api.get("tracingconfigs", "obs", "default")
        assert (phase(written), written["status"]["rollout"]["generation"]) == ("Complete", 2)
