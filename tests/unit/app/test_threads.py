"""Work in a thread is never left alone, whoever stops waiting for it."""

from __future__ import annotations

import asyncio
import threading

import pytest

from tracekeeper_sidecar.threads import in_thread


class Work:
    """Goes on until it is let go."""

    def __init__(self, error: Exception | None = None) -> None:
        self.begun, self.go, self.ended = threading.Event(), threading.Event(), threading.Event()
        self._error = error

    def __call__(self) -> str:
        self.begun.set()
        assert self.go.wait(30)
        self.ended.set()
        if self._error is not None:
            raise self._error
        return "made"


@pytest.mark.parametrize("error", [None, OSError("nobody hears this")])
async def test_who_is_cancelled_waits_for_the_end_and_what_was_made_is_undone(error: OSError | None) -> None:
    work, undone = Work(error), list[str]()

    async def undo(made: str) -> None:
        undone.append(made)

    task = asyncio.create_task(in_thread(work, undo))
    assert await asyncio.to_thread(work.begun.wait, 30)
    task.cancel()
    await asyncio.wait((task,), timeout=0)
    assert not task.done() and not work.ended.is_set()
    work.go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert undone == ([] if error else ["made"])
    assert work.ended.is_set()


async def test_what_work_gives_or_raises_comes_back() -> None:
    work = Work()
    work.go.set()
    assert await in_thread(work) == "made"
    failing = Work(OSError("no"))
    failing.go.set()
    with pytest.raises(OSError, match=r"^no$"):
        await in_thread(failing)
