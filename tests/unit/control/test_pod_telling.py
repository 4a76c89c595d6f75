"""What is said of pods: the counts in each status, the condition Injected, and the metric."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_api import Api, serve
from control_objects import StoodClock, config
from tracekeeper_operator.access import Access
from tracekeeper_operator.errors import KubeError
from tracekeeper_operator.events import Notice
from tracekeeper_operator.images import Images, manifest
from tracekeeper_operator.kube import Kube
from tracekeeper_operator.metrics import ControllerMetrics
from tracekeeper_operator.plan import Plan
from tracekeeper_operator.pods.counts import Attached, count, total
from tracekeeper_operator.pods.facts import PodFacts, read
from tracekeeper_operator.pods.options import PodOptions
from tracekeeper_operator.pods.service import PodService
from tracekeeper_operator.reconcile import Reconciler
from tracekeeper_operator.store import Store
from tracekeeper_spec.policy import PolicyDocument, PolicyEntry

Object = dict[str, Any]
IMAGE, OLD = "r.example/tracekeeper-sidecar:2", "r.example/tracekeeper-sidecar:1"
FAILS = {"waiting": {"reason": "CreateContainerConfigError", "message": "no such key"}}


@dataclass
class Sidecar:
    revision: int
    silent: bool = False
    unscraped: bool = False
    at_floor: bool = False


def pod(name: str, image: str = IMAGE, *, state: Object | None = None, kind: str = "ReplicaSet") -> Object:
    """One with a sidecar; without one where there is no image."""
    owner = {"apiVersion": "apps/v1", "kind": kind, "name": "app", "uid": "uid-app", "controller": True}
    marks = {"tracekeeper.dev/sidecar-image": image} if image else {}
    sidecar = {"name": "tracekeeper-sidecar", "image": image}
    status = {"name": "tracekeeper-sidecar", "image": image, "started": True, "state": state or {"running": {}}}
    return {
        "metadata": {
            "name": name,
            "namespace": "shop",
            "uid": f"uid-{name}",
            "labels": {"tracekeeper.dev/injected": "true"} if image else {},
            "annotations": {"tracekeeper.dev/inject": "true", **marks},
            "ownerReferences": [owner],
        },
        "spec": {
            "containers": [{"name": "app", "image": "app:1"}],
            **({"initContainers": [sidecar]} if image else {}),
        },
        "status": {"phase": "Running", **({"initContainerStatuses": [status]} if image else {})},
    }


class Rig:
    def __init__(self, api: Api, kube: Kube, *, eviction: bool = False) -> None:
        self.api, self.kube, self.metrics, self.store = api, kube, ControllerMetrics(), Store()
        self.attached: dict[str, Attached] = {}
        self.notices: list[Notice] = []
        self.asked = 0
        """How many namespaces were counted."""
        options = PodOptions("tk", image=IMAGE, eviction=eviction)
        self.service = PodService(
            kube,
            options,
            lambda pod, namespace, by_namespace, bounds: not bounds.pod,
            self,
            self._answers,
            lambda namespace: None,
            self.notices.append,
            StoodClock(),
            self.metrics,
        )
        self.reconciler = Reconciler(
            kube,
            self.store,
            StoodClock(),
            self.metrics,
            demand=self.service.index,
            on_planned=self.service.planned,
            on_published=self.service.published,
            sources=[self.service.teller],
        )

    async def _answers(self) -> bool:
        return True

    def pods(self) -> Mapping[str, Attached]:
        self.asked += 1
        return self.attached

    async def look(self, *pods: Object, **spec: Any) -> Object:
        """The status of a config once all of these pods have been looked at."""
        self.store.put(self.api.put("tracingconfigs", config(**spec)))
        for each in pods:
            self.api.put("pods", each)
        self.service.index.replace(each for each in pods if each["metadata"]["labels"])
        await self.reconciler.round("shop")
        await self.service.sweep_once()
        await self.reconciler.round("shop")
        return dict(self.api.get("tracingconfigs", "shop", "agents")["status"])


def injected(status: Object) -> tuple[str, str, str]:
    found = next(each for each in status["conditions"] if each["type"] == "Injected")
    return found["status"], found["reason"], found["message"]


@pytest.fixture
async def rig() -> AsyncIterator[Callable[..., Rig]]:
    async with serve() as api, Kube(Access(api.url), timeout=2.0) as kube:
        yield lambda **options: Rig(api, kube, **options)


async def test_counts_every_pod_of_a_config(rig: Callable[..., Rig]) -> None:
    it = rig()
    revision = (await it.look())["policy"]["revision"]
    it.attached = {"uid-a": Sidecar(revision), "uid-b": Sidecar(revision - 1, silent=True)}
    it.attached |= {"uid-c": Sidecar(revision, unscraped=True, at_floor=True), "uid-x": Sidecar(1)}
    failing = pod("d", state=FAILS)
    status = await it.look(pod("a"), pod("b", OLD), pod("c"), failing, pod("e", ""))
    assert status["pods"] == {
        "matched": 5,
        "injected": 4,
        "current": 2,
        "stale": 1,
        "outdatedImage": 1,
        "silent": 1,
        "silentPods": ["shop/b"],
        "unscraped": 1,
        "atFloor": 1,
        "missed": 1,
        "failed": 1,
    }
    assert injected(status)[:2] == ("False", "SidecarsFail")
    assert "shop/d" in injected(status)[2] and "no such key" in injected(status)[2]
    await it.service.teller.measure()
    for state, value in (("injected", 4), ("missed", 1), ("failed", 1), ("outdated", 1), ("stale", 1)):
        labels = {"namespace": "shop", "state": state}
        assert it.metrics.registry.get_sample_value("tracekeeper_controller_pods", labels) == value


async def test_what_is_not_known_yet_is_not_said(rig: Callable[..., Rig]) -> None:
    it = rig()
    it.store.put(it.api.put("tracingconfigs", config()))
    await it.reconciler.round("shop")
    status = it.api.get("tracingconfigs", "shop", "agents")["status"]
    assert "pods" not in status
    assert "Injected" not in {each["type"] for each in status["conditions"]}


@pytest.mark.parametrize(
    ("eviction", "sidecar", "kind", "advice"),
    [
        (True, {}, "ReplicaSet", "kubectl rollout restart"),
        (False, {"repair": "Evict"}, "ReplicaSet", "sidecar.repair.enabled"),
        (True, {"repair": "Evict"}, "ReplicaSet", "one at a time"),
        (True, {"repair": "Evict"}, "Job", "make those anew"),
    ],
)
async def test_a_missed_pod_is_named_with_what_to_do(
    rig: Callable[..., Rig], eviction: bool, sidecar: Object, kind: str, advice: str
) -> None:
    it = rig(eviction=eviction)
    status, reason, message = injected(await it.look(pod("late", "", kind=kind), sidecar=sidecar))
    assert (status, reason) == ("False", "PodsMissed")
    assert "shop/late" in message and advice in message


async def test_an_image_that_cannot_be_used_is_told_first(rig: Callable[..., Rig]) -> None:
    it = rig()
    known = Images().proved(OLD).failed(IMAGE, "no such tag", 1.0)
    it.api.put("configmaps", manifest("tk", known))
    await it.service.load_images()
    status, reason, message = injected(await it.look(pod("a", OLD), pod("late", "")))
    assert (status, reason) == ("False", "OlderImage")
    assert "no such tag" in message and OLD in message


async def test_pods_that_are_well_and_no_pods_at_all(rig: Callable[..., Rig]) -> None:
    it = rig()
    assert injected(await it.look())[:2] == ("Unknown", "NoPods")
    assert injected(await it.look(pod("a")))[:2] == ("True", "Injected")


async def test_pods_that_were_injected_before_there_was_a_label_count_as_outdated(
    rig: Callable[..., Rig],
) -> None:
    it = rig()
    revision = (await it.look())["policy"]["revision"]
    before = pod("before", OLD)
    before["metadata"]["labels"] = {}
    before["metadata"]["annotations"] = {"tracekeeper.dev/inject": "true", "tracekeeper.dev/injected": "0.1.0"}
    it.attached = {"uid-before": Sidecar(revision)}
    status = await it.look(before)
    counted = {name: number for name, number in status["pods"].items() if number}
    assert counted == {"matched": 1, "injected": 1, "current": 1, "outdatedImage": 1}
    assert injected(status)[:2] == ("True", "Injected")
    assert not it.service.index.vacant("shop")
    it.api.remove("pods", "shop", "before")
    assert (await it.look())["pods"]["injected"] == 0
    assert it.service.index.vacant("shop")


async def test_sidecars_with_this_releases_image_are_not_outdated_where_others_get_an_older_one(
    rig: Callable[..., Rig],
) -> None:
    it = rig()
    it.api.put("configmaps", manifest("tk", Images().proved(OLD).proved(IMAGE).refuse("shop", IMAGE, "no secret", 1.0)))
    await it.service.load_images()
    assert (await it.look(pod("a"), pod("b", OLD), pod("c", "r.example/sidecar:0")))["pods"]["outdatedImage"] == 1


async def test_no_image_is_given_in_place_before_it_is_known_which_ones_are_bad(rig: Callable[..., Rig]) -> None:
    it = rig()
    it.api.put("configmaps", manifest("tk", Images().proved(OLD).proved(IMAGE)))
    await it.look(pod("a", OLD), sidecar={"imageUpdate": "InPlace"})
    patches = "/pods/a"
    await it.service._update.once()
    assert not it.api.requests("PATCH", patches)
    await it.service.load_images()
    await it.service._update.once()
    assert len(it.api.requests("PATCH", patches)) == 1


async def test_what_has_changed_since_a_sweep_counts_before_a_pod_is_evicted(rig: Callable[..., Rig]) -> None:
    it = rig(eviction=True)
    late = [pod(f"late-{number}", "") for number in range(3)]
    assert (await it.look(*late, sidecar={"repair": "Evict"}))["pods"]["missed"] == 3
    item = {"type": "Pod", "max": {"memory": "1Mi"}}
    it.api.put("limitranges", {"metadata": {"name": "small", "namespace": "shop"}, "spec": {"limits": [item]}})
    assert await it.service._repair.once() is None
    assert (await it.look(sidecar={"repair": "Evict"}))["pods"]["missed"] == 0, "the others are judged anew as well"
    it.api.remove("limitranges", "shop", "small")
    it.service._sweep.rejudge(None)
    await it.service.sweep_once()
    assert await it.service._repair.once() is not None
    assert len(it.api.requests("POST", "/eviction")) == 1


async def test_who_owns_a_pod_is_told_once_that_its_sidecars_image_cannot_be_pulled(rig: Callable[..., Rig]) -> None:
    it = rig()
    await it.service.load_images()
    state = {"waiting": {"reason": "ErrImagePull", "message": "manifest unknown"}}
    await it.look(pod("a", state=state), pod("b", state=state), pod("c"))
    (notice,) = it.notices
    assert (notice.owner.kind, notice.owner.name, notice.reason) == ("ReplicaSet", "app", "SidecarImageNotPulled")
    assert notice.warning and f"{IMAGE}, cannot be pulled (ErrImagePull: manifest unknown)" in notice.message
    assert "pull secret" in notice.message and "start without a sidecar, so a restart helps" in notice.message
    await it.look(pod("a", OLD, state=state))
    assert len(it.notices) == 2, "another image is another matter"
    mine = pod("mine", "mine:1", state=state)
    mine["metadata"]["annotations"]["tracekeeper.dev/image"] = "mine:1"
    await it.look(mine)
    assert "the pod's annotation tracekeeper.dev/image; the kubelet tries again" in it.notices[-1].message


async def test_of_a_policy_that_could_not_be_published_nobody_is_behind(rig: Callable[..., Rig]) -> None:
    it = rig()
    revision = (await it.look())["policy"]["revision"]
    it.attached = {"uid-a": Sidecar(revision)}
    assert (await it.look(pod("a")))["pods"]["current"] == 1
    it.store.put(it.api.put("tracingconfigs", config(logLevel="Debug")))
    it.api.fail("PATCH", "/tracekeeper-policy", 403, '{"message": "exceeded quota"}')
    with pytest.raises(KubeError, match="exceeded quota"):
        await it.reconciler.round("shop")
    await it.service.teller.measure()
    labels = {"namespace": "shop", "state": "stale"}
    assert it.metrics.registry.get_sample_value("tracekeeper_controller_pods", labels) == 0
    await it.reconciler.round("shop")
    await it.service.teller.measure()
    assert it.metrics.registry.get_sample_value("tracekeeper_controller_pods", labels) == 1


async def test_of_a_policy_that_is_gone_for_good_nobody_is_behind(rig: Callable[..., Rig]) -> None:
    it = rig()
    it.attached = {"uid-a": Sidecar((await it.look(pod("a")))["policy"]["revision"])}
    clock, manifest = it.reconciler._clock, it.api.get("tracingconfigs", "shop", "agents")
    assert isinstance(clock, StoodClock)
    it.store.remove(manifest)
    labels = {"namespace": "shop", "state": "stale"}
    for seconds in (1, 700, 1400):
        clock.wall += seconds
        await it.reconciler.round("shop")
        published = it.service._policies.revision("shop")
        if seconds == 1:
            assert published
            it.attached = {"uid-a": Sidecar(published)}  # It hears that its config has been retired.
        await it.service.teller.measure()
        assert it.metrics.registry.get_sample_value("tracekeeper_controller_pods", labels) == 0
    assert published == 0
    with pytest.raises(KeyError):
        it.api.get("secrets", "shop", "tracekeeper-policy")


async def test_who_is_behind_is_known_again_after_a_start_that_can_write_nothing(rig: Callable[..., Rig]) -> None:
    before = rig()
    revision = (await before.look())["policy"]["revision"]
    it = rig()
    it.attached = {"uid-a": Sidecar(revision - 1), "uid-b": Sidecar(revision)}
    it.api.fail("PATCH", "/tracekeeper-policy", 403, '{"message": "exceeded quota"}')
    with pytest.raises(KubeError, match="exceeded quota"):
        await it.look(pod("a"), pod("b"), logLevel="Debug")
    assert it.service._policies.revision("shop") == revision


class Read(dict[str, Any]):
    """A spec that counts how often it is looked into."""

    times = 0

    def __getitem__(self, key: str) -> Any:
        self.times += 1
        return super().__getitem__(key)


async def test_a_policy_is_read_once_and_not_for_every_pod(rig: Callable[..., Rig]) -> None:
    it = rig()
    spec = Read(selector={"matchLabels": {"tracekeeper.dev/injected": "true"}}, sidecar={"imageUpdate": "InPlace"})
    document = PolicyDocument(1, (PolicyEntry("a", "shop", "uid-a", 1, "", spec),), namespace="shop")
    it.service.planned(Plan("shop", (), document, write=False, delete=False))
    it.service.index.replace(pod(f"app-{number}") for number in range(50))
    await it.service.sweep_once()
    for _ in range(3):
        await it.service.teller.measure()
    assert spec.times == 1


async def test_what_changes_at_once_is_counted_once_and_others_work_meanwhile(rig: Callable[..., Rig]) -> None:
    it = rig()
    spaces = [f"space-{number}" for number in range(30)]
    for space in spaces:
        late = pod("late", "")
        late["metadata"] |= {"namespace": space, "uid": f"uid-{space}"}
        it.api.put("pods", late)
    it.service.index.replace([])
    counting = asyncio.create_task(it.service.teller.run(3600.0))
    try:
        await asyncio.sleep(0)
        await it.service.sweep_once()
        gauge = it.metrics.registry.get_sample_value

        def told() -> int:
            labels = ({"namespace": space, "state": "missed"} for space in spaces)
            return sum(gauge("tracekeeper_controller_pods", each) == 1 for each in labels)

        assert told() == 0
        seen = set()
        while (done := told()) < len(spaces):
            seen.add(done)
            await asyncio.sleep(0)
        assert len(seen) > 3, "it was counted in one go"
        assert it.asked == len(spaces)
    finally:
        counting.cancel()
        await asyncio.gather(counting, return_exceptions=True)


FACTS = st.lists(st.tuples(st.sampled_from(["x", "y", ""]), st.booleans(), st.sampled_from([IMAGE, OLD, ""])))


@given(FACTS, FACTS, st.dictionaries(st.integers(0, 5), st.tuples(st.integers(0, 3), st.booleans())))
def test_every_pod_is_counted_once(
    with_one: list[tuple[str, bool, str]],
    without: list[tuple[str, bool, str]],
    attached: dict[int, tuple[int, bool]],
) -> None:
    configs: dict[str, str] = {}

    def facts(kind: str, number: int, uid: str, image: str) -> PodFacts:
        configs[f"uid-{kind}{number}"] = uid
        return read(pod(f"{kind}{number}", image))

    there = [facts("p", number, uid, image) for number, (uid, _, image) in enumerate(with_one)]
    failing = {f"p{number}" for number, (_, fails, _) in enumerate(with_one) if fails}
    missed = [facts("m", number, uid, image) for number, (uid, _, image) in enumerate(without)]
    found = count(
        there,
        missed,
        config_of=lambda pod: configs[pod.uid],
        revision=2,
        attached={f"uid-p{number}": Sidecar(*what) for number, what in attached.items()},
        failing=lambda pod: pod.name in failing,
        image=IMAGE,
        newest=IMAGE,
    )
    whole = total(found.values())
    assert (whole.injected, whole.missed, whole.failed) == (len(there), len(missed), len(failing))
    for each in (*found.values(), whole):
        assert each.matched == each.injected + each.missed
        assert each.current + each.stale <= each.injected
        assert max(each.failed, each.outdated, each.silent) <= each.injected
