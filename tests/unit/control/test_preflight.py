"""What becomes known of the sidecar's images: by the pre-flight pod, by injected pods, and where injectors read it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from control_api import Api, serve
from control_objects import StoodClock
from tracekeeper_operator.access import Access
from tracekeeper_operator.images import ImageMemory, Images, scope
from tracekeeper_operator.kube import Kube
from tracekeeper_operator.metrics import ControllerMetrics
from tracekeeper_operator.pods.health import Health
from tracekeeper_operator.pods.image_keeper import AGAIN_AFTER, ImageKeeper
from tracekeeper_operator.preflight import Kind, Preflight, pod, verdict
from tracekeeper_operator.tasks import run_until
from tracekeeper_operator.watch import Watch
from waiting import until

Object = dict[str, Any]
OLD, NEW = "r.example/tracekeeper-sidecar:1", "r.example/tracekeeper-sidecar:2"
HOME, POD = "tracekeeper-system", "tracekeeper-preflight"
DONE: Object = {"terminated": {"exitCode": 0}}
BACK_OFF: Object = {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}}


def shown(state: Object, phase: str = "Pending") -> Object:
    return {"status": {"phase": phase, "containerStatuses": [{"state": state}]}}


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        ({}, Kind.PENDING),
        ({"status": {"phase": "Pending"}}, Kind.PENDING),
        (shown({"waiting": {"reason": "ContainerCreating"}}), Kind.PENDING),
        (shown({"waiting": {"reason": "ErrImagePull", "message": "timeout"}}), Kind.PENDING),
        (shown({"running": {}}, "Running"), Kind.PENDING),
        (shown(DONE, "Succeeded"), Kind.PROVED),
        (shown({"terminated": {"exitCode": 1, "message": "exec format error"}}, "Failed"), Kind.BROKEN),
        (shown(BACK_OFF), Kind.BROKEN),
        (shown({"waiting": {"reason": "InvalidImageName"}}), Kind.BROKEN),
        (shown({"waiting": {"reason": "ErrImageNeverPull"}}), Kind.UNKNOWN),
        ({"status": {"phase": "Failed", "reason": "Evicted"}}, Kind.UNKNOWN),
    ],
)
def test_what_the_pod_shows(found: Object, kind: Kind) -> None:
    assert verdict(found).kind is kind


class Rig:
    def __init__(self, api: Api, kube: Kube, wanted: str = NEW) -> None:
        self.api, self.kube, self.clock, self.metrics = api, kube, StoodClock(), ControllerMetrics()
        self.keeper = ImageKeeper(kube, HOME, wanted, self.clock, self.metrics)
        self.preflight = Preflight(
            kube, HOME, self.keeper, self.clock, self.metrics, pull_secrets=["registry"], poll=0.01, deadline=5.0
        )
        self.told = ImageMemory()
        """What an injector knows."""

    @asynccontextmanager
    async def running(self, *, preflight: bool = True) -> AsyncIterator[None]:
        stop = asyncio.Event()
        watch = Watch(self.kube, scope(HOME), self.told, self.clock)
        tasks = {"keeper": self.keeper.run(), "watch": watch.run()}
        if preflight:
            tasks["preflight"] = self.preflight.run()
        task = asyncio.create_task(run_until(stop, tasks))
        try:
            await until(lambda: self.keeper.loaded.is_set() and self.told.synced)
            yield
        finally:
            stop.set()
            await task

    async def kubelet(self, state: Object) -> Object:
        """Bring the pre-flight pod to this state, once it is there; as which it was made."""
        made = await until(lambda: self.api.objects.get(("pods", HOME, POD)), "the pod is made")
        self.api.put("pods", {**made, **shown(state)})
        return made

    def choice(self, namespace: str = "shop", wanted: str = NEW) -> str | None:
        """What an injector gives."""
        return self.told.images.choose(wanted, namespace)


@pytest.fixture
async def rig() -> AsyncIterator[Callable[..., Rig]]:
    async with serve() as api, Kube(Access(api.url), timeout=2.0) as kube:
        yield lambda wanted=NEW: Rig(api, kube, wanted)


def failing(image: str) -> Health:
    return Health(image, "/spec/initContainers/0", "ErrImagePull", "denied", running=False, shown=image)


def fine(image: str) -> Health:
    return Health(image, "/spec/initContainers/0", "", "", running=True, shown=image)


async def test_a_new_image_is_used_once_a_pod_of_ours_has_run_it(rig: Callable[..., Rig]) -> None:
    it = rig()
    known = Images().proved(OLD).to_json()
    it.api.put(
        "configmaps",
        {"metadata": {"name": "tracekeeper-sidecar-images", "namespace": HOME}, "data": {"images.json": known}},
    )
    async with it.running():
        assert it.choice() == OLD
        made = await it.kubelet({"running": {}})
        assert it.choice() == OLD
        await it.kubelet(DONE)
        await until(lambda: it.choice() == NEW)
        await until(lambda: ("pods", HOME, POD) not in it.api.objects, "the pod is removed")
    spec = made["spec"]
    assert (spec["imagePullSecrets"], spec["automountServiceAccountToken"]) == ([{"name": "registry"}], False)
    assert [owner["name"] for owner in made["metadata"]["ownerReferences"]] == ["tracekeeper-sidecar-images"]
    assert it.metrics.preflights.labels("proved")._value.get() == 1
    again = rig()
    async with again.running():
        # It is known: no pod is made for it after a restart.
        assert again.choice() == NEW
    assert len(it.api.requests("POST", "/pods")) == 1


async def test_one_that_cannot_be_pulled_is_not_used(rig: Callable[..., Rig]) -> None:
    it = rig()
    async with it.running():
        assert it.choice() == NEW
        await it.kubelet(BACK_OFF)
        await until(lambda: it.choice() is None, "injectors give none")
        assert it.metrics.image_broken._value.get() == 1
    for_old = rig(OLD)
    async with for_old.running():
        await for_old.kubelet(DONE)
        await until(lambda: for_old.choice(wanted=NEW) == OLD)
        assert for_old.choice(wanted=OLD) == OLD


async def test_when_nothing_can_be_found_out_it_is_used(rig: Callable[..., Rig]) -> None:
    it = rig()
    it.api.fail("POST", "/pods", 403, '{"message": "exceeded quota"}')
    async with it.running():
        await until(lambda: it.keeper.images.assumed == NEW)
        await until(lambda: it.told.images.assumed == NEW)
        assert it.choice() == NEW


async def test_a_pod_that_cannot_pull_it_counts_in_its_namespace(rig: Callable[..., Rig]) -> None:
    it = rig()
    async with it.running():
        await it.kubelet(DONE)
        await until(lambda: it.keeper.images.good == (NEW,))
        it.keeper.seen(("shop", "app-1"), failing(NEW), own_image=False)
        it.keeper.seen(("else", "app-2"), failing("r.example/own:1"), own_image=True)
        await until(lambda: it.choice() is None)
        assert it.choice("else") == NEW
        assert it.metrics.image_refused._value.get() == 1
        assert len(it.api.requests("POST", "/pods")) == 1
        # In several of them: it is tried once more, and not from what a node may have.
        it.keeper.seen(("else", "app-2"), failing(NEW), own_image=False)
        made = await it.kubelet(BACK_OFF)
        assert made["spec"]["containers"][0]["imagePullPolicy"] == "Always"
        await until(lambda: it.choice("third") is None)
        # One that runs where the image was there already changes nothing about that.
        it.keeper.seen(("third", "app-3"), fine(NEW), own_image=False)
        assert it.keeper.choose("third") is None


async def test_a_namespaces_trouble_is_over_after_an_hour(rig: Callable[..., Rig]) -> None:
    it = rig()
    async with it.running(preflight=False):
        it.keeper.seen(("shop", "app-0"), fine(NEW), own_image=False)
        it.keeper.seen(("shop", "app-1"), failing(NEW), own_image=False)
        await until(lambda: it.choice() is None)
        it.clock.wall += AGAIN_AFTER + 1
        it.keeper.seen(("else", "app-1"), failing(NEW), own_image=False)
        await until(lambda: it.choice() == NEW)
        assert it.choice("else") is None


async def test_before_it_is_known_what_was_known_nothing_is_written(rig: Callable[..., Rig]) -> None:
    it = rig()
    it.api.fail("GET", "/tracekeeper-sidecar-images", 500, "etcd")
    it.keeper.seen(("shop", "app-0"), fine(NEW), own_image=False)
    assert it.keeper.images.good == ()
    async with it.running(preflight=False):
        it.keeper.seen(("shop", "app-0"), fine(NEW), own_image=False)
        await until(lambda: it.told.images.good == (NEW,))
        writes = len(it.api.requests("PATCH"))
        it.keeper.seen(("shop", "app-0"), fine(NEW), own_image=False)
        await until(lambda: it.told.images.good == (NEW,))
        assert len(it.api.requests("PATCH")) == writes == 1


def test_the_pod_is_as_restricted_namespaces_take_it() -> None:
    made = pod(HOME, NEW, "IfNotPresent")
    container = made["spec"]["containers"][0]
    assert made["spec"]["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["resources"]["limits"]["memory"]
