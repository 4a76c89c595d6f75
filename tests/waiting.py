"""Waiting for a condition with a deadline: what tests do instead of sleeping.

`until` looks again and again at a condition, and fails when it does not hold in time. `attempted` does the same with
something that has to be awaited. `turns` passes no time: it lets run what the event loop has ready.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")
What = str | Callable[[], str]
"""What is waited for, in words; a callable is asked when it did not happen, and can show the state."""
PATIENCE = 30.0
"""Seconds that a condition may take to come true: far more than it needs on a busy machine."""
_INTERVAL = 0.005


async def until(condition: Callable[[], T | None], what: What = "what is waited for", deadline: float = PATIENCE) -> T:
    """The condition's first true result; fails with `what` when there is none within `deadline` seconds."""

    async def look() -> T | None:
        return condition()

    return await attempted(look, what, deadline)


async def attempted(attempt: Callable[[], Awaitable[T | None]], what: What, deadline: float = PATIENCE) -> T:
    """The first true result of an attempt, each made when the one before has ended; fails as `until` does."""
    end = time.monotonic() + deadline
    while True:
        late = time.monotonic() >= end
        if result := await attempt():
            return result
        if late:
            raise AssertionError(f"did not happen within {deadline:g} s: {what if isinstance(what, str) else what()}")
        await asyncio.sleep(_INTERVAL)


async def turns(count: int = 1) -> None:
    """Let the event loop run what is ready, `count` times over."""
    for _ in range(count):
        await asyncio.sleep(0)
