"""A background task that dies is seen, and comes back."""

import asyncio

from tracekeeper_sidecar.tasks import Tasks


class InstantClock:
    """Sleeping costs no time; the monotonic clock moves by what was slept."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds
        await asyncio.sleep(0)


async def test_a_task_that_dies_is_started_again_and_shows_in_health() -> None:
    runs = 0
    recovered = asyncio.Event()

    async def fragile() -> None:
        nonlocal runs
        runs += 1
        if runs < 3:
            raise RuntimeError("no luck")
        recovered.set()

    tasks = Tasks(InstantClock())
    tasks.spawn("fragile", fragile)
    await asyncio.wait_for(recovered.wait(), 5)
    assert runs == 3
    assert tasks.troubles() == ["fragile died and was started again: RuntimeError('no luck')"]
    await tasks.stop()


async def test_a_death_is_forgotten_after_a_minute() -> None:
    clock = InstantClock()
    tasks = Tasks(clock)
    died = asyncio.Event()

    async def once() -> None:
        if not died.is_set():
            died.set()
            raise RuntimeError("once")

    tasks.spawn("once", once)
    await asyncio.wait_for(died.wait(), 5)
    await asyncio.sleep(0)
    assert tasks.troubles()
    clock.time += 61
    assert tasks.troubles() == []
    await tasks.stop()


async def test_stop_ends_every_task() -> None:
    ended = asyncio.Event()

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    tasks = Tasks(InstantClock())
    tasks.spawn("forever", forever)
    await asyncio.sleep(0)
    await tasks.stop()
    assert ended.is_set()
