"""Spreads requests over all addresses of a backend, so that each trace lands whole at one of them.

    request ──cut by trace──▶ part ──▶ 10.1.0.4 ──▶ outcome ┐
                              part ──▶ 10.1.0.7 ──▶ outcome ┼──▶ one outcome
                              part ──▶ 10.1.0.9 ──▶ outcome ┘

Which address has a trace follows from the trace's id and the addresses alone (see `shard`), so all sidecars agree.
Parts leave at the same time. Those that are not taken come back as parts, and are cut anew when they are tried again:
by then the resolver may know that an address is gone, and its traces go to the others.

An answer that blames the request (500, INTERNAL) is believed only from an address that has taken the request before it:
one that fails everything is unwell, however much the others take meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from tracekeeper_sidecar.forward.addresses import EVERY, Addresses, Resolve
from tracekeeper_sidecar.forward.connection import Connection
from tracekeeper_sidecar.forward.dial import Place, find_addresses
from tracekeeper_sidecar.forward.outcome import Outcome, Part, Parts, Retry, Sent, Single, TooLarge
from tracekeeper_sidecar.forward.words import unanswered, unreachable
from tracekeeper_sidecar.wire.shard import Sharder

logger = logging.getLogger(__name__)


NO_TIME = 0.01
"""Seconds that count as none, so that the time left for a call is most often just what the config says."""


class OneAddress(Protocol):
    """An exporter that sends every request whole."""

    async def send(self, body: bytes, timeout: float) -> Single:  # noqa: ASYNC109 (the client library's own)
        """See Exporter.send."""

    async def close(self) -> None:
        """See Exporter.close."""


class Sharded:
    """The exporter of a backend with `shardBy: TraceID`. Owned by one event loop once it is used."""

    def __init__(
        self,
        connection: Connection,
        place: Place,
        make: Callable[[Place], OneAddress],
        resolve: Resolve = find_addresses,
        every: float = EVERY,
    ) -> None:
        """`make` gives an exporter for one address of `place`; `every` is the seconds between two lookups."""
        self._connection, self._place, self._make = connection, place, make
        self._addresses = Addresses(place.host, place.port, resolve, every)
        self._shards: dict[str, _Shard] = {}
        self._sharder = Sharder([""])
        self._closed = False

    async def send(self, body: bytes, timeout: float) -> Outcome:  # noqa: ASYNC109 (the client library's own)
        """See Exporter.send."""
        clock = asyncio.get_running_loop()
        began = clock.time()
        try:
            async with asyncio.timeout(timeout):
                addresses = await self._addresses.current()
        except TimeoutError:
            return Retry(unanswered(self._connection, timeout))
        except OSError as error:
            return Retry(unreachable(self._connection, error))
        if self._closed:
            return Retry(unreachable(self._connection, OSError("the connection was closed on our side")))
        if tuple(self._shards) != addresses:
            await self._change(addresses)
        shards = list(self._shards.values())
        cut = [(shards[number], part, spans) for number, part, spans in self._cut(body)]
        waited = clock.time() - began
        left = timeout if waited < NO_TIME else max(NO_TIME, timeout - waited)
        used = [shard for shard, _, _ in cut]
        for shard in used:
            shard.users += 1
        try:
            if len(cut) == 1:
                return await self._send(*cut[0], left)
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._send(*each, left)) for each in cut]
        finally:
            await self._leave(used)
        return _join([Part(part, spans, task.result()) for (_, part, spans), task in zip(cut, tasks, strict=True)])

    async def close(self) -> None:
        """See Exporter.close."""
        self._closed = True
        await self._addresses.close()
        await self._change(())

    def _cut(self, body: bytes) -> list[tuple[int, bytes, int]]:
        try:
            return self._sharder.split(body)
        except ValueError as fault:  # The receiver has checked it, so this is damage that a checksum missed.
            logger.error("a stored request cannot be cut by trace (%s): it goes to one address as it is", fault)
            return [(0, body, 0)]

    async def _change(self, addresses: tuple[str, ...]) -> None:
        """Use these from now on. Sends on their way end where they are."""
        before = self._shards
        self._shards = {
            address: before.get(address) or _Shard(address, self._make(replace(self._place, address=address)))
            for address in addresses
        }
        if addresses:
            self._sharder = Sharder(addresses)
        for address, shard in before.items():
            if address not in self._shards:
                shard.gone = True
                if not shard.users or self._closed:
                    await shard.exporter.close()

    async def _leave(self, used: list[_Shard]) -> None:
        for shard in used:
            shard.users -= 1
            if shard.gone and not shard.users:
                await shard.exporter.close()

    async def _send(self, shard: _Shard, body: bytes, spans: int, timeout: float) -> Single:  # noqa: ASYNC109
        """Never raises: a fault of one part must not take the outcomes of the others with it."""
        outcome: Single
        try:
            outcome = await shard.exporter.send(body, timeout)
        except Exception as error:
            logger.exception("sending to %s failed in an unforeseen way", shard.address)
            outcome = Retry(f"sending failed in an unforeseen way: {error!r}")
        return self._weigh(shard, spans, outcome)

    def _weigh(self, shard: _Shard, spans: int, outcome: Single) -> Single:
        """The outcome with its address, and with what the other addresses' answers make of it."""
        was_well = shard.well is not False
        shard.well = isinstance(outcome, Sent)
        if isinstance(outcome, Sent):
            return outcome
        reason = f"address {shard.address}: {outcome.reason}" if len(self._shards) > 1 else outcome.reason
        if isinstance(outcome, TooLarge) and not outcome.certain and spans == 1 and not was_well:
            outcome = Retry(reason)  # More likely a limit of rate: it calls everything too large.
        if isinstance(outcome, Retry) and not outcome.throttled:
            self._addresses.doubt()
            others = any(one.well is True for one in self._shards.values() if one is not shard)
            return replace(outcome, reason=reason, suspect=outcome.suspect and was_well, local=others)
        return replace(outcome, reason=reason)


class _Shard:
    """One address."""

    def __init__(self, address: str, exporter: OneAddress) -> None:
        self.address, self.exporter = address, exporter
        self.users = 0
        """Sends on their way."""
        self.gone = False
        """Whether the name has it no more."""
        self.well: bool | None = None
        """Whether it has taken the last request that it was sent; None before there was one."""


def _join(parts: list[Part]) -> Outcome:
    """One outcome of all parts."""
    taken = [part.outcome for part in parts if isinstance(part.outcome, Sent)]
    if len(taken) == len(parts):
        messages = dict.fromkeys(sent.message for sent in taken if sent.message)
        return Sent(sum(sent.rejected for sent in taken), "; ".join(messages))
    return Parts(tuple(sorted(parts, key=lambda part: not isinstance(part.outcome, Sent))))
