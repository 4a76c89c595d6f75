"""A test span that the operator asks for, in a sidecar without its link: where it comes, and what is in its way."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from forward_support.rig import backend
from forward_support.routed import Routed, routed, sampling
from forward_support.servers import GrpcBackend, Serve, failing
from tracekeeper_proto.control.v1 import control_pb2 as pb
from tracekeeper_sidecar.clock import SystemClock
from tracekeeper_sidecar.control.trials import MOST, Trials
from tracekeeper_sidecar.ledger import Intake
from tracekeeper_sidecar.prober import NO_ENTRIES, SUSPENDED, TIME_UP, Prober, made
from tracekeeper_sidecar.receive.admission import Admission
from tracekeeper_sidecar.receive.intake import Receiver
from tracekeeper_sidecar.wire.scan import look
from traces_to_sample import trace
from waiting import until

NONE_AT_ALL = sampling(wait="100ms")


class Rig:
    def __init__(self, there: Routed) -> None:
        self.routed, self.suspended, self.ledger = there, False, Intake()
        self.admission = Admission(1 << 20)
        receiver = Receiver(there.log.submit, self.ledger, self.admission, lambda: self.suspended)
        self.prober = Prober(receiver, there.log, there.routes, SystemClock(), lambda: self.suspended)
        self.trials = Trials(self.prober, SystemClock())
        self.said: list[pb.TestState] = []

    def command(self, name: str = "t1", timeout: float = 30) -> None:
        self.trials.command(pb.TestCommand(id=name, timeout_seconds=timeout), self.send)

    def send(self, message: pb.FromSidecar) -> bool:
        self.said.append(message.test)
        return True

    async def last(self) -> pb.TestState:
        """What is said when nothing more is to come."""
        await until(lambda: self.said and not self.said[-1].running, "it has ended")
        return self.said[-1]

    async def end_of(self, name: str) -> pb.TestState:
        def end() -> pb.TestState | None:
            return next((state for state in self.said if state.id == name and not state.running), None)

        return await until(end, "it has ended")

    async def outcomes(self) -> dict[str, tuple[str, str]]:
        return {entry.name: (entry.outcome, entry.backend) for entry in (await self.last()).delivery}


@pytest.fixture
async def there(tmp_path: Path) -> AsyncIterator[Rig]:
    async with routed(tmp_path) as made:
        rig = Rig(made)
        try:
            yield rig
        finally:
            await rig.prober.stop()
            assert not made.routes.watchers


@pytest.fixture
async def server(serve: Serve) -> GrpcBackend:
    return await serve(GrpcBackend())


def test_the_span_is_one_that_any_backend_takes() -> None:
    body = made(bytes(range(16)), 1_700_000_000.5)
    sight = look(body)
    assert (sight.spans, sight.critical) == (1, True)
    message = ExportTraceServiceRequest.FromString(body)
    assert message.SerializeToString() == body
    (resource,) = message.resource_spans
    names = {each.key: each.value.string_value for each in resource.resource.attributes}
    assert names["service.name"] == "tracekeeper-test" and names["host.name"]
    (span,) = resource.scope_spans[0].spans
    assert (span.trace_id, len(span.span_id), span.parent_span_id) == (bytes(range(16)), 8, b"")
    assert (span.kind, span.name) == (1, "tracekeeper test span")
    assert span.end_time_unix_nano == 1_700_000_000_500_000_000 > span.start_time_unix_nano > 0


async def test_it_arrives_and_is_said_to(there: Rig, server: GrpcBackend) -> None:
    await there.routed.apply(backend("a", server.endpoint))
    there.command()
    state = await there.last()
    (entry,) = state.delivery
    assert (state.problem, state.sampled, entry.outcome, entry.backend) == ("", False, "Delivered", "a")
    assert len(state.trace_id) == 16 and 0 < state.stored_seconds <= entry.seconds
    assert len(server.taken.ids) == 1
    assert there.prober.sent == 1
    await there.routed.settled()


async def test_it_is_found_among_others(there: Rig, server: GrpcBackend) -> None:
    await there.routed.apply(backend("a", server.endpoint, batch={"maxDelay": "200ms", "maxSpans": 7}))
    chance = random.Random(1)
    for number in range(MOST):
        await there.routed.put(*(trace(chance) for _ in range(number)), whole=number > 0)
        there.command(f"t{number}")
    there.command("one-more")
    assert there.said[-1].id == "one-more" and f"{MOST} test spans are under way" in there.said[-1].problem
    await until(lambda: not there.trials._trials, "all have ended")
    ends = {state.id: state for state in there.said if not state.running}
    assert [ends[f"t{number}"].delivery[0].outcome for number in range(MOST)] == ["Delivered"] * MOST
    assert len({state.trace_id for state in ends.values()}) == MOST + 1


async def test_sampling_does_not_leave_it_out(there: Rig, server: GrpcBackend) -> None:
    everything = {"name": "all", "backends": ["a"], "spans": "All"}
    sampled = {"name": "some", "backends": ["a"]}
    await there.routed.apply(backend("a", server.endpoint), delivery=[everything, sampled], sampling=NONE_AT_ALL)
    await there.routed.put(trace(random.Random(1)))
    there.command()
    assert await there.outcomes() == {"all": ("Delivered", "a"), "some": ("Delivered", "a")}
    assert there.said[-1].sampled
    assert len(server.taken.ids) == 4 + 2, "of the application's trace the sampled entry has nothing"


async def test_an_entry_that_takes_other_spans_says_so(there: Rig, server: GrpcBackend) -> None:
    some = {"name": "some", "backends": ["a"], "match": 'span.name == "root"'}
    own = {"name": "own", "backends": ["a"], "match": 'span.attributes["tracekeeper.test"] == "true"'}
    await there.routed.apply(backend("a", server.endpoint), delivery=[some, own])
    there.command()
    assert await there.outcomes() == {"some": ("NotMatched", ""), "own": ("Delivered", "a")}


async def test_what_is_in_the_way_is_said_until_it_is_away(there: Rig, server: GrpcBackend) -> None:
    server.behave = failing(10**9)
    await there.routed.apply(backend("a", server.endpoint))
    there.command()

    def words() -> str:
        return there.said[-1].delivery[0].words if there.said and there.said[-1].delivery else ""

    await until(lambda: "circuit" in words(), "the circuit is open, and it says so")
    assert "not now" in words() and "no backend of the entry takes spans" in words()
    assert there.said[-1].delivery[0].outcome == "Waiting"
    server.behave = failing(0)
    assert await there.outcomes() == {"a": ("Delivered", "a")}


async def test_what_no_backend_takes_is_dropped_and_why_is_said(there: Rig, server: GrpcBackend) -> None:
    server.behave = failing(10**9, grpc.StatusCode.INVALID_ARGUMENT)
    await there.routed.apply(backend("a", server.endpoint))
    there.command()
    (entry,) = (await there.last()).delivery
    assert (entry.outcome, entry.backend) == ("Dropped", "")
    assert entry.words


async def test_time_goes_by(there: Rig, server: GrpcBackend) -> None:
    server.behave = failing(10**9)
    await there.routed.apply(backend("a", server.endpoint))
    for timeout in (0.5, 2, 8, 20):  # A busy machine needs longer to store a span and find it.
        there.command(f"t{timeout}", timeout)
        state = await there.end_of(f"t{timeout}")
        assert state.problem == TIME_UP
        if state.delivery:
            break
    assert [entry.outcome for entry in state.delivery] == ["Waiting"]


async def test_an_entry_that_goes_takes_nothing(there: Rig, server: GrpcBackend) -> None:
    server.behave = failing(10**9)
    await there.routed.apply(backend("a", server.endpoint))
    there.command()
    await until(lambda: there.said and there.said[-1].delivery, "it waits")
    await there.routed.apply(backend("b", server.endpoint))
    assert await there.outcomes() == {"a": ("Gone", "")}


async def test_without_a_config_and_while_suspended_nothing_is_sent(there: Rig, server: GrpcBackend) -> None:
    there.command()
    assert (await there.last()).problem == NO_ENTRIES
    await there.routed.apply(backend("a", server.endpoint))
    there.suspended = True
    there.command("t2")
    assert (await there.last()).problem == SUSPENDED
    assert (there.ledger.suspended, there.prober.sent) == (0, 0)


async def test_what_refuses_the_applications_spans_refuses_it(there: Rig, server: GrpcBackend) -> None:
    await there.routed.apply(backend("a", server.endpoint))
    assert there.admission.reserve(1 << 20)
    there.command()
    state = await there.last()
    assert "the sidecar refuses it, as it would the application's (overloaded)" in state.problem
    assert not state.stored_seconds
    assert there.ledger.refused == {"overloaded": 1}


@pytest.mark.parametrize("seconds", [0.0, float("nan"), 601.0])
async def test_a_time_that_makes_no_sense(there: Rig, seconds: float, server: GrpcBackend) -> None:
    await there.routed.apply(backend("a", server.endpoint))
    there.command(timeout=seconds)
    assert "timeout: more than no seconds, and at most 600" in there.said[0].problem
    assert not there.prober.sent


async def test_nobody_is_told_when_the_stream_is_over(there: Rig, server: GrpcBackend) -> None:
    await there.routed.apply(backend("a", server.endpoint))
    there.command()
    there.trials.detached()
    await until(lambda: server.taken.ids, "it goes its way")
    told: list[Any] = list(there.said)
    await until(lambda: not there.prober._tasks, "it is over")
    assert there.said == told
