"""Pods that are read for crashes: few at a time, each in its turn, and those first that have come back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from control_api import Api, serve
from control_objects import StoodClock
from tracekeeper_operator.access import Access
from tracekeeper_operator.crashes import EVERY, MOST, Crashes, Group
from tracekeeper_operator.kube import Kube
from tracekeeper_operator.pods.facts import PodFacts
from tracekeeper_operator.pods.index import PodIndex


def pod(name: str, *, crashed: bool = False) -> dict[str, Any]:
    end = {"exitCode": 137, "reason": "OOMKilled", "finishedAt": "2027-01-15T08:00:00Z"}
    status = {"initContainerStatuses": [{"name": "tracekeeper-sidecar", "lastState": {"terminated": end}}]}
    meta = {"name": name, "namespace": "shop", "uid": f"uid-{name}"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "status": status if crashed else {}}


class Rig:
    """A hundred pods, of which the first eighty try something."""

    def __init__(self, api: Api, kube: Kube) -> None:
        self.api, self.clock, self.since = api, StoodClock(), dict[str, float]()
        self.crashes = Crashes(kube, self.clock, self.since.get)
        index = PodIndex()
        index.replace([api.put("pods", pod(f"p{number:02}")) for number in range(100)])
        self.pods: list[PodFacts] = sorted(index.of("shop"), key=lambda pod: pod.name)

    async def read(self, later: float = EVERY) -> list[str]:
        """Names of those that are read then."""
        self.clock.mono += later
        before = len(self.api.requests("GET"))
        await self.crashes.read("shop", [Group(self.pods[:80], self.pods[80:])])
        return [seen.path.rpartition("/")[2] for seen in self.api.requests("GET")[before:]]


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(serve())
        yield Rig(api, await stack.enter_async_context(Kube(Access(api.url), timeout=2.0)))


async def test_each_of_many_has_its_turn_and_few_at_a_time(rig: Rig) -> None:
    found = [await rig.read() for _ in range(4)]
    assert [len(names) for names in found] == [MOST] * 4
    assert sorted(name for names in found for name in names) == [pod.name for pod in rig.pods[:80]]
    assert await rig.read(EVERY / 2) == [], "however often a round comes"
    assert await rig.read(EVERY / 2) == found[0]


async def test_who_has_come_back_is_read_first(rig: Rig) -> None:
    await rig.read()
    last = rig.pods[0]
    rig.since[last.uid] = rig.clock.mono + 1
    rig.api.put("pods", pod(last.name, crashed=True))
    assert last.name in await rig.read()
    assert rig.crashes.of("shop")[last.uid] is not None
    assert last.name not in await rig.read()


async def test_others_are_read_to_compare_once_one_has_crashed(rig: Rig) -> None:
    rig.api.put("pods", pod("p03", crashed=True))
    found = await rig.read()
    assert "p03" in found and len(found) == MOST and len([name for name in found if name >= "p80"]) == MOST // 2
    await rig.crashes.read("shop", [])
    assert not rig.crashes.of("shop"), "nothing is tried any more"


async def test_a_pod_that_cannot_be_read_is_not_known(rig: Rig) -> None:
    rig.api.remove("pods", "shop", "p00")
    assert "p00" in await rig.read()
    assert "uid-p00" not in rig.crashes.of("shop") and "uid-p01" in rig.crashes.of("shop")
