"""The sweep: which pods are missed, whose sidecars fail, and what finding that out asks of the API server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from control_api import Api, serve
from control_objects import StoodClock
from tracekeeper_operator.access import Access
from tracekeeper_operator.bounds import Bounds
from tracekeeper_operator.clock import SystemClock
from tracekeeper_operator.errors import KubeError
from tracekeeper_operator.kube import Kube
from tracekeeper_operator.metrics import ControllerMetrics
from tracekeeper_operator.pods.findings import Findings
from tracekeeper_operator.pods.index import INJECTED, PodIndex
from tracekeeper_operator.pods.judge import Judge
from tracekeeper_operator.pods.sweep import REMEMBERED, Sweep
from tracekeeper_operator.tasks import run_until
from tracekeeper_operator.watch import Watch
from waiting import until

Object = dict[str, Any]


def plain(name: str, namespace: str = "shop", *, phase: str = "Running", **annotations: str) -> Object:
    """A pod without a sidecar."""
    return {
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"uid-{namespace}-{name}",
            "labels": {"app": "care"},
            "annotations": {f"tracekeeper.dev/{key}": value for key, value in annotations.items()},
        },
        "spec": {"containers": [{"name": "app", "image": "app:1"}]},
        "status": {"phase": phase},
    }


def injected(name: str, namespace: str = "shop", *, phase: str = "Running", **state: Any) -> Object:
    """A pod with a sidecar; `state` is that of its container."""
    pod = plain(name, namespace, phase=phase, inject="true")
    pod["metadata"]["labels"]["tracekeeper.dev/injected"] = "true"
    pod["spec"]["initContainers"] = [{"name": "tracekeeper-sidecar", "image": "r.example/tracekeeper-sidecar:1"}]
    pod["status"]["initContainerStatuses"] = [
        {
            "name": "tracekeeper-sidecar",
            "image": "r.example/tracekeeper-sidecar:1",
            "started": "running" in state,
            "state": state,
        }
    ]
    return pod


UNPULLABLE: dict[str, Any] = {"waiting": {"reason": "ImagePullBackOff", "message": "no such tag"}}


class Rig:
    def __init__(self, api: Api, kube: Kube, clock: Any) -> None:
        self.api, self.kube, self.clock = api, kube, clock
        self.metrics, self.index, self.findings = ControllerMetrics(), PodIndex(), Findings()
        self.judged: list[tuple[str, bool]] = []
        self.told: list[str] = []
        self.sweep = Sweep(
            kube,
            self.index,
            self.findings,
            Judge(kube, self.judge),
            clock,
            self.metrics,
            excluded=frozenset({"kube-system", "tracekeeper-system"}),
            period=3600.0,
            gather=0.02,
        )
        self.sweep.on_finding(self.told.append)

    def judge(self, pod: Object, namespace: str, by_namespace: bool, bounds: Bounds) -> bool:
        assert pod["spec"]["containers"], "the whole pod"
        self.judged.append((pod["metadata"]["name"], by_namespace))
        return "hostNetwork" not in pod["spec"] and not bounds.pod

    def missed(self) -> set[str]:
        known = self.findings.missed.items()
        return {f"{namespace}/{item.pod.name}" for namespace, items in known for item in items}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        stop = asyncio.Event()
        watch = Watch(self.kube, INJECTED, self.index, self.clock, duration=0.5)
        task = asyncio.create_task(run_until(stop, {"watch": watch.run(), "sweep": self.sweep.run()}))
        try:
            await until(lambda: self.index.synced and self.findings.complete)
            yield
        finally:
            stop.set()
            await task


@pytest.fixture
async def rig() -> AsyncIterator[Callable[..., Rig]]:
    async with serve() as api, Kube(Access(api.url), timeout=2.0) as kube:
        yield lambda clock=None: Rig(api, kube, clock or StoodClock())


async def test_finds_opted_in_pods_without_a_sidecar_and_no_others(rig: Callable[..., Rig]) -> None:
    it = rig()
    it.api.put("namespaces", {"metadata": {"name": "labelled", "labels": {"tracekeeper.dev/inject": "true"}}})
    it.api.put("namespaces", {"metadata": {"name": "shop", "labels": {}}})
    host = plain("host", inject="true")
    host["spec"]["hostNetwork"] = True
    mirror = plain("mirror", inject="true")
    mirror["metadata"]["annotations"]["kubernetes.io/config.mirror"] = "hash"
    going = plain("going", inject="true")
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    pods = [
        plain("asked", inject="true"),
        plain("named", inject="platform/strict"),
        plain("refused", inject="false"),
        plain("silent"),
        plain("done", inject="true", phase="Succeeded"),
        plain("by-label", "labelled"),
        plain("against-label", "labelled", inject="false"),
        plain("ours", "tracekeeper-system", inject="true"),
        injected("fine", running={}),
        host,
        mirror,
        going,
    ]
    for pod in pods:
        it.api.put("pods", pod)
    await it.sweep.once()
    assert it.missed() == {"shop/asked", "shop/named", "labelled/by-label"}
    assert sorted(it.judged) == [("asked", False), ("by-label", True), ("host", False), ("named", False)]
    assert sorted(it.told) == ["labelled", "shop"]
    assert {item.by_namespace for item in it.findings.missed["labelled"]} == {True}


async def test_reads_whole_pods_only_where_somebody_opted_in_and_once(rig: Callable[..., Rig]) -> None:
    clock = StoodClock()
    it = rig(clock)
    for number in range(7):
        it.api.put("pods", plain(f"stranger-{number}", "else"))
    it.api.put("pods", plain("asked", inject="true"))
    it.api.page = 3
    await it.sweep.once()
    whole = [seen for seen in it.api.requests("GET", "/pods") if "PartialObjectMetadata" not in seen.headers["Accept"]]
    assert {seen.path for seen in whole} == {"/api/v1/namespaces/shop/pods", "/api/v1/pods"}
    assert all("injected=true" in seen.query["labelSelector"] for seen in whole if seen.path == "/api/v1/pods")
    await it.sweep.once()
    assert it.judged == [("asked", False)]
    assert it.missed() == {"shop/asked"}
    clock.mono += REMEMBERED + 1
    await it.sweep.once()
    assert len(it.judged) == 2


async def test_pods_are_judged_by_what_their_namespace_asks_of_containers(rig: Callable[..., Rig]) -> None:
    it = rig()
    item = {"type": "Pod", "max": {"memory": "64Mi"}}
    it.api.put("limitranges", {"metadata": {"name": "small", "namespace": "shop"}, "spec": {"limits": [item]}})
    for namespace in ("shop", "else"):
        it.api.put("pods", plain("asked", namespace, inject="true"))
    await it.sweep.once()
    assert it.missed() == {"else/asked"}
    it.api.remove("limitranges", "shop", "small")
    it.sweep.rejudge("else")
    await it.sweep.once()
    assert it.missed() == {"else/asked"}
    it.sweep.rejudge(None)
    await it.sweep.once()
    assert it.missed() == {"else/asked", "shop/asked"}


async def test_one_without_our_label_that_has_a_sidecar_is_not_missed(rig: Callable[..., Rig]) -> None:
    it = rig()
    before = injected("before", running={})
    before["metadata"]["labels"] = {}
    it.api.put("pods", before)
    await it.sweep.once()
    assert (it.missed(), it.judged, it.told) == (set(), [], ["shop"])
    (older,) = it.findings.older["shop"]
    assert (older.name, older.image) == ("before", "r.example/tracekeeper-sidecar:1")
    it.api.remove("pods", "shop", "before")
    await it.sweep.once()
    assert not it.findings.older


async def test_one_that_is_replaced_is_no_longer_missed(rig: Callable[..., Rig]) -> None:
    it = rig()
    it.api.put("pods", plain("asked", inject="true"))
    await it.sweep.once()
    it.api.remove("pods", "shop", "asked")
    it.api.put("pods", injected("asked", running={}))
    await it.sweep.once()
    assert (it.missed(), it.told) == (set(), ["shop", "shop"])


async def test_a_sweep_that_fails_takes_nothing_back(rig: Callable[..., Rig]) -> None:
    it = rig()
    it.api.put("pods", plain("asked", inject="true"))
    await it.sweep.once()
    it.api.fail("GET", "/api/v1/pods", 500, "etcd")
    with pytest.raises(KubeError):
        await it.sweep.once()
    assert it.missed() == {"shop/asked"}


async def test_a_sidecar_that_cannot_start_is_seen_at_once_and_so_is_its_recovery(rig: Callable[..., Rig]) -> None:
    it = rig(SystemClock())
    it.api.put("pods", injected("early", running={}))
    async with it.running():
        assert not it.findings.failing
        it.api.put("pods", injected("late", phase="Pending", **UNPULLABLE))
        await until(lambda: it.findings.failing)
        health = it.findings.failing["shop", "late"]
        assert (health.unpullable, health.message, health.path) == (True, "no such tag", "/spec/initContainers/0")
        it.api.put("pods", injected("late", phase="Running", running={}))
        await until(lambda: not it.findings.failing)
        it.api.put("pods", injected("late", phase="Pending", **UNPULLABLE))
        await until(lambda: it.findings.failing)
        it.api.remove("pods", "shop", "late")
        await until(lambda: not it.findings.failing)
    assert it.told.count("shop") == 4


async def test_at_rest_nothing_is_asked_between_two_sweeps(rig: Callable[..., Rig]) -> None:
    it = rig(SystemClock())
    for number in range(5):
        it.api.put("pods", injected(f"app-{number}", running={}))
    async with it.running():
        await until(lambda: len(it.index) == 5)
        await until(lambda: [seen for seen in it.api.seen if "Pending" in seen.query.get("fieldSelector", "")])
        asked = len(it.api.requests("GET"))
        for _ in range(3):
            await until(lambda: it.api.watchers)
            it.api.close_watches()
            await until(lambda: not it.api.watchers)
        await until(lambda: it.api.watchers)
        others = [seen for seen in it.api.requests("GET")[asked:] if "watch" not in seen.query]
    assert not others, others
