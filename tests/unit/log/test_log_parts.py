"""Large requests become several frames, all of them or none."""

from __future__ import annotations

import asyncio
import errno
import os
import threading

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

import otlp_requests
from log_harness import ManualClock, open_log, payloads_of, read_all
from simulated_files import SimulatedFiles
from tracekeeper_sidecar.errors import LogError, LogFull, LogTooLarge, LogUnavailable
from tracekeeper_sidecar.log import parts
from tracekeeper_sidecar.log.appender import QUEUE_BYTES
from tracekeeper_sidecar.wire.varint import delimited
from waiting import until

SPAN = delimited(2, delimited(1, b"t" * 16) + delimited(2, b"s" * 8) + delimited(5, b"n" * 4000))
QUOTA = 32 << 20


class HangingFiles(SimulatedFiles):
    """Whose syncs wait for `leave`."""

    def __init__(self) -> None:
        super().__init__(sector=65536)
        self.leave = threading.Event()

    def fdatasync(self, handle: int) -> None:
        self.leave.wait(30)
        super().fdatasync(handle)


def large(size: int) -> tuple[bytes, int]:
    count = size // len(SPAN)
    return delimited(1, delimited(2, SPAN * count)), count


async def test_every_span_of_a_large_request_is_stored_once_and_in_order() -> None:
    log = open_log(SimulatedFiles(sector=65536), quota=QUOTA)
    message = otlp_requests.request(1300, text="x" * 1200)
    body = message.SerializeToString()
    assert len(body) > parts.LARGE
    await log.append(otlp_requests.body(3), 3)
    assert await log.append(body, 1300) == log.end
    assert log.end.seq == 1303
    payloads = payloads_of(read_all(log))[1:]
    assert len(payloads) >= 4
    assert max(map(len, payloads)) <= parts.PART
    read = [one for part in payloads for one in otlp_requests.span_ids(ExportTraceServiceRequest.FromString(part))]
    assert read == otlp_requests.span_ids(message)
    await log.close()


async def test_a_large_request_that_does_not_fit_now_is_refused_before_a_part_is_stored() -> None:
    log = open_log(SimulatedFiles(sector=65536), quota=12 << 20)
    body, spans = large(9 << 20)
    await log.append(body, spans)
    with pytest.raises(LogFull, match=r"the buffer in /data has room for .* of this request's") as refused:
        await log.append(body, spans)
    assert refused.value.stored == 0
    assert log.end.seq == spans
    log.release(log.end)
    await log.append(body, spans)
    assert log.end.seq == 2 * spans
    await log.close()


async def test_a_disk_that_fails_between_two_parts_tells_how_many_spans_are_stored() -> None:
    files = SimulatedFiles(sector=65536)
    log = open_log(files, ManualClock(), quota=QUOTA)
    syncs = 0

    def third_sync(operation: str, path: str) -> OSError | None:
        nonlocal syncs
        syncs += operation == "fdatasync"
        return OSError(errno.EIO, os.strerror(errno.EIO)) if operation == "fdatasync" and syncs > 2 else None

    files.fault = third_sync
    body, spans = large(20 << 20)
    with pytest.raises(LogUnavailable) as refused:
        await log.append(body, spans)
    assert 0 < refused.value.stored < spans
    assert log.end.seq == refused.value.stored
    await log.close()


async def test_a_span_that_no_backend_would_take_is_refused_for_good() -> None:
    log = open_log(SimulatedFiles(sector=65536), quota=QUOTA)
    message = otlp_requests.request(3)
    message.resource_spans[0].scope_spans[0].spans[2].name = "n" * (9 << 20)
    with pytest.raises(LogTooLarge, match="OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"):
        await log.append(message.SerializeToString(), 3)
    assert log.end.seq == 0
    await log.close()


async def test_a_resource_is_not_repeated_until_the_disk_is_full() -> None:
    log = open_log(SimulatedFiles(sector=65536), quota=QUOTA)
    message = otlp_requests.request(100, text="x" * 10_000)
    message.resource_spans[0].resource.attributes.add(key="k").value.string_value = "v" * (2 << 20)
    with pytest.raises(LogTooLarge, match="resources of many spans"):
        await log.append(message.SerializeToString(), 100)
    assert log.end.seq == 0
    await log.close()


async def test_closing_in_the_middle_of_a_large_request_answers_it() -> None:
    log = open_log(SimulatedFiles(sector=65536), quota=QUOTA)
    body, spans = large(20 << 20)
    begun = asyncio.Event()
    log.on_committed(begun.set)
    appending = asyncio.ensure_future(log.append(body, spans))
    async with asyncio.timeout(30):
        await begun.wait()
    await log.close()
    async with asyncio.timeout(30):
        with pytest.raises(LogUnavailable) as refused:
            await appending
    assert refused.value.stored == log.end.seq


async def test_large_requests_that_wait_for_a_disk_that_hangs_are_bounded() -> None:
    files = HangingFiles()
    log = open_log(files, quota=1 << 30)
    body, spans = large(9 << 20)
    answers: list[LogError | None] = []
    for _ in range(20):
        log.submit(body, spans, answers.append)
    refused = [answer for answer in answers if isinstance(answer, LogUnavailable)]
    assert 20 - len(refused) == QUEUE_BYTES // len(body)
    assert "is slow" in str(refused[0])
    files.leave.set()
    await until(lambda: len(answers) >= 20, "all are answered")
    assert answers.count(None) == 20 - len(refused)
    await log.append(body, spans)
    assert log.end.seq == (21 - len(refused)) * spans
    await log.close()
