"""Work in a thread that must not be left alone: what it works on belongs to one thread at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def in_thread(work: Callable[[], T], undo: Callable[[T], Awaitable[object]] | None = None) -> T:
    """As asyncio.to_thread; but a caller who is cancelled meanwhile waits for the end of `work`, and is cancelled then.

    What it has come to is given to `undo` in that case: a log that was opened would keep everybody else out for as long
    as the process lives. What it has raised is dropped: nobody is left to hear it. Raises what `work` raises.
    """
    working = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.wait((working,))
        if not working.cancelled() and working.exception() is None and undo is not None:
            await undo(working.result())
        raise
