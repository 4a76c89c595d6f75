"""Spans that sampling left out are sent once to every entry, whatever their backends do, over a log of its own."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from forward_support.rig import backend
from forward_support.routed import FaultyFiles
from forward_support.servers import GrpcBackend, Serve, failing, grpc_hang, grpc_ok
from tracekeeper_sidecar.clock import SystemClock
from tracekeeper_sidecar.forward import course, lots, rescue
from tracekeeper_sidecar.forward.backends import Backends
from tracekeeper_sidecar.forward.entry import Terms
from tracekeeper_sidecar.forward.filling import Limits
from tracekeeper_sidecar.forward.matcher import compiled
from tracekeeper_sidecar.forward.rescue import Rescue
from tracekeeper_sidecar.forward.sender import Sender
from tracekeeper_sidecar.forward.taker import Taker
from tracekeeper_sidecar.log.log import Log
from tracekeeper_sidecar.log.reader import ENDLESS
from tracekeeper_sidecar.model import Position
from tracekeeper_sidecar.wire.traces import verdict
from tracekeeper_spec.parse import parse_spec
from tracekeeper_spec.resolve import resolve
from tracekeeper_spec.secrets import DocumentSecrets
from waiting import until

KEPT = verdict(3, 0, keep=True)
NOW = SystemClock().now


def spans(traces: range, each: int = 1, name: str = "x", first: int = 1) -> bytes:
    """A request with so many spans of each of these traces, in turn; a span's id is trace * 1000 + its number."""
    message = ExportTraceServiceRequest()
    scope = message.resource_spans.add().scope_spans.add()
    for number in range(first, first + each):
        for one in traces:
            scope.spans.add(trace_id=one.to_bytes(16), span_id=(1000 * one + number).to_bytes(8), name=name)
    return message.SerializeToString()


def packed(traces: range, kept: int = KEPT) -> bytes:
    return b"".join(one.to_bytes(16) + kept.to_bytes(8) for one in traces)


def taken(server: GrpcBackend) -> list[int]:
    return sorted(int(span, 16) for span in server.taken.ids)


def ids(traces: range, each: int = 1) -> list[int]:
    return sorted(1000 * one + number for one in traces for number in range(1, each + 1))


class Rig:
    """Made by `rig`."""

    def __init__(self, log: Log, backends: Backends, files: FaultyFiles) -> None:
        self.log, self.files = log, files
        self.booked: Counter[str] = Counter()
        self.takers: dict[str, Taker] = {}
        self._backends = backends
        self.rescue = Rescue(log, SystemClock(), lambda: list(self.takers.values()), self._book)

    async def apply(self, **endpoints: str) -> None:
        """An entry for each of these, with a backend of the same name."""
        parsed, faults = parse_spec({"backends": [backend(name, endpoint) for name, endpoint in endpoints.items()]})
        assert not faults, faults
        await self._backends.apply(resolve(parsed).backends, DocumentSecrets({}))
        for name in endpoints:
            self.add(name)

    def add(self, name: str, match: str = "", begin: int = 0, end: int = ENDLESS) -> None:
        sender = Sender(name, [self._backends.get(name)], SystemClock(), lambda: 0.5, self._backends.signal)
        terms = Terms(Limits(512, 1 << 20, 0.1), matcher=compiled(match))
        self.takers[name] = Taker(name, sender, terms, begin, end)

    def tell(self, traces: range, place: Position | None = None, kept: int = KEPT) -> None:
        self.rescue.take(packed(traces, kept), place or self.log.end, NOW() - 0.3)

    async def done(self) -> None:
        await asyncio.wait_for(self.rescue.finish(30.0), 40.0)
        assert not any(self.rescue.health().waiting.values())

    def _book(self, name: str, count: int) -> None:
        self.booked[name] += count


@asynccontextmanager
async def rig(directory: Path, quota: int = 64 << 20, history: int = 32 << 20) -> AsyncIterator[Rig]:
    files = FaultyFiles()
    log = await asyncio.to_thread(
        lambda: Log.open(str(directory), files=files, clock=SystemClock(), quota=quota, history=history, memory=0)
    )
    backends = Backends(SystemClock(), lambda: 0.5)
    made = Rig(log, backends, files)
    running = asyncio.create_task(made.rescue.run())
    try:
        yield made
        assert not running.done(), running
    finally:
        running.cancel()
        await asyncio.wait((running,))
        made.rescue.end()
        await backends.close()
        await log.close()


@pytest.fixture
async def a(serve: Serve) -> GrpcBackend:
    return await serve(GrpcBackend())


@pytest.fixture
async def b(serve: Serve) -> GrpcBackend:
    return await serve(GrpcBackend())


async def test_spans_before_the_place_are_sent_once_with_what_was_told(tmp_path: Path, a: GrpcBackend) -> None:
    seen: Counter[str] = Counter()

    async def look(body: bytes, context: Any) -> bytes:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            seen.update(span.trace_state for scope in resource.scope_spans for span in scope.spans)
        return await grpc_ok(body, context)

    a.behave = look
    async with rig(tmp_path) as made:
        await made.apply(a=a.endpoint)
        await made.log.append(spans(range(1, 21), 2), 40)
        early = made.log.end
        await made.log.append(spans(range(1, 21), 1, first=3), 20)
        late = made.log.end
        await made.log.append(spans(range(1, 21), 1, first=4), 20)
        made.tell(range(1, 6), early)
        made.tell(range(11, 16), late, verdict(4, 1 << 55, keep=True))
        made.tell(range(16, 18), late, verdict(5, 0, keep=True, erase=True))
        await made.done()
        assert taken(a) == sorted(ids(range(1, 6), 2) + ids(range(11, 18), 3))
        assert seen == {"ot=th:0": 10, "ot=th:8": 15, "": 6}
        assert made.booked == {"a": 31}
        health = made.rescue.health()
        assert sum(health.buckets) == sum(health.buckets[1:]) == 12
        assert health.seconds >= 12 * 0.3
        assert not any(health.given_up.values())
        made.tell(range(18, 19))
        await made.done()
        assert taken(a)[-4:] == ids(range(18, 19), 4)


async def test_spans_without_a_trace_are_nobodys(tmp_path: Path, a: GrpcBackend) -> None:
    """Sampling keeps them."""
    message = ExportTraceServiceRequest()
    message.resource_spans.add().scope_spans.add().spans.add(span_id=bytes(7) + b"\1", name="x")
    async with rig(tmp_path) as made:
        await made.apply(a=a.endpoint)
        await made.log.append(message.SerializeToString(), 1)
        await made.log.append(spans(range(1, 3)), 2)
        made.tell(range(1, 2))
        await made.done()
    assert taken(a) == ids(range(1, 2))


async def test_every_entry_gets_what_it_takes_and_did_not_have(tmp_path: Path, a: GrpcBackend, b: GrpcBackend) -> None:
    async with rig(tmp_path) as made:
        await made.apply(a=a.endpoint, b=b.endpoint)
        made.add("a", match='span.name == "y"')
        for number in range(1, 7):
            await made.log.append(spans(range(1, 4), 1, "xy"[number % 2], first=number), 3)
        made.add("b", begin=6, end=12)
        made.tell(range(1, 3))
        await made.done()
        assert taken(a) == [1001, 1003, 1005, 2001, 2003, 2005]
        assert taken(b) == [1003, 1004, 2003, 2004]
        assert made.booked == {"a": 6, "b": 4}


async def test_a_backend_that_is_away_holds_up_nobody_and_loses_nothing(
    tmp_path: Path, a: GrpcBackend, b: GrpcBackend
) -> None:
    a.behave = grpc_hang
    async with rig(tmp_path) as made:
        await made.apply(a=a.endpoint, b=b.endpoint)
        for number in range(20):
            await made.log.append(spans(range(100 * number, 100 * number + 100), 3), 300)
            made.tell(range(100 * number, 100 * number + 50))
            await until(lambda sent=150 * (number + 1): made.booked["b"] == sent, "b has it")  # type: ignore[misc]
        assert made.rescue.health().waiting["b"] == 0
        a.behave = grpc_ok
        await made.done()
        wanted = sorted(one for number in range(20) for one in ids(range(100 * number, 100 * number + 50), 3))
        assert taken(b) == wanted
        assert sorted(set(taken(a))) == wanted
        assert made.booked == {"a": 3000, "b": 3000}


async def test_what_is_on_its_way_is_bounded_and_goes_on_where_it_was(
    tmp_path: Path, a: GrpcBackend, b: GrpcBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(course, "QUEUE_BYTES", 64 << 10)
    monkeypatch.setattr(rescue, "PATIENCE", 0.01)
    going = asyncio.Event()

    async def held(body: bytes, context: Any) -> bytes:
        await going.wait()
        return b""

    a.behave = held
    async with rig(tmp_path) as made:
        await made.apply(a=a.endpoint, b=b.endpoint)
        for number in range(100):
            await made.log.append(spans(range(1, 101), 1, "x" * 200, first=number + 1), 100)
        made.tell(range(1, 101))
        await until(lambda: made.booked["b"] == 10_000, "b has everything")
        mine = made.rescue._courses["a"]
        assert mine.waiting == 100
        assert mine._queued < (64 << 10) + (1 << 20) + (1 << 20)
        await made.log.append(spans(range(101, 111)), 10)
        made.tell(range(101, 111))
        await until(lambda: made.booked["b"] == 10_010, "b has what came later")
        going.set()
        await made.done()
        assert taken(a) == taken(b) == sorted(ids(range(1, 101), 100) + ids(range(101, 111)))


async def test_of_too_many_the_oldest_are_given_up_by_those_who_have_not_had_them(
    tmp_path: Path, a: GrpcBackend, b: GrpcBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lots, "MOST", 1000)
    monkeypatch.setattr(lots, "SHARE", 100)
    monkeypatch.setattr(course, "QUEUE_REQUESTS", 2)
    a.behave = failing(10**6)
    async with rig(tmp_path) as made:
        await made.apply(a=a.endpoint, b=b.endpoint)
        await made.log.append(spans(range(5000)), 5000)
        for number in range(0, 5000, 500):
            made.tell(range(number, number + 500))
            await until(lambda sent=number + 500: made.booked["b"] == sent, "b has it")  # type: ignore[misc]
        health = made.rescue.health()
        given_up = health.given_up["a", "full"]
        assert health.waiting["a"] == 1000
        assert health.given_up["b", "full"] == 0
        a.behave = grpc_ok
        await made.done()
        assert taken(b) == ids(range(5000))
        # What had been read for it before waits for it in memory.
        assert 5000 - given_up == len(taken(a))
        assert 3000 <= given_up <= 4000
        assert taken(a)[-1000:] == ids(range(4000, 5000))


async def test_what_has_left_the_history_is_given_up(
    tmp_path: Path, a: GrpcBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(course, "QUEUE_REQUESTS", 2)
    a.behave = failing(10**6)
    async with rig(tmp_path, quota=1 << 20, history=0) as made:
        await made.apply(a=a.endpoint)
        await made.log.append(spans(range(100), 1, "x" * 100), 100)
        made.tell(range(10))
        await until(lambda: made.rescue.health().waiting["a"] == 0, "what could be read waits for the backend")
        made.tell(range(10, 20))
        for number in range(40):
            await made.log.append(spans(range(1000, 1100), 1, "y" * 300, first=number), 100)
            made.log.release(made.log.end)
        await until(lambda: made.rescue.health().given_up["a", "gone"] == 10, "it is given up")
        made.tell(range(1000, 1001))
        a.behave = grpc_ok
        await made.done()
        assert 1000039 in taken(a)
        assert [one for one in taken(a) if one < 100_000] == ids(range(10))


async def test_a_log_that_cannot_be_read_for_a_while_is_read_again(tmp_path: Path, a: GrpcBackend) -> None:
    async with rig(tmp_path) as made:
        await made.apply(a=a.endpoint)
        await made.log.append(spans(range(10), 3), 30)
        made.files.broken = lambda operation, path: operation == "open"
        made.tell(range(5))
        await until(lambda: made.rescue.problem, "it cannot be read")
        made.files.broken = lambda operation, path: False
        await until(lambda: made.booked["a"] == 15, "it is sent")
        assert taken(a) == ids(range(5), 3)
        assert not made.rescue.problem


async def test_an_entry_that_is_no_more_is_forgotten(tmp_path: Path, a: GrpcBackend, b: GrpcBackend) -> None:
    a.behave = grpc_hang
    async with rig(tmp_path) as made:
        await made.apply(a=a.endpoint, b=b.endpoint)
        await made.log.append(spans(range(10), 3), 30)
        made.tell(range(5))
        await until(lambda: made.booked["b"] == 15, "b has it")
        del made.takers["a"]
        await made.rescue.forget({"b"})
        await made.done()
        made.add("a")  # One that comes back has had, or has lost, what was before.
        a.behave = grpc_ok
        made.tell(range(5, 7))
        await made.done()
        assert taken(a) == ids(range(5, 7), 3)
        assert taken(b) == ids(range(7), 3)


async def test_an_entry_that_moves_goes_on_with_those_it_sends_to_then(
    tmp_path: Path, a: GrpcBackend, b: GrpcBackend
) -> None:
    a.behave = failing(10**6)
    async with rig(tmp_path) as made:
        await made.apply(a=a.endpoint, b=b.endpoint)
        del made.takers["b"]
        await made.log.append(spans(range(10), 3), 30)
        made.tell(range(5))
        await until(lambda: a.taken.calls, "it tries")
        there = made.takers.pop("a")
        await until(lambda: made.rescue._look_round() or made.rescue._courses["a"].taker is None, "it is away")  # type: ignore[func-returns-value]
        made.add("b")
        made.takers["a"] = replace(there, sender=made.takers.pop("b").sender)
        await made.done()
        assert taken(b) == ids(range(5), 3)


async def test_refused_spans_are_counted(tmp_path: Path, a: GrpcBackend) -> None:
    a.behave = failing(10**6, grpc.StatusCode.INVALID_ARGUMENT)
    async with rig(tmp_path) as made:
        await made.apply(a=a.endpoint)
        await made.log.append(spans(range(10)), 10)
        made.tell(range(5))
        await made.done()
        assert made.rescue.health().refused == {"a": 5}
        assert not made.booked


async def test_nothing_can_be_sent_while_every_backend_is_away(tmp_path: Path, a: GrpcBackend) -> None:
    async with rig(tmp_path) as made:
        await made.apply(a=a.endpoint)
        assert made.rescue.hopeless(0.0)
        await made.log.append(spans(range(10)), 10)
        made.tell(range(5))
        assert not made.rescue.hopeless(0.0)
        await made.done()
        assert made.rescue.hopeless(0.0)
