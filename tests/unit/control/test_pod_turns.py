"""Pods without a sidecar that may not be evicted keep nobody else waiting for good."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from control_api import Api, serve
from control_objects import StoodClock
from tracekeeper_operator.access import Access
from tracekeeper_operator.kube import Kube
from tracekeeper_operator.metrics import ControllerMetrics
from tracekeeper_operator.pods.facts import read
from tracekeeper_operator.pods.findings import Findings, Missed
from tracekeeper_operator.pods.index import PodIndex
from tracekeeper_operator.pods.repair import EVERY, Repair
from tracekeeper_operator.pods.turns import Turns

BUDGET = '{"message": "Cannot evict pod: it would violate the budget"}'


def pod(namespace: str, owner: str, number: int) -> dict[str, Any]:
    """Each is younger than the one before."""
    kept = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": owner, "uid": f"uid-{owner}", "controller": True}
    return {
        "metadata": {
            "name": f"{owner}-{number}",
            "namespace": namespace,
            "uid": f"uid-{owner}-{number}",
            "creationTimestamp": f"2020-01-01T00:{number // 60:02}:{number % 60:02}Z",
            "ownerReferences": [kept],
        }
    }


class Rig:
    def __init__(self, api: Api, kube: Kube) -> None:
        self.api, self.clock, self.findings = api, StoodClock(), Findings()
        self.repair = Repair(
            kube,
            PodIndex(),
            self.findings,
            lambda pod: True,
            self._helps,
            self._answers,
            self.clock,
            ControllerMetrics(),
        )

    async def _helps(self, item: Missed) -> bool:
        return True

    async def _answers(self) -> bool:
        return True

    def miss(self, *pods: dict[str, Any]) -> None:
        for each in pods:
            found = read(self.api.put("pods", each))
            self.findings.missed[found.namespace] = (
                *self.findings.missed.get(found.namespace, ()),
                Missed(found, False),
            )

    def held_back(self, owner: str, pods: int) -> None:
        """A budget lets none of its first pods go."""
        for number in [*range(pods)] * 5:
            self.api.fail("POST", f"/pods/{owner}-{number}/eviction", 429, BUDGET)

    async def go(self, rounds: int) -> list[str]:
        """Who was evicted in that many rounds."""
        found = []
        for _ in range(rounds):
            gone = await self.repair.once()
            found += [gone.name] if gone is not None else []
            self.clock.wall += EVERY
        return found


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with serve() as api, Kube(Access(api.url), timeout=2.0) as kube:
        yield Rig(api, kube)


async def test_pods_that_a_budget_holds_back_stop_no_others(rig: Rig) -> None:
    """More of them, and older ones, than are tried before the first may be tried again."""
    rig.held_back("db", 20)
    rig.miss(*(pod("held", "db", number) for number in range(20)))
    rig.miss(*(pod("shop", f"app{number}", 600 + number) for number in range(3)))
    assert await rig.go(6) == ["app0-600", "app1-601", "app2-602"]


async def test_in_one_namespace_an_owner_that_a_budget_holds_back_stops_no_others(rig: Rig) -> None:
    rig.held_back("db", 20)
    rig.miss(*(pod("shop", "db", number) for number in range(20)))
    rig.miss(*(pod("shop", f"app{number}", 600 + number) for number in range(3)))
    assert await rig.go(8) == ["app0-600", "app1-601", "app2-602"]


async def test_of_one_owner_every_pod_has_its_turn(rig: Rig) -> None:
    """A budget may hold back those that are ready and let go the others."""
    rig.held_back("db", 9)
    rig.miss(*(pod("shop", "db", number) for number in range(10)))
    assert await rig.go(10) == ["db-9"]


async def test_an_attempt_by_a_clock_that_was_ahead_holds_nobody_back_for_longer(rig: Rig) -> None:
    rig.miss(*(pod("shop", "app", number) for number in range(2)))
    rig.miss(pod("held", "db", 0))
    rig.held_back("db", 1)
    rig.clock.wall += 30 * 86400
    assert await rig.go(2) == ["app-0"]
    rig.clock.wall -= 30 * 86400
    rig.api.failures.clear()
    assert sorted(await rig.go(2)) == ["app-1", "db-0"]


def test_forgets_who_is_not_there_any_more() -> None:
    turns, first, second = Turns(), read(pod("shop", "app", 1)), read(pod("shop", "db", 2))
    turns.taken(first)
    turns.taken(second)
    assert (turns.rank(first), turns.rank(second)) == ((2, 1, 1), (2, 2, 2))
    turns.keep([first])
    assert (turns.rank(first), turns.rank(second)) == ((2, 1, 1), (2, 0, 0))
    turns.keep([])
    assert turns.rank(first) == (0, 0, 0)
