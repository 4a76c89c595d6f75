"""All pushes of the config in force."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from tracekeeper_sidecar.admin.snapshot import PushFacts
from tracekeeper_sidecar.clock import Clock
from tracekeeper_sidecar.forward.keeper import Keeper
from tracekeeper_sidecar.model import Pod
from tracekeeper_sidecar.push.page import Page, Target
from tracekeeper_sidecar.push.pusher import Pusher
from tracekeeper_spec.metering import Push, PushType

logger = logging.getLogger(__name__)

LAST_PUSH: Final = 2.0
"""Seconds that the last pushes may take, all at once, when the pod ends."""
LARGEST_ANSWER: Final = 64 * 1024


class Pushers:
    """Owned by the event loop."""

    def __init__(
        self,
        page: Callable[[], Page],
        clock: Clock,
        random: Callable[[], float],
        last_push: float = LAST_PUSH,
    ) -> None:
        self._page, self._clock, self._random, self._last_push = page, clock, random, last_push
        self._keeper = Keeper(clock, random)
        self._running: dict[Push, Pusher] = {}
        self._begun: set[str] = set()
        """Names of all that there were."""

    @property
    def facts(self) -> tuple[PushFacts, ...]:
        """What can be said of each."""
        return tuple(pusher.facts for pusher in self._running.values())

    def troubles(self) -> list[str]:
        """See Keeper.troubles."""
        return self._keeper.troubles()

    async def follow(self, pushes: Sequence[Push], pod: Pod) -> None:
        """Have these and no others. One that stays as it is goes on."""
        for push in [each for each in self._running if each not in pushes]:
            await self._stop(push)
        for push in pushes:
            if push in self._running:
                continue
            try:
                target = await asyncio.to_thread(make_target, push, pod, self._clock)
            except ValueError as error:
                logger.warning("metrics cannot be pushed: %s", error, extra={"push": push.name})
                continue
            again = push.name in self._begun
            self._begun.add(push.name)
            pusher = Pusher(push.name, push.interval, target, self._page, self._clock, self._random, again=again)
            self._running[push] = pusher
            self._keeper.start(_task(push), pusher.run)

    async def end(self) -> None:
        """Push once more, for the last time; takes `last_push` seconds at most."""
        for push in self._running:
            await self._keeper.stop(_task(push))
        await asyncio.gather(*(pusher.push(self._last_push) for pusher in self._running.values()))
        await self.close()

    async def close(self) -> None:
        """Stop at once."""
        for push in list(self._running):
            await self._stop(push)

    async def _stop(self, push: Push) -> None:
        await self._keeper.stop(_task(push))
        self._running.pop(push).close()


def make_target(push: Push, pod: Pod, clock: Clock) -> Target:
    """The other end of a push. Runs in a thread. Raises ValueError when it cannot be had."""
    match push.type:
        case PushType.PUSHGATEWAY if push.pushgateway is not None:
            from tracekeeper_sidecar.push.caller import Caller  # noqa: PLC0415 - only where it is wanted
            from tracekeeper_sidecar.push.pushgateway import LARGEST_LIST, PushgatewayTarget  # noqa: PLC0415

            return PushgatewayTarget(Caller(push.pushgateway.endpoint, LARGEST_LIST), pod, push.interval)
        case PushType.OTLP if push.otlp is not None:
            from tracekeeper_sidecar.push.caller import Caller  # noqa: PLC0415
            from tracekeeper_sidecar.push.otlp import OtlpTarget  # noqa: PLC0415

            return OtlpTarget(Caller(push.otlp.endpoint, LARGEST_ANSWER), pod, push.otlp.headers)
        case PushType.STATSD if push.statsd is not None:
            from tracekeeper_sidecar.push.statsd import StatsdTarget  # noqa: PLC0415

            host, _, port = push.statsd.endpoint.rpartition(":")
            return StatsdTarget(host.strip("[]"), int(port), push.statsd.prefix, pod, clock)
    raise ValueError(f"push {push.name} names no place for type {push.type}")


def _task(push: Push) -> str:
    return f"push {push.name}"
