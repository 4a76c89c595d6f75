"""A wake-up call for everybody who waits: no value, no memory, nothing to poll."""

from __future__ import annotations

import asyncio

from tracekeeper_sidecar.clock import Clock


class Signal:
    """Owned by one event loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: set[asyncio.Future[None]] = set()

    def fire(self) -> None:
        """Wake everybody who waits now."""
        waiting, self._waiting = self._waiting, set()
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def wait(self, seconds: float) -> None:
        """Return when fired or after `seconds`, whichever is first."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        timer = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await asyncio.wait((future, timer), return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
            self._waiting.discard(future)
