"""Running a process made of tasks: until it is told to stop, or one of them ends."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine, Mapping
from typing import Any


def stop_on_signals(stop: asyncio.Event) -> None:
    """Let SIGTERM and SIGINT set `stop`, whoever handled them before."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)


async def run_until(stop: asyncio.Event, coroutines: Mapping[str, Coroutine[Any, Any, None]]) -> None:
    """Run all of them. Returns after `stop`, or when one returns; raises what one of them raised.

    Either way the others are cancelled and waited for: a background task that died never leaves half a
    process.
    """
    tasks = [asyncio.create_task(coroutine, name=name) for name, coroutine in coroutines.items()]
    stopping = asyncio.create_task(stop.wait(), name="stop")
    try:
        done, _ = await asyncio.wait([*tasks, stopping], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (*tasks, stopping):
            task.cancel()
        await asyncio.gather(*tasks, stopping, return_exceptions=True)
    for task in done:
        if task is not stopping and not task.cancelled():
            task.result()
