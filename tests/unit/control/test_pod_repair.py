"""Evicting pods without a sidecar, and giving sidecars another image in place: what is chosen, and what is asked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_api import Api, serve
from control_objects import StoodClock
from tracekeeper_operator.access import Access
from tracekeeper_operator.errors import KubeError
from tracekeeper_operator.kube import Kube
from tracekeeper_operator.metrics import ControllerMetrics
from tracekeeper_operator.pods import evictions, repair, update
from tracekeeper_operator.pods.attempts import GIVE_UP, Attempt
from tracekeeper_operator.pods.facts import PodFacts, read
from tracekeeper_operator.pods.findings import Findings, Key, Missed
from tracekeeper_operator.pods.health import Health, health
from tracekeeper_operator.pods.index import PodIndex
from tracekeeper_operator.pods.probe import Probe

Object = dict[str, Any]
OLD, NEW = "r.example/tracekeeper-sidecar:1", "r.example/tracekeeper-sidecar:2"
NOW = StoodClock().wall


def moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def pod(
    name: str,
    *,
    kind: str = "ReplicaSet",
    age: float = 600.0,
    owner: str = "",
    image: str = OLD,
    state: Object | None = None,
    **more: Any,
) -> Object:
    """A pod with a sidecar; those without one differ in nothing that matters here."""
    apps = "v1" if kind == "Node" else "batch/v1" if kind == "Job" else "apps/v1"
    owners = [{"apiVersion": apps, "kind": kind, "name": owner or name, "uid": f"uid-{owner or name}"}]
    return {
        "metadata": {
            "name": name,
            "namespace": "shop",
            "uid": f"uid-of-{name}",
            "creationTimestamp": moment(NOW - age),
            "labels": {"tracekeeper.dev/injected": "true"},
            "annotations": {"tracekeeper.dev/inject": "true", "tracekeeper.dev/sidecar-image": image},
            "ownerReferences": [{**each, "controller": True} for each in owners] if kind else [],
            **more,
        },
        "spec": {
            "initContainers": [{"name": "first", "image": "x"}, {"name": "tracekeeper-sidecar", "image": image}],
            "containers": [{"name": "app", "image": "app:1"}],
        },
        "status": {
            "initContainerStatuses": [
                {
                    "name": "tracekeeper-sidecar",
                    "image": image,
                    "containerID": f"containerd://{name}-of-{image}",
                    "started": state is None,
                    "state": state or {"running": {}},
                }
            ]
        },
    }


def missed(*pods: Object) -> list[Missed]:
    return [Missed(read(each), by_namespace=False) for each in pods]


def everybody(pod: PodFacts) -> bool:
    return True


def test_evicts_the_oldest_that_somebody_makes_anew() -> None:
    pods = missed(
        pod("bare", kind=""),
        pod("job", kind="Job"),
        pod("young", age=20),
        pod("leaving", deletionTimestamp=moment(NOW)),
        pod("b", age=700),
        pod("a", age=900, kind="StatefulSet"),
    )
    chosen = repair.choose(pods, everybody, {}, nobody, {}, NOW)
    assert chosen is not None and chosen.pod.name == "a"
    assert repair.choose(pods, lambda pod: False, {}, nobody, {}, NOW) is None


def test_an_owner_whose_new_pod_has_no_sidecar_either_is_left_alone() -> None:
    past = {"uid-app": Attempt(NOW - 120, frozenset({"uid-of-old", "uid-of-older"}))}
    helped = frozenset({"uid-of-another"})
    older = missed(pod("older", owner="app", age=900))
    both = [*older, *missed(pod("new", owner="app", age=100))]
    assert repair.choose(older, everybody, past, lambda _: helped, {}, NOW) == older[0]
    assert repair.choose(older, everybody, past, nobody, {}, NOW) is None, "nobody knows yet whether it has helped"
    assert repair.choose(both, everybody, past, lambda _: helped, {}, NOW) is None
    assert repair.choose(both, everybody, past, nobody, {}, NOW + GIVE_UP) == older[0]


AGES = st.floats(0, 5000)
PODS = st.lists(st.tuples(st.sampled_from("abc"), AGES, st.booleans(), st.sampled_from(["ReplicaSet", "Job", ""])))


@given(PODS, st.dictionaries(st.sampled_from(["uid-a", "uid-b"]), AGES), st.dictionaries(st.integers(0, 5), AGES))
def test_never_evicts_one_that_is_young_unwanted_or_refused(
    pods: list[tuple[str, float, bool, str]], past: dict[str, float], refused: dict[int, float]
) -> None:
    wanted = {f"pod-{number}": want for number, (_, _, want, _) in enumerate(pods)}
    there = missed(
        *(pod(f"pod-{number}", owner=owner, age=age, kind=kind) for number, (owner, age, _, kind) in enumerate(pods))
    )
    done = {uid: Attempt(NOW - ago, frozenset({"uid-of-pod-0"})) for uid, ago in past.items()}
    not_now = {f"uid-of-pod-{number}": NOW - ago for number, ago in refused.items()}
    chosen = repair.choose(there, lambda pod: wanted[pod.name], done, nobody, not_now, NOW)
    if chosen is not None:
        found = chosen.pod
        assert wanted[found.name] and repair.repairable(found) and found.owner is not None
        assert repair.seconds(found.created) <= NOW - repair.YOUNG
        assert not_now.get(found.uid, 0.0) <= NOW - evictions.REFUSED
        assert found.owner.uid not in done or done[found.owner.uid].at <= NOW - GIVE_UP


def nobody(pod: PodFacts) -> frozenset[str]:
    """The owner has no pod with a sidecar."""
    return frozenset()


class Rig:
    def __init__(self, api: Api, kube: Kube) -> None:
        self.api, self.kube, self.clock = api, kube, StoodClock()
        self.metrics, self.findings, self.index = ControllerMetrics(), Findings(), PodIndex()
        self.answering = True
        self.images: dict[str, str | None] = {}
        self.wanted = True
        self.helping = True
        self.repair = repair.Repair(
            kube, self.index, self.findings, everybody, self._helps, self._answers, self.clock, self.metrics
        )
        self.update = update.Update(
            kube,
            self.index,
            self.findings,
            lambda pod: self.wanted,
            lambda namespace: self.images.get(namespace, NEW),
            NEW,
            self.clock,
            self.metrics,
            on_health=self._noted,
        )

    def _noted(self, key: Key, found: Health | None) -> None:
        self.findings.note(key, found)

    async def _helps(self, item: Missed) -> bool:
        return self.helping

    async def _answers(self) -> bool:
        return self.answering

    def miss(self, *pods: Object) -> None:
        for each in pods:
            each["metadata"]["labels"] = {}
            self.api.put("pods", each)
        self.findings.missed["shop"] = tuple(missed(*pods))

    def sweep(self) -> None:
        """Find all pods that have no sidecar."""
        there = [each for (plural, _, _), each in self.api.objects.items() if plural == "pods"]
        self.findings.missed["shop"] = tuple(missed(*(each for each in there if not each["metadata"]["labels"])))

    def there(self, *pods: Object) -> None:
        for each in pods:
            self.index.put(self.api.put("pods", each))

    def evicted(self) -> list[str]:
        return [seen.body["metadata"]["name"] for seen in self.api.requests("POST", "/eviction")]

    def image(self, name: str) -> str:
        found = self.api.get("pods", "shop", name)
        image = found["spec"]["initContainers"][1]["image"]
        assert found["metadata"]["annotations"]["tracekeeper.dev/sidecar-image"] == image
        assert found["spec"]["containers"][0]["image"] == "app:1"
        return str(image)

    def runs(self, name: str, namespace: str = "shop") -> None:
        """The kubelet has done what the pod says."""
        found = self.api.get("pods", namespace, name)
        image = found["spec"]["initContainers"][1]["image"]
        found["status"] = pod(name, image=image)["status"]
        self.index.put(self.api.put("pods", found))

    def count(self, name: str, result: str) -> float:
        return self.metrics.registry.get_sample_value(f"tracekeeper_controller_{name}_total", {"result": result}) or 0.0


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with serve() as api, Kube(Access(api.url), timeout=2.0) as kube:
        yield Rig(api, kube)


async def test_evicts_one_at_a_time_and_only_that_pod(rig: Rig) -> None:
    rig.miss(pod("a", age=900), pod("b", age=800))
    first = await rig.repair.once()
    assert first is not None and first.name == "a"
    (asked,) = rig.api.requests("POST", "/eviction")
    assert asked.path == "/api/v1/namespaces/shop/pods/a/eviction"
    assert asked.body["deleteOptions"] == {"preconditions": {"uid": "uid-of-a"}}
    assert [item.pod.name for item in rig.findings.missed["shop"]] == ["b"]
    await rig.repair.once()
    assert (rig.evicted(), rig.findings.missed, rig.count("repairs", "evicted")) == (["a", "b"], {}, 2)
    assert await rig.repair.once() is None


async def test_a_disruption_budget_is_respected(rig: Rig) -> None:
    rig.miss(pod("a", age=900), pod("b", age=800))
    rig.api.fail("POST", "/pods/a/eviction", 429, '{"message": "Cannot evict pod: it would violate the budget"}')
    assert await rig.repair.once() is None
    assert rig.count("repairs", "refused") == 1
    await rig.repair.once()
    assert rig.evicted() == ["a", "b"]
    assert [item.pod.name for item in rig.findings.missed["shop"]] == ["a"]
    rig.clock.wall += evictions.REFUSED
    await rig.repair.once()
    assert rig.evicted() == ["a", "b", "a"]


async def test_an_owner_loses_one_pod_an_hour_while_new_ones_get_no_sidecar(rig: Rig) -> None:
    """Whatever the reason may be: the API server cannot reach the webhook, say."""
    rig.miss(*(pod(f"app-{number}", owner="app", age=900) for number in range(3)))
    made = 0
    for step in range(240):  # two hours
        rig.clock.wall += 30.0
        if (gone := await rig.repair.once()) is not None:
            made += 1
            new = pod(f"new-{made}", owner="app", age=NOW - rig.clock.wall)
            new["metadata"]["labels"] = {}
            rig.api.put("pods", new)
            assert gone.uid not in {each["metadata"]["uid"] for each in rig.api.objects.values()}
        if step % 10 == 0:
            rig.sweep()
    assert len(rig.evicted()) == 2
    assert rig.repair.gave_up(read(rig.api.get("pods", "shop", "new-2")))


async def test_the_next_pod_of_an_owner_goes_when_the_new_one_has_a_sidecar(rig: Rig) -> None:
    rig.miss(*(pod(f"app-{number}", owner="app", age=900 - number) for number in range(3)))
    await rig.repair.once()
    assert await rig.repair.once() is None
    rig.there(pod("new-0", owner="app", age=0))
    await rig.repair.once()
    assert rig.evicted() == ["app-0", "app-1"]
    rig.there(pod("new-1", owner="app", age=0))
    bare = pod("new-2", owner="app", age=0)
    bare["metadata"]["labels"] = {}
    rig.api.put("pods", bare)  # which no sweep has found yet
    assert await rig.repair.once() is None
    assert rig.evicted() == ["app-0", "app-1"]
    assert rig.repair.gave_up(read(pod("app-2", owner="app")))


async def test_one_that_would_get_no_sidecar_is_not_evicted(rig: Rig) -> None:
    """No room for one, no image that works: that may have changed since the last sweep."""
    rig.miss(pod("a"))
    rig.helping = False
    assert await rig.repair.once() is None
    assert (rig.evicted(), rig.findings.missed) == ([], {})


async def test_nothing_is_evicted_while_no_injector_answers(rig: Rig) -> None:
    rig.miss(pod("a"))
    rig.answering = False
    await rig.repair.once()
    assert (rig.evicted(), rig.count("repairs", "waiting")) == ([], 1)
    rig.answering = True
    await rig.repair.once()
    assert rig.evicted() == ["a"]


async def test_one_that_may_not_be_evicted_is_told(rig: Rig) -> None:
    rig.miss(pod("a"))
    rig.api.fail("POST", "/eviction", 403, '{"message": "RBAC"}')
    with pytest.raises(KubeError, match=r"create pods shop/a \(eviction\): RBAC"):
        await rig.repair.once()


async def test_an_injector_answers_when_its_service_has_one_that_is_ready(rig: Rig) -> None:
    probe = Probe(rig.kube, "tk", "tk-injector")
    assert not await probe.answers()
    slices = {"metadata": {"name": "s", "namespace": "tk", "labels": {"kubernetes.io/service-name": "tk-injector"}}}
    rig.api.put("endpointslices", {**slices, "endpoints": [{"conditions": {"ready": False}}, {}]})
    assert not await probe.answers()
    rig.api.put("endpointslices", {**slices, "endpoints": [{"conditions": {"ready": True}}]})
    assert await probe.answers()
    rig.api.fail("GET", "/endpointslices", 500, "etcd")
    assert not await probe.answers()


async def test_gives_a_few_sidecars_at_a_time_the_new_image(rig: Rig) -> None:
    names = [f"app-{number}" for number in range(5)]
    rig.there(*(pod(name, age=900 - number) for number, name in enumerate(names)))
    await rig.update.once()
    assert [rig.image(name) for name in names] == [NEW] * 3 + [OLD] * 2
    await rig.update.once()
    assert [rig.image(name) for name in names] == [NEW] * 3 + [OLD] * 2
    rig.runs("app-1")
    await rig.update.once()
    assert [rig.image(name) for name in names] == [NEW] * 4 + [OLD]
    for name in names[:4]:
        rig.runs(name)
    await rig.update.once()
    rig.runs("app-4")
    await rig.update.once()
    assert {rig.image(name) for name in names} == {NEW}
    assert rig.count("image_updates", "done") == 5
    patches = len(rig.api.requests("PATCH"))
    await rig.update.once()
    assert len(rig.api.requests("PATCH")) == patches == 5


async def test_one_that_does_not_run_with_it_stops_the_others(rig: Rig) -> None:
    rig.there(*(pod(f"app-{number}", owner="app", age=900 - number) for number in range(2)))
    await rig.update.once()
    assert (rig.image("app-0"), rig.image("app-1")) == (NEW, OLD)
    rig.clock.mono += update.WITHIN + 1
    for _ in range(3):
        await rig.update.once()
    assert (rig.image("app-1"), rig.count("image_updates", "stuck")) == (OLD, 1)


async def test_one_that_does_not_run_stops_its_namespace_for_a_time_and_two_stop_all(rig: Rig) -> None:
    def elsewhere(namespace: str, name: str, age: float) -> Object:
        made = pod(name, age=age)
        made["metadata"]["namespace"] = namespace
        return made

    rig.there(pod("a", age=900), *(elsewhere(f"space-{n}", f"b-{n}", 800 - n) for n in range(6)))
    await rig.update.once()
    rig.runs("b-0", "space-0")
    rig.runs("b-1", "space-1")
    rig.clock.mono += update.WITHIN + 1
    rig.there(pod("a2", age=700))
    await rig.update.once()
    assert rig.count("image_updates", "stuck") == 1
    given = {name for _, name in patched(rig)}
    assert given == {"a", *(f"b-{n}" for n in range(5))}, "others go on"
    rig.clock.mono += update.WITHIN + 1
    await rig.update.once()
    assert rig.count("image_updates", "stuck") == 4
    assert {name for _, name in patched(rig)} == given, "now nobody does"
    rig.clock.mono += update.STOPPED + 1
    for _, name in patched(rig):
        rig.runs(name, "shop" if name == "a" else f"space-{name[2]}")
    await rig.update.once()
    assert {name for _, name in patched(rig)} - given == {"a2", "b-5"}


def patched(rig: Rig) -> list[tuple[str, str]]:
    """Namespace and name of each pod that was patched, in that order."""
    return [(seen.path.split("/")[4], seen.path.split("/")[6]) for seen in rig.api.requests("PATCH")]


async def test_an_image_that_cannot_be_pulled_in_place_is_seen_at_once(rig: Rig) -> None:
    rig.there(pod("a"), pod("b", age=500))
    rig.images["shop"] = NEW
    await rig.update.once()
    found = rig.api.get("pods", "shop", "a")
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "no such tag"}}
    found["status"] = pod("a", image=NEW, state=waiting)["status"]
    rig.index.put(rig.api.put("pods", found))
    rig.images["shop"] = OLD
    await rig.update.once()
    assert rig.findings.failing["shop", "a"].unpullable
    assert (rig.image("a"), rig.count("image_updates", "stuck")) == (OLD, 1)


async def test_one_that_has_finished_or_does_not_run_is_neither_updated_nor_counted_as_stuck(rig: Rig) -> None:
    ended = pod("job", kind="Job", state={"terminated": {"exitCode": 0}})
    ended["status"]["phase"] = "Succeeded"
    crashing = pod("crashing", state={"waiting": {"reason": "CrashLoopBackOff", "message": ""}})
    finishing = pod("finishing", kind="Job", age=500)
    rig.there(ended, crashing, finishing, pod("fine", age=400), pod("also", age=300))
    await rig.update.once()
    await rig.update.once()
    assert {name for _, name in patched(rig)} == {"finishing", "fine", "also"}
    found = rig.api.get("pods", "shop", "finishing")
    found["status"] = {**ended["status"], "phase": "Succeeded"}
    rig.api.put("pods", found)
    rig.runs("fine")
    rig.runs("also")
    rig.clock.mono += update.WITHIN + 1
    await rig.update.once()
    assert (rig.count("image_updates", "stuck"), rig.count("image_updates", "done")) == (0, 2)


async def test_one_that_runs_never_gets_an_older_image(rig: Rig) -> None:
    """Its namespace's new pods may, while they cannot pull this release's."""
    rig.there(pod("fine", image=NEW), pod("older", image="r.example/tracekeeper-sidecar:0"))
    rig.images["shop"] = OLD
    await rig.update.once()
    assert not rig.api.requests("PATCH")


async def test_one_that_cannot_pull_its_image_gets_one_that_works_whatever_the_config_says(rig: Rig) -> None:
    rig.wanted = False
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "no such tag"}}
    rig.there(pod("fine", image=NEW), pod("stuck", image=NEW, state=waiting))
    rig.images["shop"] = OLD
    await rig.update.once()
    assert not rig.api.requests("PATCH")
    rig.findings.note(("shop", "stuck"), health(rig.api.get("pods", "shop", "stuck")))
    await rig.update.once()
    assert (rig.image("stuck"), rig.image("fine")) == (OLD, NEW)


async def test_a_pod_that_changed_meanwhile_is_left_alone(rig: Rig) -> None:
    rig.there(pod("a"))
    rig.api.put("pods", {**pod("a"), "metadata": {**pod("a")["metadata"], "uid": "another"}})
    await rig.update.once()
    assert not rig.api.requests("PATCH")
    rig.there(pod("b", age=1000, annotations={"tracekeeper.dev/image": OLD, "tracekeeper.dev/sidecar-image": OLD}))
    await rig.update.once()
    assert not rig.api.requests("PATCH", "/b")


@given(st.lists(st.tuples(st.sampled_from([OLD, NEW, ""]), st.sampled_from("xyz"), st.booleans(), st.booleans())))
def test_never_more_than_a_few_nor_two_of_one_owner(pods: list[tuple[str, str, bool, bool]]) -> None:
    facts = [read(pod(f"p-{n}", image=image, owner=owner)) for n, (image, owner, _, _) in enumerate(pods)]
    stuck = {f"p-{n}": is_stuck for n, (_, _, is_stuck, _) in enumerate(pods)}
    want = {f"p-{n}": wanted for n, (_, _, _, wanted) in enumerate(pods)}
    busy = facts[:2]
    steps = update.choose(facts, lambda p: want[p.name], lambda _: NEW, NEW, lambda p: stuck[p.name], busy)
    assert len(steps) + len(busy) <= max(update.AT_ONCE, len(busy))
    owners = [each.owner.uid for each in (*busy[:1], *(step.pod for step in steps)) if each.owner is not None]
    assert len(set(owners)) == len(owners)
    for step in steps:
        assert step.pod.image == OLD and (stuck[step.pod.name] or want[step.pod.name])
    assert not update.choose(facts, everybody, lambda _: NEW, NEW, everybody, [], lambda *_: True)
    assert not update.choose(facts, everybody, lambda _: None, NEW, everybody, [])
    for step in update.choose(facts, everybody, lambda _: OLD, NEW, lambda p: stuck[p.name], []):
        assert stuck[step.pod.name]
