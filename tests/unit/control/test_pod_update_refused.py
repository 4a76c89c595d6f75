"""Sidecars whose image may not be changed in place keep no other from getting theirs."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from control_api import Api, serve
from control_objects import StoodClock
from tracekeeper_operator.access import Access
from tracekeeper_operator.kube import Kube
from tracekeeper_operator.metrics import ControllerMetrics
from tracekeeper_operator.pods import update
from tracekeeper_operator.pods.findings import Findings
from tracekeeper_operator.pods.health import health
from tracekeeper_operator.pods.index import PodIndex

Object = dict[str, Any]
OLD, NEW = "r.example/tracekeeper-sidecar:1", "r.example/tracekeeper-sidecar:2"
UNPULLED = {"waiting": {"reason": "ImagePullBackOff", "message": "no such tag"}}


def pod(namespace: str, number: int, *, state: Object | None = None, where: str = "initContainers") -> Object:
    """Each is younger than the one before."""
    name = f"{namespace}-{number}"
    status = {"name": "tracekeeper-sidecar", "image": OLD, "containerID": "c", "started": state is None}
    return {
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"uid-of-{name}",
            "creationTimestamp": f"2020-01-01T00:00:{number:02}Z",
            "labels": {"tracekeeper.dev/injected": "true"},
            "annotations": {"tracekeeper.dev/inject": "true", "tracekeeper.dev/sidecar-image": OLD},
        },
        "spec": {where: [{"name": "tracekeeper-sidecar", "image": OLD}]},
        "status": {f"{where.removesuffix('s')}Statuses": [{**status, "state": state or {"running": {}}}]},
    }


class Rig:
    def __init__(self, api: Api, kube: Kube) -> None:
        self.api, self.clock, self.index, self.findings = api, StoodClock(), PodIndex(), Findings()
        self.metrics = ControllerMetrics()
        self.update = update.Update(
            kube,
            self.index,
            self.findings,
            lambda pod: True,
            lambda namespace: NEW,
            NEW,
            self.clock,
            self.metrics,
        )

    def there(self, *pods: Object) -> None:
        for each in pods:
            self.index.put(self.api.put("pods", each))
            meta = each["metadata"]
            self.findings.note((meta["namespace"], meta["name"]), health(each))

    def refuse(self, pods: int, status: int, times: int = 20) -> None:
        for number in [*range(pods)] * times:
            self.api.fail("PATCH", f"/pods/held-{number}", status, '{"message": "violates PodSecurity"}')

    async def rounds(self, count: int) -> None:
        for _ in range(count):
            await self.update.once()
            self.clock.mono += update.EVERY

    def asked(self) -> list[str]:
        return [seen.path.rpartition("/")[2] for seen in self.api.requests("PATCH")]


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with serve() as api, Kube(Access(api.url), timeout=2.0) as kube:
        yield Rig(api, kube)


@pytest.mark.parametrize("status", [403, 422, 409, 500])
@pytest.mark.parametrize("state", [None, UNPULLED], ids=["runs", "stuck"])
async def test_pods_that_may_not_be_patched_stop_no_others(rig: Rig, status: int, state: Object | None) -> None:
    rig.refuse(6, status)
    rig.there(*(pod("held", number, state=state) for number in range(6)), pod("shop", 50, state=state))
    await rig.rounds(3)
    assert "shop-50" in rig.asked()


async def test_one_that_may_not_be_patched_is_tried_less_and_less_often_and_told_of_once(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    rig.refuse(1, 403)
    rig.there(pod("held", 0))
    with caplog.at_level(logging.WARNING):
        await rig.rounds(100)
        assert len(rig.asked()) == 1
        rig.clock.mono += update.LATER
        await rig.rounds(100)
        assert len(rig.asked()) == 2
        rig.clock.mono += update.LATER
        await rig.rounds(1)
        assert len(rig.asked()) == 2, "twice as long"
    assert len([each for each in caplog.records if "PodSecurity" in each.getMessage()]) == 1


async def test_what_is_no_native_sidecar_is_not_patched(rig: Rig) -> None:
    """Operators make no others; the API server refuses it to the controller, where the chart's policy is there."""
    rig.there(pod("held", 0, where="containers"), pod("shop", 1))
    await rig.rounds(2)
    assert rig.asked() == ["shop-1"]


async def test_namespaces_take_turns(rig: Rig) -> None:
    rig.refuse(30, 403, times=1)
    rig.there(*(pod("held", number) for number in range(30)), pod("shop", 50), pod("else", 51))
    await rig.rounds(2)
    assert {"shop-50", "else-51"} <= set(rig.asked())
