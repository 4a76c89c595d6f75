"""The set of delivery entries: what a changed config changes, and what it leaves alone."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import grpc
import pytest

from forward_support.rig import Rig, backend, running
from forward_support.servers import GrpcBackend, HttpBackend, Serve, status_with_retry_info
from tracekeeper_sidecar.forward.filling import WARM_BYTES
from tracekeeper_sidecar.forward.roster import TOMBSTONES
from tracekeeper_sidecar.log.cursor import CursorStore
from tracekeeper_sidecar.log.files import SystemFiles
from waiting import until

Context = grpc.aio.ServicerContext


@pytest.fixture
async def one(serve: Serve) -> GrpcBackend:
    return await serve(GrpcBackend())


@pytest.fixture
async def two(serve: Serve) -> HttpBackend:
    return await serve(HttpBackend())


async def test_spans_from_before_the_first_policy_are_sent(rig: Rig, one: GrpcBackend) -> None:
    await rig.put(10)
    await rig.apply([backend("one", one.endpoint)])
    await rig.settled()
    assert one.taken.ids == rig.sent


async def test_replication_gives_every_backend_everything(rig: Rig, one: GrpcBackend, two: HttpBackend) -> None:
    await rig.apply([backend("one", one.endpoint), backend("two", two.endpoint, "HTTP")])
    await rig.put(7, requests=100)
    await rig.settled()
    assert sorted(one.taken.ids) == sorted(two.taken.ids) == sorted(rig.sent)


async def test_added_entry_begins_now(rig: Rig, one: GrpcBackend, two: HttpBackend) -> None:
    await rig.apply([backend("one", one.endpoint)])
    await rig.put(10)
    await rig.settled()
    await rig.apply([backend("one", one.endpoint), backend("two", two.endpoint, "HTTP")])
    later = await rig.put(5)
    await rig.settled()
    assert two.taken.ids == later
    assert rig.entry("two").account.start == 10
    assert one.taken.ids == rig.sent


async def test_renamed_entry_takes_over_what_was_pending(rig: Rig, one: GrpcBackend) -> None:
    await rig.apply([backend("old", "http://127.0.0.1:9")])
    await rig.put(10)
    await until(lambda: rig.backend("old").last_error, "it has failed")
    await rig.apply([backend("new", one.endpoint)])
    await rig.settled()
    assert one.taken.ids == rig.sent
    assert [entry.name for entry in rig.forwarder.entries()] == ["new"]


async def test_one_of_several_that_is_renamed_loses_nothing(
    rig: Rig, one: GrpcBackend, caplog: pytest.LogCaptureFixture
) -> None:
    await rig.apply([backend("a", "http://127.0.0.1:9"), backend("b", "http://127.0.0.1:9")])
    await rig.put(50)
    await until(lambda: rig.backend("a").last_error, "it has failed")
    await rig.apply([backend("a2", one.endpoint), backend("b", "http://127.0.0.1:9")])
    await until(lambda: not rig.entry("a2").pending, "the new one has delivered")
    assert one.taken.ids == rig.sent
    assert rig.entry("b").pending == 50
    assert "delivery 'a' is gone from the config with 50 spans pending; delivery 'a2' takes them over" in caplog.text


async def test_an_entry_that_goes_for_good_says_what_it_owed(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    await rig.apply([backend("a", "http://127.0.0.1:9"), backend("b", "http://127.0.0.1:9")])
    await rig.put(50)
    await rig.apply([backend("b", "http://127.0.0.1:9")])
    assert "delivery 'a' is gone from the config with 50 spans pending; no new one takes them over" in caplog.text


async def test_without_entries_spans_wait_for_the_next(rig: Rig, one: GrpcBackend) -> None:
    await rig.apply([backend("old", "http://127.0.0.1:9")])
    await rig.put(10)
    await rig.apply([])
    await rig.put(10)
    assert rig.forwarder.entries() == ()
    await rig.apply([backend("new", one.endpoint)])
    await rig.settled()
    assert one.taken.ids == rig.sent


async def test_unchanged_config_keeps_the_connection_and_the_circuit(rig: Rig, one: GrpcBackend) -> None:
    peers = set()

    async def behave(body: bytes, context: Context[bytes, bytes]) -> bytes:
        peers.add(context.peer())
        return b""

    one.behave = behave
    for _ in range(4):
        await rig.apply([backend("one", one.endpoint)])
        await rig.put(3)
        await rig.settled()
    assert len(peers) == 1

    await one.stop()
    await rig.put(3)
    await until(lambda: rig.backend("one").circuit == "Open", "the circuit opens")
    hour = {"failureThreshold": 3, "openFor": "1h", "maxOpenFor": "1h"}
    await rig.apply([backend("one", one.endpoint, circuitBreaker=hour)])
    await until(lambda: rig.backend("one").circuit == "Open", "the circuit opens with its new settings")
    await rig.apply([backend("one", one.endpoint, circuitBreaker=hour)])
    assert rig.backend("one").circuit == "Open"
    rig.check_ledger()


async def test_new_endpoint_gets_the_pending_spans_at_once(rig: Rig, one: GrpcBackend) -> None:
    hour = {"failureThreshold": 1, "openFor": "1h", "maxOpenFor": "1h"}
    await rig.apply([backend("one", "http://127.0.0.1:9", circuitBreaker=hour)])
    await rig.put(10)
    await until(lambda: rig.backend("one").circuit == "Open", "the circuit opens")
    await rig.apply([backend("one", one.endpoint, circuitBreaker=hour)])
    await rig.settled()
    assert one.taken.ids == rig.sent


async def test_changed_connection_lets_sends_in_flight_finish(rig: Rig, one: GrpcBackend, two: HttpBackend) -> None:
    entered, go = asyncio.Event(), asyncio.Event()

    async def slow(body: bytes, context: Context[bytes, bytes]) -> bytes:
        entered.set()
        await go.wait()
        return b""

    one.behave = slow
    await rig.apply([backend("main", one.endpoint)])
    first = await rig.put(10)
    await entered.wait()
    await rig.apply([backend("main", two.endpoint, "HTTP")])
    second = await rig.put(10)
    await until(lambda: two.taken.ids, "the new address is used")
    go.set()
    await rig.settled()
    assert one.taken.ids == first
    assert two.taken.ids == second


async def test_flush_does_not_wait_for_the_batch_to_fill(rig: Rig, one: GrpcBackend) -> None:
    await rig.apply([backend("one", one.endpoint, batch={"maxDelay": "1m"})])
    await rig.put(10)
    assert await rig.forwarder.flush(rig.log.end, 10)
    assert one.taken.ids == rig.sent
    assert rig.forwarder.pending() == 0


async def test_flush_says_when_time_is_up(rig: Rig) -> None:
    await rig.apply([backend("dead", "http://127.0.0.1:9")])
    await rig.put(10)
    assert not await rig.forwarder.flush(rig.log.end, 0.1)
    assert rig.forwarder.pending() == 10


async def test_full_batch_goes_at_once_and_small_requests_are_put_together(rig: Rig, one: GrpcBackend) -> None:
    await rig.apply([backend("one", one.endpoint, batch={"maxSpans": 100, "maxDelay": "1m"})])
    await rig.put(1, requests=1000)
    await rig.settled()
    assert [len(batch) for batch in one.taken.batches] == [100] * 10


async def test_batch_keeps_to_max_bytes(rig: Rig, one: GrpcBackend) -> None:
    sizes: list[int] = []

    async def measure(body: bytes, context: Context[bytes, bytes]) -> bytes:
        sizes.append(len(body))
        return b""

    one.behave = measure
    await rig.apply([backend("one", one.endpoint, batch={"maxBytes": "10Ki", "maxDelay": "1m"})])
    await rig.put(10, requests=100, size=100)
    assert await rig.forwarder.flush(rig.log.end, 20)
    assert max(sizes) <= 10 << 10
    assert sum(sizes) / len(sizes) > 8 << 10


async def test_request_over_the_limits_is_cut(rig: Rig, one: GrpcBackend) -> None:
    await rig.apply([backend("one", one.endpoint, batch={"maxSpans": 64, "maxDelay": "10ms"})])
    ids = await rig.put(300)
    await rig.settled()
    assert one.taken.ids == ids
    assert [len(batch) for batch in one.taken.batches] == [64, 64, 64, 64, 44]


async def test_partly_filled_batch_goes_after_max_delay(rig: Rig, one: GrpcBackend) -> None:
    await rig.apply([backend("one", one.endpoint, batch={"maxDelay": "300ms"})])
    await rig.put(1)
    await rig.put(1)
    await rig.settled()
    assert len(one.taken.batches) == 1


async def test_drain_tries_an_open_circuit_once_more(rig: Rig, one: GrpcBackend) -> None:
    hour = {"failureThreshold": 1, "openFor": "1h", "maxOpenFor": "1h"}
    retry = {"initialBackoff": "5m", "maxBackoff": "5m"}
    await one.stop()
    await rig.apply([backend("one", one.endpoint, circuitBreaker=hour, retry=retry, batch={"maxDelay": "1m"})])
    await rig.put(10)
    assert not await rig.forwarder.flush(rig.log.end, 0.3)
    assert rig.backend("one").circuit == "Open"
    await one.start()
    assert await rig.forwarder.drain(10) == {"one": 0}
    assert one.taken.ids == rig.sent


async def test_drain_does_not_wait_for_a_backend_that_is_down_for_longer(rig: Rig, one: GrpcBackend) -> None:
    hour = {"failureThreshold": 1, "openFor": "1h", "maxOpenFor": "1h"}
    await one.stop()
    await rig.apply([backend("one", one.endpoint, circuitBreaker=hour)])
    await rig.put(10)
    await until(lambda: rig.backend("one").circuit == "Open", "the circuit opens")
    async with asyncio.timeout(10):
        assert await rig.forwarder.drain(3600) == {"one": 10}
    assert rig.backend("one").transitions == {"Open": 2, "HalfOpen": 1}


async def test_drain_does_not_wait_for_a_backend_that_asks_for_a_longer_pause(rig: Rig, one: GrpcBackend) -> None:
    entered, go = asyncio.Event(), asyncio.Event()

    async def throttle(body: bytes, context: Context[bytes, bytes]) -> bytes:
        entered.set()
        await go.wait()
        detail = status_with_retry_info(grpc.StatusCode.RESOURCE_EXHAUSTED, 250)
        context.set_trailing_metadata((("grpc-status-details-bin", detail),))
        await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "slow down")
        raise AssertionError

    one.behave = throttle
    await rig.apply([backend("one", one.endpoint)])
    await rig.put(10)
    await entered.wait()
    draining = asyncio.ensure_future(rig.forwarder.drain(50))
    go.set()
    async with asyncio.timeout(10):
        assert await draining == {"one": 10}


async def test_drain_says_what_is_left_and_the_next_start_sends_it(tmp_path: Path, one: GrpcBackend) -> None:
    async with running(tmp_path) as rig:
        await rig.apply([backend("one", "http://127.0.0.1:9")])
        await rig.put(10)
        assert await rig.forwarder.drain(0.1) == {"one": 10}
        sent = rig.sent
    async with running(tmp_path) as rig:
        await rig.apply([backend("one", one.endpoint)])
        await rig.settled()
        assert one.taken.ids == sent


async def test_clean_stop_repeats_nothing(tmp_path: Path, one: GrpcBackend) -> None:
    sent: list[str] = []
    for _ in range(3):
        async with running(tmp_path) as rig:
            await rig.apply([backend("one", one.endpoint)])
            sent += await rig.put(10, requests=10)
            await rig.settled()
            assert rig.entry("one").account.delivered["one"] == len(sent)
    assert one.taken.ids == sent


async def test_an_entry_that_is_gone_leaves_a_tombstone_with_its_account(
    tmp_path: Path, rig: Rig, one: GrpcBackend, two: HttpBackend
) -> None:
    await rig.apply([backend("one", one.endpoint), backend("two", two.endpoint, "HTTP")])
    await rig.put(10)
    await rig.settled()
    await rig.apply([backend("one", one.endpoint)])
    store = CursorStore(str(tmp_path), SystemFiles())
    kept, tombstone = store.load("one"), store.load("two")
    assert kept is not None and not kept.removed
    assert tombstone is not None and tombstone.removed
    assert tombstone.account.delivered == {"two": 10}


async def test_the_oldest_tombstones_are_removed(tmp_path: Path, rig: Rig, one: GrpcBackend) -> None:
    for number in range(TOMBSTONES + 3):
        await rig.apply([backend("one", one.endpoint)], {f"entry-{number}": ["one"]})
    names = CursorStore(str(tmp_path), SystemFiles()).names()
    assert len(names) == TOMBSTONES + 1
    assert "entry-0" not in names


async def test_entry_that_is_gone_stops_pinning_the_disk(tmp_path: Path, one: GrpcBackend) -> None:
    async with running(tmp_path, quota=1 << 20, segment_size=64 << 10) as rig:
        await rig.apply([backend("one", one.endpoint), backend("dead", "http://127.0.0.1:9")])
        await rig.put(50, requests=20, size=300)
        await until(lambda: rig.entry("one").saved == rig.log.end, "the cursor is saved")
        assert rig.log.begin.seq == 0
        await rig.apply([backend("one", one.endpoint)])
        await until(lambda: rig.log.begin.seq > 0, "segments are released")


async def test_passed_segments_are_released(tmp_path: Path, one: GrpcBackend) -> None:
    async with running(tmp_path, quota=1 << 20, segment_size=64 << 10) as rig:
        await rig.apply([backend("one", one.endpoint)])
        for _ in range(40):
            await rig.put(50, requests=4, size=300)
            assert await rig.forwarder.flush(rig.log.end, 10)
            await until(lambda: rig.entry("one").saved.seq > rig.log.end.seq - 2000, "the cursor is saved")
        assert rig.log.begin.seq > 4000
        assert sorted(one.taken.ids) == sorted(rig.sent)


async def test_backlog_far_behind_arrives_in_order(rig: Rig, one: GrpcBackend) -> None:
    """More than WARM_BYTES: read ahead in a thread, several batches at a time."""
    for _ in range(10):
        await rig.put(100, requests=10, size=2000)
    assert rig.log.stats().bytes > WARM_BYTES
    await rig.apply([backend("one", one.endpoint, batch={"maxSpans": 200, "maxBytes": "1Mi", "maxDelay": "10ms"})])
    await rig.settled()
    assert Counter(one.taken.ids) == Counter(rig.sent)
    assert max(len(batch) for batch in one.taken.batches) == 200


async def test_one_backend_in_two_entries(rig: Rig, one: GrpcBackend, two: HttpBackend) -> None:
    backends = [backend("one", one.endpoint), backend("two", two.endpoint, "HTTP")]
    await rig.apply(backends, {"main": ["one", "two"], "copy": ["two"]})
    await rig.put(10, requests=10)
    await rig.settled()
    assert sorted(one.taken.ids) == sorted(two.taken.ids) == sorted(rig.sent)


async def test_age_of_the_oldest_pending_span(rig: Rig, one: GrpcBackend) -> None:
    await rig.apply([backend("dead", "http://127.0.0.1:9"), backend("one", one.endpoint)])
    await rig.put(10)
    await until(lambda: rig.entry("dead").oldest_pending > 0.2, "the age grows")
    await until(lambda: rig.entry("one").pending == 0, "the other one delivers")
    assert rig.entry("one").oldest_pending == 0
