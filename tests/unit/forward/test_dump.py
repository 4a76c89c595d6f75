"""What a dump reads, leaves out, sends and says, over a log of its own and real backends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from forward_support.servers import GrpcBackend, GrpcBehaviour, Serve, failing, grpc_ok
from log_harness import ManualClock
from tracekeeper_sidecar.clock import SystemClock
from tracekeeper_sidecar.forward.backend import Backend
from tracekeeper_sidecar.forward.backends import Backends
from tracekeeper_sidecar.forward.dump import Dump, Progress, Wanted
from tracekeeper_sidecar.forward.sender import Sender
from tracekeeper_sidecar.log.files import SystemFiles
from tracekeeper_sidecar.log.log import Log
from tracekeeper_sidecar.model import Position
from tracekeeper_sidecar.wire.traces import verdict
from tracekeeper_spec.parse import parse_spec
from tracekeeper_spec.resolve import resolve
from tracekeeper_spec.secrets import DocumentSecrets

KEPT, OUT = verdict(1, 0, keep=True), verdict(2, 1 << 55, keep=False)


def spans(first: int, count: int, name: str = "x") -> bytes:
    """A request of so many spans, each of a trace of its own."""
    message = ExportTraceServiceRequest()
    scope = message.resource_spans.add().scope_spans.add()
    for number in range(first, first + count):
        scope.spans.add(
            trace_id=number.to_bytes(16), span_id=number.to_bytes(8), name=name, trace_state="ot=th:8;x:y,a=b"
        )
    return message.SerializeToString()


def numbers(server: GrpcBackend) -> list[int]:
    return [int(span, 16) for span in server.taken.ids]


class Rig:
    def __init__(self, log: Log, clock: ManualClock, backend: Backend, backends: Backends) -> None:
        self.log, self.clock, self.booked = log, clock, 0
        self._backend, self._backends = backend, backends

    def dump(
        self, wanted: Wanted, decided: Callable[[bytes], int] = lambda trace_id: OUT, until: Position | None = None
    ) -> Dump:
        end = until or self.log.end
        return Dump(wanted, self.log, lambda: end, decided, self._book)

    async def run(self, dump: Dump) -> Progress:
        sender = Sender("dump", [self._backend], SystemClock(), lambda: 0.5, self._backends.signal)
        await asyncio.wait_for(dump.run(sender, SystemClock()), 30)
        return dump.progress

    def _book(self, spans: int) -> None:
        self.booked += spans


@asynccontextmanager
async def rig(directory: Path, server: GrpcBackend) -> AsyncIterator[Rig]:
    clock = ManualClock()
    log = await asyncio.to_thread(
        lambda: Log.open(str(directory), files=SystemFiles(), clock=clock, quota=64 << 20, history=32 << 20)
    )
    parsed, faults = parse_spec(
        {
            "backends": [
                {
                    "name": "one",
                    "type": "OTLP",
                    "otlp": {"protocol": "GRPC", "endpoint": server.endpoint},
                    "retry": {"initialBackoff": "10ms", "maxBackoff": "50ms", "budget": 1},
                }
            ]
        }
    )
    assert not faults
    backends = Backends(SystemClock(), lambda: 0.5)
    await backends.apply(resolve(parsed).backends, DocumentSecrets({}))
    try:
        yield Rig(log, clock, backends.get("one"), backends)
    finally:
        await backends.close()
        await log.close()


@pytest.fixture
async def server(serve: Serve) -> GrpcBackend:
    return await serve(GrpcBackend())


@pytest.fixture
async def one(tmp_path: Path, server: GrpcBackend) -> AsyncIterator[Rig]:
    async with rig(tmp_path, server) as made:
        yield made


async def test_it_begins_with_the_first_request_that_is_young_enough(one: Rig, server: GrpcBackend) -> None:
    times = []
    for number in range(10):
        await one.log.append(spans(10 * number, 10), 10)
        times.append(one.clock.now())
        one.clock.advance(1.0)
    for first in (0, 4, 9):
        server.taken.batches.clear()
        progress = await one.run(one.dump(Wanted(times[first], "", "one")))
        assert numbers(server) == list(range(10 * first, 100))
        assert (progress.looked_at, progress.sent, progress.left) == (100 - 10 * first, 100 - 10 * first, 0)
    server.taken.batches.clear()
    assert (await one.run(one.dump(Wanted(times[9] + 0.5, "", "one")))).looked_at == 0
    assert numbers(server) == []


async def test_it_ends_where_sampling_has_come(one: Rig, server: GrpcBackend) -> None:
    await one.log.append(spans(0, 5), 5)
    until = one.log.end
    await one.log.append(spans(5, 5), 5)
    assert (await one.run(one.dump(Wanted(0.0, "", "one"), until=until))).sent == 5
    assert numbers(server) == list(range(5))


async def test_only_what_matches_and_was_left_out_is_sent(one: Rig, server: GrpcBackend) -> None:
    def decided(trace_id: bytes) -> int:
        return (KEPT, OUT, 0)[int.from_bytes(trace_id) % 3]

    await one.log.append(spans(0, 30, "a"), 30)
    await one.log.append(spans(30, 30, "b"), 30)
    progress = await one.run(one.dump(Wanted(0.0, 'span.name == "b"', "one"), decided))
    assert numbers(server) == list(range(31, 60, 3))
    assert one.booked == 10
    assert progress == Progress(False, 60, 30, 10, 10, 10)
    server.taken.batches.clear()
    progress = await one.run(one.dump(Wanted(0.0, 'span.name == "b"', "one", forgotten=True), decided))
    assert numbers(server) == [number for number in range(30, 60) if number % 3]
    assert (progress.sent, progress.not_known) == (20, 0)


async def test_tracestate_says_no_probability(one: Rig, server: GrpcBackend) -> None:
    seen: list[str] = []

    async def look(body: bytes, context: object) -> bytes:
        message = ExportTraceServiceRequest.FromString(body)
        seen.extend(span.trace_state for span in message.resource_spans[0].scope_spans[0].spans)
        return await grpc_ok(body, context)

    server.behave = look
    await one.log.append(spans(0, 3), 3)
    await one.run(one.dump(Wanted(0.0, "", "one")))
    assert seen == ["ot=x:y,a=b"] * 3


async def test_backend_that_is_away_for_a_moment_is_waited_for(one: Rig, server: GrpcBackend) -> None:
    server.behave = failing(3)
    await one.log.append(spans(0, 3), 3)
    progress = await one.run(one.dump(Wanted(0.0, "", "one")))
    assert (progress.sent, progress.problem, one.booked) == (3, "", 3)


@pytest.mark.parametrize(("behave", "problem"), [(failing(10**6), "time was up after 0.2 s")])
async def test_it_ends_when_time_is_up(one: Rig, server: GrpcBackend, behave: GrpcBehaviour, problem: str) -> None:
    server.behave = behave
    await one.log.append(spans(0, 3), 3)
    progress = await one.run(one.dump(Wanted(0.0, "", "one", timeout=0.2)))
    assert (progress.running, progress.sent, progress.problem, one.booked) == (False, 0, problem, 0)


async def test_large_history_is_sent_batch_by_batch(one: Rig, server: GrpcBackend) -> None:
    for number in range(50):
        await one.log.append(spans(200 * number, 200), 200)
    progress = await one.run(one.dump(Wanted(0.0, "", "one")))
    assert progress.sent == one.booked == 10_000
    assert sorted(numbers(server)) == list(range(10_000))
    assert max(len(batch) for batch in server.taken.batches) <= 2048
