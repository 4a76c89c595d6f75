"""Delivery entries over a log of what sampling has decided: what was left out is booked, and never sent."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from forward_support.rig import Rig, backend, running
from forward_support.servers import GrpcBackend
from forward_support.spans import request
from tracekeeper_sidecar.clock import SystemClock
from tracekeeper_sidecar.errors import LogError
from tracekeeper_sidecar.forward.forwarder import Forwarder
from tracekeeper_sidecar.log.cursor import CursorStore
from tracekeeper_sidecar.log.decided import Decided, encode
from tracekeeper_sidecar.log.files import SystemFiles
from tracekeeper_sidecar.log.record import DECIDED
from tracekeeper_sidecar.model import Position
from tracekeeper_spec.parse import parse_spec
from tracekeeper_spec.resolve import resolve
from tracekeeper_spec.secrets import DocumentSecrets
from waiting import until

BEGIN = 100
"""Spans that were acknowledged before sampling began."""


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with running(tmp_path, memory=0, first_seq=BEGIN) as made:
        yield made


@pytest.fixture
async def one() -> AsyncIterator[GrpcBackend]:
    server = GrpcBackend()
    await server.start()
    yield server
    await server.stop()


async def decide(rig: Rig, kept: int, out: dict[str, int], damaged: int = 0, size: int = 20) -> None:
    """Append one frame of sampling."""
    body, ids = request(kept, size) if kept else (b"", [])
    decided = Decided(kept, out, damaged, Position(1, 64, rig.log.end.seq))
    answered: asyncio.Future[LogError | None] = asyncio.get_running_loop().create_future()
    rig.log.submit(encode(decided) + body, decided.spans, answered.set_result, kind=DECIDED)
    assert await answered is None
    rig.sent += ids


async def test_what_was_kept_is_sent_and_what_was_left_out_is_booked_by_rule(rig: Rig, one: GrpcBackend) -> None:
    await decide(rig, 3, {"rest": 7})
    await decide(rig, 0, {"rest": 5, "noise": 2})
    await decide(rig, 2, {}, damaged=4)
    await rig.apply([backend("one", one.endpoint)])
    await decide(rig, 1, {"noise": 9})
    await rig.settled()
    assert one.taken.ids == rig.sent
    account = rig.entry("one").account
    assert (account.start, account.delivered, account.dropped) == (BEGIN, {"one": 6}, {"damaged": 4})
    assert account.sampled_out == {"rest": 12, "noise": 11}


async def test_where_nothing_was_kept_nothing_is_sent(rig: Rig, one: GrpcBackend) -> None:
    await rig.apply([backend("one", one.endpoint)])
    for _ in range(5):
        await decide(rig, 0, {"rest": 100})
    await rig.settled()
    assert (one.taken.ids, rig.backend("one").calls) == ([], Counter())
    assert rig.entry("one").account.sampled_out == {"rest": 500}


async def test_what_is_booked_survives_a_restart(tmp_path: Path, one: GrpcBackend) -> None:
    ids: list[str] = []
    for _ in range(2):
        async with running(tmp_path, memory=0, first_seq=BEGIN) as rig:
            await rig.apply([backend("one", one.endpoint)])
            await decide(rig, 1, {"rest": 7})
            await rig.settled()
            ids += rig.sent
    assert one.taken.ids == ids
    assert rig.entry("one").account.sampled_out == {"rest": 14}


async def test_batches_fill_with_what_is_kept(rig: Rig, one: GrpcBackend) -> None:
    await rig.apply([backend("one", one.endpoint, batch={"maxSpans": 20, "maxDelay": "60s"})])
    for _ in range(400):
        await decide(rig, 1, {"rest": 19})
    assert await rig.forwarder.flush(rig.log.end, 30.0)
    assert one.taken.ids == rig.sent
    assert sum(rig.backend("one").calls.values()) < 60  # 20 if it were known in advance what is kept.


async def test_what_is_not_decided_yet_is_pending(tmp_path: Path, one: GrpcBackend) -> None:
    async with running(tmp_path, memory=0, first_seq=BEGIN) as rig:
        acknowledged = BEGIN + 50
        forwarder = Forwarder(
            rig.log, CursorStore(str(tmp_path), SystemFiles()), SystemClock(), accepted=lambda: acknowledged
        )
        parsed, faults = parse_spec({"backends": [backend("one", one.endpoint)], "buffer": {"maxSpans": 20}})
        assert not faults
        spec = resolve(parsed)
        await forwarder.apply(spec.backends, spec.delivery, DocumentSecrets({}), spec.buffer)
        assert forwarder.pending() == 50
        await decide(rig, 2, {"rest": 8})
        assert await forwarder.flush(rig.log.end, 30.0)
        # Those that wait for a decision are none that `maxSpans` gives up.
        await decide(rig, 3, {"rest": 7})
        assert await forwarder.flush(rig.log.end, 30.0)
        (entry,) = forwarder.entries()
        assert (entry.pending, entry.account.dropped, entry.account.delivered) == (30, {}, {"one": 5})
        assert entry.oldest_pending == 0
        await forwarder.close()
    assert one.taken.ids == rig.sent


async def test_the_oldest_of_what_was_kept_makes_way_for_new(tmp_path: Path) -> None:
    async with running(tmp_path, memory=0, first_seq=BEGIN, quota=1 << 20, segment_size=1 << 16) as rig:
        await rig.apply([backend("one", "http://127.0.0.1:9")], buffer={"whenFull": "DropOldest"})
        for _ in range(150):
            await until(lambda: rig.log.room > 100_000, "there is room")
            await decide(rig, 20, {"rest": 80}, size=500)
            rig.check_ledger()
        account = rig.entry("one").account
        assert account.dropped["buffer_full"] > 0
        assert account.dropped["buffer_full"] + account.sampled_out["rest"] + rig.entry("one").pending == 150 * 100
        assert rig.log.stats().bytes <= 1 << 20
