"""What sidecars say takes no more than a part of the controller's time, whatever they say and however many they are."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from control_world import CONFIG, ShiftedClock, World, serving
from tracekeeper_operator.control.budget import ALL, LITTLE, OWN, Budget, work
from tracekeeper_operator.control.facts import ConfigFacts
from tracekeeper_operator.control.messages import MOST_IDS
from waiting import until


def test_a_namespace_that_has_spent_its_part_waits_for_the_next_second() -> None:
    budget = Budget()
    budget.spend("tenant", OWN - 1, 10.25)
    assert budget.wait("tenant", 10.25) == 0.0
    budget.spend("tenant", 1, 10.25)
    assert (budget.wait("tenant", 10.25), budget.wait("other", 10.25)) == (0.75, 0.0)
    assert budget.wait("tenant", 11.0) == 0.0


def test_namespaces_that_act_together_leave_a_little_to_each_other_one() -> None:
    budget = Budget()
    for number in range(ALL // LITTLE):
        assert budget.wait(f"tenant-{number}", 5.5) == 0.0
        budget.spend(f"tenant-{number}", LITTLE, 5.5)
    assert budget.wait("tenant-0", 5.5) == 0.5
    budget.spend("other", LITTLE - 1, 5.5)
    assert budget.wait("other", 5.5) == 0.0


class StoodClock(ShiftedClock):
    """Stands still between the beginnings of two seconds, once it is told to."""

    stands: float | None = None

    def monotonic(self) -> float:
        return super().monotonic() if self.stands is None else self.stands


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with serving(World(clock=StoodClock())) as world:
        yield world


async def test_traces_that_are_told_of_again_and_again_cost_their_namespace_its_part(world: World) -> None:
    """Three pods say two times the same, each in less than one stream may say in a second."""
    assert isinstance(world.clock, StoodClock)
    world.configs["other"] = ConfigFacts("other", "other", "other", world.configs[CONFIG].adaptive)
    async with AsyncExitStack() as stack:
        pods = [await stack.enter_async_context(world.sidecar(f"pod-{number}")) for number in range(3)]
        quiet = await stack.enter_async_context(world.sidecar("quiet", namespace="other", config="other"))
        world.clock.stands = int(world.clock.monotonic()) + 1.01
        for client in pods * 2:
            await client.keep([1] * (MOST_IDS - 8))

        def heard(kind: str) -> float:
            return world.metric("tracekeeper_control_messages_total", direction="in", kind=kind)

        most = -(-OWN // work(16 * (MOST_IDS - 8)))
        await until(lambda: heard("kept") >= most, "the namespace has spent its part")
        for number in range(20):
            await quiet.report({"key": float(number)})
        await until(lambda: heard("report") == 20, "another namespace is heard")
        assert heard("kept") == most < 6
        world.clock.stands = None
        await until(lambda: heard("kept") == 6, "nothing of it was lost")
