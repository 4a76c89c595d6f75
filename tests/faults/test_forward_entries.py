"""What a delivery entry does with spans that nobody takes: others pass them, and bounds end their wait, counted."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import grpc
import pytest

from forward_support.rig import Rig, backend, running
from forward_support.servers import NEVER, GrpcBackend, GrpcBehaviour, Serve, grpc_ok
from forward_support.spans import ids_of, request
from log_harness import append_at_last
from tracekeeper_sidecar.forward.entry import ASIDE, IN_FLIGHT
from tracekeeper_sidecar.log.cursor import CursorStore
from tracekeeper_sidecar.log.files import SystemFiles
from waiting import PATIENCE, until

Context = grpc.aio.ServicerContext
SMALL: dict[str, Any] = {"circuitBreaker": NEVER, "batch": {"maxSpans": 5, "maxDelay": "10ms"}}
DEAD = "http://127.0.0.1:9"


def spoilt(ids: set[str], hang: bool = False) -> GrpcBehaviour:
    """Fails, or never answers, requests with any of these spans; takes all others."""

    async def behave(body: bytes, context: Context[bytes, bytes]) -> bytes:
        if ids.intersection(ids_of(body)):
            if hang:
                await asyncio.Event().wait()
            await context.abort(grpc.StatusCode.INTERNAL, "cannot digest this")
        return b""

    return behave


def delivered(rig: Rig, entry: str) -> int:
    return sum(rig.entry(entry).account.delivered.values())


async def test_what_a_backend_cannot_digest_holds_up_nothing_behind_it(tmp_path: Path, serve: Serve) -> None:
    """More bad spans than may be in flight, each in a request of its own, spread over what is well."""
    bad: set[str] = set()
    server = await serve(GrpcBackend(spoilt(bad)))
    slow = {"initialBackoff": "20s", "maxBackoff": "30s"}
    async with running(tmp_path) as rig:
        for _ in range(IN_FLIGHT + 3):
            bad.update(await rig.put(1))
            await rig.put(5, requests=10)
        await rig.apply([backend("one", server.endpoint, retry=slow, circuitBreaker=NEVER, batch={"maxSpans": 1})])
        good = len(rig.sent) - len(bad)
        await until(lambda: delivered(rig, "one") == good, "all the others are delivered")
        entry = rig.entry("one")
        assert entry.pending == len(bad)
        assert entry.aside >= 3
        assert entry.account.dropped == {}
        rig.check_ledger()
    once = Counter(server.taken.ids)
    assert set(once.values()) == {1}

    cursor = CursorStore(str(tmp_path), SystemFiles()).load("one")
    assert cursor is not None
    assert sum(length for _, length in cursor.acked) > 0
    server.behave = grpc_ok
    async with running(tmp_path) as again:
        await again.apply([backend("one", server.endpoint, **SMALL)])
        await again.settled()
        assert delivered(again, "one") == len(rig.sent)
    # A restart repeats nothing of what was settled behind them.
    assert Counter(server.taken.ids) == Counter(rig.sent)


def wipe(directory: Path, first: str, second: str) -> None:
    """Overwrite the only segment from one span's trace id up to another's."""
    segment = next(directory.glob("*.seg"))
    data = bytearray(segment.read_bytes())
    begin, end = (data.index(bytes.fromhex(span) * 2) for span in (first, second))
    data[begin:end] = bytes(end - begin)
    segment.write_bytes(data)


async def test_damage_around_what_was_settled_out_of_order(tmp_path: Path, serve: Serve) -> None:
    """Damage takes a frame that was open and its neighbour that was settled, and hides where the run begins."""
    bad: set[str] = set()
    server = await serve(GrpcBackend(spoilt(bad)))
    slow = {"initialBackoff": "20s", "maxBackoff": "30s"}
    async with running(tmp_path) as rig:
        lost = await rig.put(5)
        settled = [await rig.put(5) for _ in range(3)]
        last = await rig.put(5)
        bad.update([*lost, *last])
        await rig.apply([backend("one", server.endpoint, retry=slow, circuitBreaker=NEVER, batch={"maxSpans": 5})])
        await until(lambda: delivered(rig, "one") == 15, "what is well is delivered")
        sent = rig.sent
    wipe(tmp_path, lost[-1], settled[0][0])
    server.behave = grpc_ok
    async with running(tmp_path) as again:
        await again.apply([backend("one", server.endpoint, **SMALL)])
        await until(lambda: not again.forwarder.pending(), "everything is settled")
        account = again.entry("one").account
        assert (account.delivered, account.dropped) == ({"one": 20}, {"damaged": 5})
        assert account.start + account.settled() == len(sent)
    assert Counter(server.taken.ids) == Counter(sent[5:])


async def test_requests_that_are_never_answered_hold_up_nothing_behind_them(tmp_path: Path, serve: Serve) -> None:
    bad: set[str] = set()
    server = await serve(GrpcBackend(spoilt(bad, hang=True)))
    async with running(tmp_path) as rig:
        for _ in range(IN_FLIGHT + 2):
            bad.update(await rig.put(1))
            await rig.put(1, requests=40)
        await rig.apply([backend("one", server.endpoint, timeout="60s", circuitBreaker=NEVER, batch={"maxSpans": 1})])
        await until(lambda: delivered(rig, "one") == len(rig.sent) - len(bad), "all the others are delivered")
        assert rig.entry("one").pending == len(bad)


async def test_a_backend_that_digests_nothing_is_not_sent_everything(tmp_path: Path, serve: Serve) -> None:
    async def broken(body: bytes, context: Context[bytes, bytes]) -> bytes:
        await context.abort(grpc.StatusCode.INTERNAL, "no")

    server = await serve(GrpcBackend(broken))
    async with running(tmp_path) as rig:
        await rig.put(1, requests=200)
        await rig.apply([backend("one", server.endpoint, circuitBreaker=NEVER, batch={"maxSpans": 1})])
        await until(lambda: rig.entry("one").aside == ASIDE, "as many as may are set aside")
        await until(lambda: server.taken.calls > 60, "they are tried again and again")
        assert rig.entry("one").in_flight <= ASIDE + IN_FLIGHT
        server.behave = grpc_ok
        await rig.settled()
        assert Counter(server.taken.ids) == Counter(rig.sent)


async def test_from_oldest_begins_with_the_history_and_now_with_what_comes(tmp_path: Path, serve: Serve) -> None:
    first, oldest, now = await serve(GrpcBackend()), await serve(GrpcBackend()), await serve(GrpcBackend())
    async with running(tmp_path, history=32 << 20) as rig:
        backends = [backend("first", first.endpoint)]
        await rig.apply(backends)
        before = await rig.put(10, requests=20)
        await rig.settled()
        backends += [backend("oldest", oldest.endpoint), backend("now", now.endpoint)]
        entries = {"first": ["first"], "oldest": {"backends": ["oldest"], "from": "Oldest"}, "now": ["now"]}
        await rig.apply(backends, entries)
        after = await rig.put(10)
        await rig.settled()
        assert first.taken.ids == oldest.taken.ids == before + after
        assert now.taken.ids == after
        assert rig.entry("oldest").account.start == 0
        assert rig.entry("now").account.start == len(before)


async def test_an_entry_that_comes_back_goes_on_where_it_stopped(tmp_path: Path, serve: Serve) -> None:
    one, two = await serve(GrpcBackend()), await serve(GrpcBackend())
    backends = [backend("one", one.endpoint), backend("two", two.endpoint)]
    both = {"kept": ["one"], "guest": {"backends": ["two"], "from": "Oldest"}}
    async with running(tmp_path, history=32 << 20) as rig:
        await rig.apply(backends, both)
        await rig.put(10)
        await rig.settled()
        await rig.apply(backends, {"kept": ["one"]})
        await rig.put(10)
        await rig.settled()
        await rig.apply(backends, both)
        await rig.settled()
        assert two.taken.ids == rig.sent
        assert rig.entry("guest").account.start == 10


async def test_history_that_an_entry_begins_with_is_pinned(tmp_path: Path, serve: Serve) -> None:
    one = await serve(GrpcBackend())
    async with running(tmp_path, quota=4 << 20, segment_size=64 << 10, history=2 << 20) as rig:
        await rig.apply([backend("one", one.endpoint)])
        await rig.put(50, requests=10, size=300)
        await rig.settled()
        entries = {"one": ["one"], "late": {"backends": ["dead"], "from": "Oldest"}}
        await rig.apply([backend("one", one.endpoint), backend("dead", DEAD)], entries)
        assert rig.entry("late").pending == 500
        for _ in range(20):
            await rig.put(50, requests=8, size=300)
            assert await rig.forwarder.flush(rig.log.end, 0) is False
        assert rig.log.begin.seq == 0
        assert rig.entry("late").account.dropped == {}


async def test_best_effort_spans_wait_for_max_lag_and_no_longer(tmp_path: Path, serve: Serve) -> None:
    well = await serve(GrpcBackend())
    async with running(tmp_path) as rig:
        entries = {
            "best": {"backends": ["dead"], "guarantee": "BestEffort", "maxLag": "1s"},
            "main": ["well"],
            "other": ["dead"],
        }
        await rig.apply([backend("dead", DEAD, **SMALL), backend("well", well.endpoint)], entries)
        await rig.put(5, requests=30)
        assert rig.entry("best").guaranteed is False
        await until(lambda: rig.entry("best").pending == 0, "what waits for too long is given up")
        assert rig.entry("best").account.dropped == {"lag": 150}
        await until(lambda: delivered(rig, "main") == 150, "the other entry is served")
        assert rig.entry("other").pending == 150
        rig.check_ledger()


async def test_max_age_ends_the_wait_of_what_is_in_flight_too(tmp_path: Path, serve: Serve) -> None:
    bad: set[str] = set()
    server = await serve(GrpcBackend(spoilt(bad, hang=True)))
    async with running(tmp_path) as rig:
        bad.update(await rig.put(5))
        await rig.apply([backend("one", server.endpoint, timeout="60s", **SMALL)], buffer={"maxAge": "1s"})
        await until(lambda: rig.entry("one").account.dropped == {"expired": 5}, "the hanging request is given up")
        good = await rig.put(5)
        await rig.settled()
        assert server.taken.ids == good


async def test_max_spans_gives_up_the_oldest(tmp_path: Path, serve: Serve) -> None:
    server = await serve(GrpcBackend())
    await server.stop()
    async with running(tmp_path) as rig:
        await rig.put(5, requests=100)
        await rig.apply([backend("one", server.endpoint, **SMALL)], buffer={"maxSpans": 100})
        await until(lambda: rig.entry("one").pending == 100, "the rest is given up")
        assert rig.entry("one").account.dropped == {"max_spans": 400}
        rig.check_ledger()
        await server.start()
        await rig.settled()
        assert Counter(server.taken.ids) == Counter(rig.sent[-100:])


async def fill(rig: Rig, megabytes: int) -> None:
    """Acknowledge so much. Who is refused comes back, as clients do: it must be taken in the end."""
    async with asyncio.timeout(2 * PATIENCE):
        for _ in range(megabytes * 16):
            made = [request(20, 300) for _ in range(10)]
            for body, ids in made:
                await append_at_last(rig.log, body, len(ids))
                rig.sent += ids


async def test_drop_oldest_takes_new_spans_in_place_of_old_ones(tmp_path: Path, serve: Serve) -> None:
    well = await serve(GrpcBackend())
    async with running(tmp_path, quota=4 << 20) as rig:
        await rig.apply([backend("dead", DEAD), backend("well", well.endpoint)], buffer={"whenFull": "DropOldest"})
        await fill(rig, 8)
        dead = rig.entry("dead").account
        assert set(dead.dropped) == {"buffer_full"}
        assert rig.entry("dead").pending > 0
        rig.check_ledger()
        await until(lambda: delivered(rig, "well") == len(rig.sent), "the other entry loses nothing")
        assert rig.entry("well").account.dropped == {}


@pytest.mark.parametrize(("quota", "size"), [(1 << 20, 300_000), (32 << 20, 6_000_000)])
async def test_drop_oldest_makes_room_for_requests_over_the_watermark(tmp_path: Path, quota: int, size: int) -> None:
    async with running(tmp_path, quota=quota) as rig:
        await rig.apply([backend("dead", DEAD)], buffer={"whenFull": "DropOldest"})
        assert size > rig.log.watermark
        body, ids = request(10, size // 10)
        for _ in range(8):
            await append_at_last(rig.log, body, len(ids))
        assert set(rig.entry("dead").account.dropped) == {"buffer_full"}


async def test_best_effort_makes_way_before_anybody_is_refused(tmp_path: Path, serve: Serve) -> None:
    well = await serve(GrpcBackend())
    async with running(tmp_path, quota=4 << 20) as rig:
        entries = {"best": {"backends": ["dead"], "guarantee": "BestEffort"}, "main": ["well"]}
        await rig.apply([backend("dead", DEAD), backend("well", well.endpoint)], entries)
        await fill(rig, 8)
        await until(lambda: rig.entry("best").account.dropped["buffer_full"] > 0, "the oldest have made way")
        assert set(rig.entry("best").account.dropped) == {"buffer_full"}
        rig.check_ledger()
        await until(lambda: delivered(rig, "main") == len(rig.sent), "the other entry loses nothing")
        assert rig.entry("main").account.dropped == {}
        sent, lost = rig.sent, rig.entry("best").account.dropped["buffer_full"]
    late = await serve(GrpcBackend())
    async with running(tmp_path, quota=4 << 20) as again:
        await again.apply([backend("dead", late.endpoint), backend("well", well.endpoint)], entries)
        await again.settled()
        assert again.entry("best").account.dropped["buffer_full"] >= lost
        assert Counter(late.taken.ids) == Counter(sent[again.entry("best").account.dropped["buffer_full"] :])


async def test_a_limit_of_attempts_that_comes_later_ends_what_has_had_them(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        dead = backend("dead", DEAD, **SMALL)
        await rig.apply([dead])
        await rig.put(5)
        await until(lambda: sum(rig.backend("dead").calls.values()) >= 4, "it has been tried")
        await rig.apply([{**dead, "retry": {**dead["retry"], "maxAttempts": 2}}])
        await rig.settled()
        assert rig.entry("dead").account.dropped == {"attempts": 5}


async def test_an_entry_takes_what_it_matches_and_counts_the_rest(tmp_path: Path, serve: Serve) -> None:
    everything, long = await serve(GrpcBackend()), await serve(GrpcBackend())
    async with running(tmp_path) as rig:
        entries = {
            "all": ["everything"],
            "long": {"backends": ["long"], "match": 'span.name.startsWith("xxxxxxxxxx")'},
            "none": {"backends": ["long"], "match": 'span.name == "nobody"'},
        }
        await rig.apply([backend("everything", everything.endpoint), backend("long", long.endpoint)], entries)
        await rig.put(3, requests=10, size=9)
        taken = await rig.put(2, requests=10, size=10)
        await rig.put(1, requests=10, size=8)
        await rig.settled()
        assert sorted(everything.taken.ids) == sorted(rig.sent)
        assert sorted(long.taken.ids) == sorted(taken)
        assert rig.entry("all").account.unmatched == 0
        account = rig.entry("long").account
        assert (account.unmatched, account.delivered) == (40, {"long": 20})
        assert rig.entry("none").account.unmatched == 60
    async with running(tmp_path) as again:
        await again.apply([backend("everything", everything.endpoint), backend("long", long.endpoint)], entries)
        assert again.entry("long").account == account


async def test_critical_spans_leave_at_once(tmp_path: Path, serve: Serve) -> None:
    server = await serve(GrpcBackend())
    async with running(tmp_path) as rig:
        await rig.apply([backend("one", server.endpoint, batch={"maxDelay": "1m"})])
        waiting = await rig.put(3)
        urgent = await rig.put(1, critical=True)
        await until(lambda: server.taken.ids == waiting + urgent, "they leave with those before them")
        await rig.settled()
