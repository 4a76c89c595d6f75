"""What becomes of a request, and that the ledger says so."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable

import pytest

import otlp_requests
from receivers import Gate, Store, export
from tracekeeper_sidecar.errors import LogFull, LogTooLarge, LogUnavailable
from tracekeeper_sidecar.ledger import Intake
from tracekeeper_sidecar.process.step import Request
from tracekeeper_sidecar.receive.admission import OVERHEAD, Admission
from tracekeeper_sidecar.receive.intake import Receiver
from tracekeeper_sidecar.receive.outcome import MAX_REQUEST, Accepted, Outcome, Refused
from tracekeeper_sidecar.wire.meter import Meter
from tracekeeper_sidecar.wire.varint import delimited
from waiting import until


class Rig:
    """A receiver before a store in memory."""

    def __init__(
        self,
        limit: int = 1 << 20,
        append_timeout: float = 5.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.store, self.ledger, self.suspended = Store(), Intake(), False
        self.admission, self.meter = Admission(limit), Meter()
        self.receiver = Receiver(
            self.store.submit,
            self.ledger,
            self.admission,
            lambda: self.suspended,
            append_timeout=append_timeout,
            meter=self.meter,
            monotonic=monotonic,
        )

    async def export(self, body: bytes) -> Outcome:
        return await export(self.receiver, body)


def expect(result: Outcome, reason: str, grpc_code: int, http_status: int, retry_after: float | None) -> str:
    assert isinstance(result, Refused)
    assert (result.reason, result.grpc_code, result.http_status, result.retry_after) == (
        reason,
        grpc_code,
        http_status,
        retry_after,
    )
    return result.message


async def test_accepted_after_the_append() -> None:
    rig = Rig()
    rig.store.gate = Gate()
    body = otlp_requests.body(4)
    answer = asyncio.create_task(rig.export(body))
    await until(lambda: rig.store.waiting, "the append begins")
    assert not answer.done()
    assert rig.admission.in_flight == OVERHEAD + len(body)
    rig.store.gate.set()
    assert await answer == Accepted(4)
    assert rig.store.payloads == [body]
    assert rig.admission.in_flight == 0
    assert rig.ledger == Intake()


@pytest.mark.parametrize("body", [b"", delimited(1, b"")])
async def test_empty_requests_succeed_and_store_nothing(body: bytes) -> None:
    rig = Rig()
    rig.store.fault = LogFull("quota", "no room", 1)
    assert await rig.export(body) == Accepted(0)
    assert rig.store.payloads == []


async def test_suspended_answers_ok_stores_nothing_and_counts() -> None:
    rig = Rig()
    rig.suspended = True
    assert await rig.export(otlp_requests.body(4)) == Accepted(4)
    assert (rig.store.payloads, rig.ledger.suspended) == ([], 4)
    rig.suspended = False
    assert await rig.export(otlp_requests.body(2)) == Accepted(2)
    assert rig.ledger.received(acknowledged=2) == 6


async def test_malformed() -> None:
    rig = Rig()
    message = expect(await rig.export(otlp_requests.body(2)[:-1]), "malformed", 3, 400, None)
    assert message.startswith("not a valid OTLP trace request: resource_spans[0]: the value ends beyond")
    assert rig.ledger.refused_requests == {"malformed": 1}
    assert rig.ledger.refused == {}


async def test_over_the_limit() -> None:
    rig = Rig()
    message = expect(await rig.export(bytes(MAX_REQUEST + 1)), "too_large", 8, 413, None)
    assert "of 67108865 bytes is over the limit of 67108864 bytes" in message
    assert "OTEL_BSP_MAX_EXPORT_BATCH_SIZE" in message
    assert rig.ledger.refused_requests == {"too_large": 1}


@pytest.mark.parametrize("reason", ["quota", "disk"])
async def test_full(reason: str) -> None:
    rig = Rig()
    rig.store.fault = LogFull(reason, "1 GiB of 1 GiB used", 2.5)
    message = expect(await rig.export(otlp_requests.body(3)), reason, 8, 429, 2.5)
    assert message == "the buffer is full: 1 GiB of 1 GiB used"
    assert rig.ledger.refused == {reason: 3}
    assert rig.ledger.refused_requests == {reason: 1}


async def test_unavailable() -> None:
    rig = Rig()
    rig.store.fault = LogUnavailable("/data: read-only file system", 3)
    message = expect(await rig.export(otlp_requests.body(3)), "unavailable", 14, 503, 3)
    assert message == "the buffer cannot be written: /data: read-only file system"
    assert rig.ledger.refused == {"unavailable": 3}


async def test_what_can_never_fit_is_not_asked_for_again() -> None:
    rig = Rig()
    rig.store.fault = LogTooLarge("a request of 9 bytes can never fit")
    message = expect(await rig.export(otlp_requests.body(3)), "too_large", 8, 413, None)
    assert message == "a request of 9 bytes can never fit"
    assert rig.ledger.refused == {"too_large": 3}


async def test_spans_that_were_stored_before_the_fault_are_not_refused_as_well() -> None:
    rig = Rig()
    rig.store.fault = LogFull("disk", "no room", 1)
    rig.store.fault.stored = 2
    expect(await rig.export(otlp_requests.body(5)), "disk", 8, 429, 1.0)
    assert rig.ledger.refused == {"disk": 3}


async def test_overloaded() -> None:
    rig = Rig(limit=1000)
    rig.store.gate = Gate()
    first = asyncio.create_task(rig.export(otlp_requests.body(5)))
    await until(lambda: rig.store.waiting, "the first request waits for the disk")
    message = expect(await rig.export(otlp_requests.body(4)), "overloaded", 8, 429, 1.0)
    assert "already waiting for the disk" in message
    assert rig.ledger.refused == {"overloaded": 4}
    rig.store.gate.set()
    assert await first == Accepted(5)
    assert await rig.export(otlp_requests.body(4)) == Accepted(4)


async def test_a_disk_that_does_not_answer() -> None:
    rig = Rig(append_timeout=0.05)
    rig.store.gate = Gate()
    message = expect(await rig.export(otlp_requests.body(3)), "timeout", 14, 503, 1.0)
    assert "within 0.05 s; they may still be stored" in message
    assert rig.ledger.refused_requests == {"timeout": 1}
    assert rig.ledger.refused == {}, "whether they were stored is not known; if so, the log counts them"
    assert rig.admission.in_flight == 0


async def test_a_fault_of_ours_is_logged_and_answered(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig()
    rig.store.fault = ZeroDivisionError("oops")
    with caplog.at_level(logging.ERROR):
        message = expect(await rig.export(otlp_requests.body(3)), "internal", 14, 503, 1.0)
    assert "its log has the details" in message
    assert "ZeroDivisionError: oops" in caplog.text


async def test_spans_that_turn_out_not_to_be_stored_are_counted_when_that_is_known() -> None:
    rig = Rig(append_timeout=0.05)
    rig.store.gate = Gate()
    expect(await rig.export(otlp_requests.body(3)), "timeout", 14, 503, 1.0)
    rig.store.fault = LogUnavailable("input/output error")
    rig.store.fault.stored = 1
    rig.store.gate.set()
    assert rig.ledger.refused == {"timeout": 2}
    assert rig.ledger.refused_requests == {"timeout": 1}


async def test_only_those_that_waited_too_long_are_given_up() -> None:
    rig = Rig(append_timeout=0.05)
    answered = await rig.export(otlp_requests.body(1))
    rig.store.gate = Gate()
    first = asyncio.create_task(rig.export(otlp_requests.body(2)))
    second = asyncio.create_task(rig.export(otlp_requests.body(3)))
    assert [type(each) for each in (answered, await first, await second)] == [Accepted, Refused, Refused]
    assert rig.ledger.refused_requests == {"timeout": 2}
    rig.store.gate.set()
    assert await rig.export(otlp_requests.body(4)) == Accepted(4)
    assert rig.ledger == Intake(refused_requests=Counter(timeout=2)), "the first two are the log's to count"


async def test_an_answer_that_fails_keeps_no_later_request_from_being_given_up() -> None:
    rig = Rig(append_timeout=0.05)
    rig.store.gate = Gate()
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: faults.append(context["exception"]))

    def broken(outcome: Outcome) -> None:
        raise RuntimeError("a caller's mistake")

    rig.receiver.take(otlp_requests.body(1), 0, broken)
    expect(await rig.export(otlp_requests.body(2)), "timeout", 14, 503, 1.0)
    expect(await rig.export(otlp_requests.body(3)), "timeout", 14, 503, 1.0)
    assert rig.admission.in_flight == 0
    assert len(faults) == 1
    rig.store.gate.set()


async def test_what_the_caller_holds_is_the_callers_to_give_back() -> None:
    rig = Rig(limit=1000)
    answers: list[Outcome] = []
    body = otlp_requests.body(2)
    assert rig.admission.reserve(900)
    rig.receiver.take(body, 900, answers.append)
    assert (answers, rig.admission.in_flight) == ([Accepted(2)], 900)


async def test_what_processing_makes_of_a_request_is_stored() -> None:
    rig = Rig()
    kept = otlp_requests.body(2, text="***")
    rig.receiver.lead_through(lambda body, spans, context, done, due: done(Request(kept, spans), None), frozenset())
    assert await rig.export(otlp_requests.body(2)) == Accepted(2)
    assert rig.store.payloads == [kept]


def holding(rig: Rig) -> list[Callable[[], None]]:
    """Leads requests through processors that are done with one when what they put on this list is called."""
    held: list[Callable[[], None]] = []

    def process(body: bytes, spans: int, context: object, done: Callable[..., None], due: float) -> None:
        held.append(lambda: done(Request(body, spans), None))

    rig.receiver.lead_through(process, frozenset())
    return held


async def test_what_processors_took_is_not_waited_for_again() -> None:
    """The sender waits for ten seconds in all: those that a request has spent before are the disk's no more."""
    rig = Rig(append_timeout=8.0)
    came = asyncio.get_running_loop().time()
    dues: list[float] = []
    held: list[Callable[[], None]] = []

    def process(body: bytes, spans: int, context: object, done: Callable[..., None], due: float) -> None:
        dues.append(due)
        held.append(lambda: done(Request(body, spans), None))

    rig.receiver.lead_through(process, frozenset())
    answer = asyncio.create_task(rig.export(otlp_requests.body(2)))
    await until(lambda: held, "it is processed")
    assert came + 8 <= dues[0] <= came + 9
    held.pop()()
    assert await answer == Accepted(2)


async def test_who_was_held_up_by_processors_is_given_up_before_those_that_came_later() -> None:
    now = 100.0
    rig = Rig(append_timeout=8.0, monotonic=lambda: now)
    rig.store.gate = Gate()
    held = holding(rig)
    late = asyncio.create_task(rig.export(otlp_requests.body(2)))
    await until(lambda: held, "it is processed")
    now += 5
    rig.receiver.lead_through(None, frozenset())
    later = asyncio.create_task(rig.export(otlp_requests.body(3)))
    await until(lambda: rig.store.waiting == 1, "one waits for the disk")
    held.pop()()
    now += 3.5
    expect(await asyncio.wait_for(late, 10), "timeout", 14, 503, 1.0)
    assert not later.done()
    now += 5
    expect(await asyncio.wait_for(later, 10), "timeout", 14, 503, 1.0)
    rig.store.gate.set()


async def test_the_disk_has_a_second_however_late_processors_are() -> None:
    now = 100.0
    rig = Rig(append_timeout=8.0, monotonic=lambda: now)
    rig.store.gate = Gate()
    held = holding(rig)
    answer = asyncio.create_task(rig.export(otlp_requests.body(2)))
    await until(lambda: held, "it is processed")
    now += 20
    held.pop()()
    await until(lambda: rig.store.waiting, "it waits for the disk")
    rig.receiver._sweep()
    assert not answer.done()
    rig.store.gate.set()
    assert await answer == Accepted(2)


async def test_a_client_that_hangs_up_changes_nothing() -> None:
    rig = Rig()
    rig.store.gate = Gate()
    body = otlp_requests.body(3)
    task = asyncio.create_task(rig.export(body))
    await until(lambda: rig.store.waiting, "the append begins")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert rig.admission.in_flight == OVERHEAD + len(body), "the log still holds it"
    rig.store.gate.set()
    assert (rig.admission.in_flight, rig.store.payloads) == (0, [body])
    assert rig.ledger.refused_requests == {}


async def test_requests_of_the_application_are_counted_once_they_are_acknowledged() -> None:
    rig = Rig()
    meter = rig.meter
    await rig.export(otlp_requests.body(3))
    assert meter.requests == 3
    rig.store.fault = LogUnavailable("the disk is away")
    assert isinstance(await rig.export(otlp_requests.body(2)), Refused)
    rig.suspended = True
    await rig.export(otlp_requests.body(2))
    assert meter.requests == 3


async def test_a_critical_span_is_announced_to_the_log() -> None:
    rig = Rig()
    message = otlp_requests.request(2)
    await rig.export(message.SerializeToString())
    assert rig.store.critical == 0
    span = message.resource_spans[0].scope_spans[0].spans[1]
    span.attributes.add(key="tracekeeper.priority").value.string_value = "critical"
    await rig.export(message.SerializeToString())
    assert rig.store.critical == 1
