"""Background tasks that die are started again, and what is said about it."""

from __future__ import annotations

import asyncio
import random

from tracekeeper_sidecar.clock import SystemClock
from tracekeeper_sidecar.forward.keeper import Keeper
from waiting import turns, until


class Patient(SystemClock):
    """Real time, but no pause takes longer than a moment; remembers what was asked for."""

    def __init__(self) -> None:
        self.pauses: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await super().sleep(min(seconds, 0.001))


async def test_dead_task_is_started_again_after_a_pause() -> None:
    clock, runs, running = Patient(), 0, asyncio.Event()

    async def fragile() -> None:
        nonlocal runs
        runs += 1
        if runs <= 5:
            raise ValueError("broken")
        running.set()
        await asyncio.Event().wait()

    keeper = Keeper(clock, random.random)
    keeper.start("delivery a", fragile)
    async with asyncio.timeout(10):
        await running.wait()
    assert keeper.troubles() == ["delivery a died and was started again: ValueError: broken"]
    assert len(clock.pauses) == 5
    assert all(0 < pause <= 31 for pause in clock.pauses)
    await keeper.stop("delivery a")
    assert keeper.troubles() == []
    assert runs == 6


async def test_death_inside_a_task_group_is_named_by_its_cause() -> None:
    async def grouped() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(fails())

    async def fails() -> None:
        raise OSError("no disk")

    keeper = Keeper(Patient(), random.random)
    keeper.start("a", grouped)
    await until(keeper.troubles, "the death is noted")
    assert keeper.troubles() == ["a died and was started again: OSError: no disk"]
    await keeper.stop("a")


async def test_stop_waits_for_the_end() -> None:
    ended = False

    async def slow_to_end() -> None:
        nonlocal ended
        try:
            await asyncio.Event().wait()
        finally:
            await turns()
            ended = True

    keeper = Keeper(SystemClock(), random.random)
    keeper.start("a", slow_to_end)
    await turns()
    await keeper.stop("a")
    assert ended
    await keeper.stop("a")
