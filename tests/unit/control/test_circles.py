"""Whose target it is: that of a config's pods in each namespace, or of all its pods; configs never share one."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from tracekeeper_operator.control.attached import Attached
from tracekeeper_operator.control.circles import Circles
from tracekeeper_operator.control.facts import ConfigFacts
from tracekeeper_operator.control.groups import Group
from tracekeeper_operator.control.tokens import PodIdentity
from tracekeeper_spec.sampling import Adaptive as Limits
from tracekeeper_spec.sampling import Per

TARGET = 1000.0


class World:
    """Pods of two namespaces, `one` and `two`, that work by the same two configs."""

    def __init__(self, per: Per) -> None:
        limits = Limits(target_traces_per_second=TARGET, per=per)
        self.facts = {uid: ConfigFacts(uid, "one", uid, limits) for uid in ("agents", "web")}
        self.circles = Circles(self._find)
        self.pods = [
            self._attach(uid, namespace, number)
            for uid in self.facts
            for namespace in ("one", "two")
            for number in range(2)
        ]

    def _find(self, uid: str, namespace: str = "") -> ConfigFacts | None:
        return self.facts.get(uid)

    def _attach(self, uid: str, namespace: str, number: int) -> Attached:
        pod = f"{uid}-{namespace}-{number}"
        task = asyncio.current_task()
        assert task is not None
        attached = Attached(PodIdentity(namespace, pod, pod, "default"), self._write, task, 0.0)
        attached.config_uid = uid
        self.circles.enter(attached, 0.0)
        return attached

    async def _write(self, data: bytes) -> None:
        raise AssertionError("nobody is told anything here")

    def set(self, uid: str, per: Per) -> None:
        facts = self.facts[uid]
        assert facts.adaptive is not None
        self.facts[uid] = replace(facts, adaptive=replace(facts.adaptive, per=per))

    def parts(self, now: float) -> dict[str, float]:
        """Of pods that all have as much."""
        for attached in self.pods:
            self._group(attached).report(attached.identity.uid, [("loud", 5000.0)])
        self.circles.refresh(now)
        return {pod.identity.uid: self._group(pod).answer(pod.identity.uid).traces_per_second for pod in self.pods}

    def _group(self, attached: Attached) -> Group:
        circle = self.circles.of(attached)
        assert circle is not None and circle.group is not None
        return circle.group


@pytest.mark.parametrize(("per", "groups", "part"), [(Per.NAMESPACE, 4, TARGET / 2), (Per.CONFIG, 2, TARGET / 4)])
async def test_a_target_is_shared_in_each_namespace_or_by_all_pods_of_the_config(
    per: Per, groups: int, part: float
) -> None:
    world = World(per)
    assert {round(share) for share in world.parts(1.0).values()} == {part}
    assert len(world.circles) == groups


async def test_a_config_that_changes_whose_target_it_is_leaves_the_other_alone() -> None:
    world = World(Per.NAMESPACE)
    world.parts(1.0)
    world.set("agents", Per.CONFIG)
    world.circles.refresh(2.0)
    parts = world.parts(3.0)
    assert {pod: round(part) for pod, part in parts.items()} == {
        pod: 250 if pod.startswith("agents") else 500 for pod in parts
    }
    world.circles.refresh(60.0)
    assert len(world.circles) == 3
