"""Links of several sidecars and the operator's own server: a target that is shared, and traces that others keep."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from control_world import CONFIG, World, serving
from link_world import World as Pod
from link_world import linked
from tracekeeper_sidecar.coordination import KeptBatch, Report
from waiting import until


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with serving(World()) as found:
        yield found


async def attach(stack: AsyncExitStack, world: World, folder: Path, name: str, rate: float) -> Pod:
    (folder / name).mkdir()
    pod = await stack.enter_async_context(linked(folder / name))
    pod.token.write_text(f"shop/{name}")
    pod.hub.found = Report({"loud": rate}, 1.0)
    assert world.material is not None
    pod.attach_to(world.server.port, ca=world.material.ca.encode(), uid=CONFIG)
    return pod


async def test_what_an_earlier_sampler_has_left_comes_to_the_operator(world: World, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        thin = await attach(stack, world, tmp_path, "thin", 0.0)
        full = await attach(stack, world, tmp_path, "full", 8000.0)
        thin.hub.found = Report({"thin": 8000.0}, 1.0, {"thin": 200.0})
        await until(lambda: part(thin) == pytest.approx(225.0), "its 200 and half of what is spread evenly")
        await until(lambda: part(full) == pytest.approx(775.0), "the other has the rest")


def part(pod: Pod) -> float:
    return pod.hub.shares[-1][0] if pod.hub.shares else 0.0


def heard(pod: Pod) -> int:
    return sum(each.traces for each in pod.hub.heard)


async def test_pods_share_a_target_and_whoever_leaves_gives_its_part_back(world: World, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        one = await attach(stack, world, tmp_path, "one", 3000.0)
        async with AsyncExitStack() as inner:
            other = await attach(inner, world, tmp_path, "other", 1000.0)
            await until(lambda: 0 < part(other) < part(one) < 1000, "each has its part")
            await until(lambda: part(one) + part(other) == pytest.approx(1000), "and they are all of the target")
            assert one.hub.shares[-1][1:] == other.hub.shares[-1][1:]
        await until(lambda: part(one) == pytest.approx(1000), "it has all of it")
        assert one.hub.shares[-1][1] == 1
        assert world.metric("tracekeeper_control_streams_ended_total", reason="left") == 1


async def test_what_one_keeps_the_others_hear_of(world: World, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        pods = [await attach(stack, world, tmp_path, name, 10.0) for name in ("one", "two", "three")]
        await until(lambda: all(pod.hub.is_attached for pod in pods), "all are attached")
        batch = KeptBatch("errors", 1 << 50, False, 1e9, b"".join(n.to_bytes(16, "big") for n in range(5000)))
        pods[0].hub.keep(batch)
        await until(lambda: all(heard(pod) >= 5000 for pod in pods[1:]), "they have heard of all")
        for pod in pods[1:]:
            assert b"".join(each.ids for each in pod.hub.heard) == batch.ids
            assert {(each.rule, each.threshold, each.erase) for each in pod.hub.heard} == {("errors", 1 << 50, False)}


async def test_token_that_runs_out_is_replaced(world: World, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        pod = await attach(stack, world, tmp_path, "one", 10.0)
        await until(lambda: pod.hub.is_attached, "it is attached")
        pod.token.write_text("shop/one-anew")
        world.clock.ahead += world.life + 1
        await until(lambda: pod.link.health().attempts["attached"] == 2, "it has come back")
        (attached,) = world.server.attached(CONFIG)
        assert attached.identity.pod == "one-anew"
        assert pod.link.health().ends == {"refused": 1}
