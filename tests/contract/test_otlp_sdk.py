"""The official Python SDK's exporters against our receivers: what an application sees."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult

from receivers import serving
from sdk_exporters import EXPORTERS, Make, export, grpc_exporter, http_exporter, ids, spans
from tracekeeper_sidecar.errors import LogFull, LogUnavailable


@pytest.fixture(params=EXPORTERS)
def make(request: pytest.FixtureRequest) -> Make:
    found: Make = request.param
    return found


async def test_spans_arrive_whole(make: Make) -> None:
    made = spans(30)
    async with serving() as running:
        exporter = make(running)
        assert await export(exporter, made) is SpanExportResult.SUCCESS
        assert set(running.store.span_ids()) == ids(made)
        assert running.ledger.refused_requests == {}
        await asyncio.to_thread(exporter.shutdown)


@pytest.mark.parametrize("fault", [LogFull("quota", "no room", 0.2), LogUnavailable("disk is away", 0.2)])
async def test_a_refused_export_is_sent_again_and_arrives(make: Make, fault: Exception) -> None:
    made = spans(10)
    async with serving() as running:
        running.store.fault, running.store.heal_after = fault, 2
        exporter = make(running)
        assert await export(exporter, made) is SpanExportResult.SUCCESS
        assert running.store.refusals == 2
        assert set(running.store.span_ids()) == ids(made)
        assert sum(running.ledger.refused.values()) == 20
        await asyncio.to_thread(exporter.shutdown)


@pytest.mark.parametrize("make", [grpc_exporter, http_exporter])
async def test_the_exporter_waits_as_long_as_it_is_told(make: Make) -> None:
    """3 s, where the exporter's own first delay would be about 1 s: it is ours that it read."""
    async with serving() as running:
        running.store.fault, running.store.heal_after = LogFull("quota", "no room", 3.0), 1
        exporter = make(running)
        begin = asyncio.get_running_loop().time()
        assert await export(exporter, spans(3)) is SpanExportResult.SUCCESS
        assert 2.9 < asyncio.get_running_loop().time() - begin < 8
        await asyncio.to_thread(exporter.shutdown)


async def test_the_refusal_reaches_the_applications_log(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as running:
        # Longer than the exporter's whole deadline: it gives up at once, and says why.
        running.store.fault = LogFull("quota", "1 GiB of 1 GiB is used", 60)
        exporter = grpc_exporter(running)
        with caplog.at_level(logging.WARNING):
            assert await export(exporter, spans(3)) is SpanExportResult.FAILURE
        assert "the buffer is full: 1 GiB of 1 GiB is used" in caplog.text
        await asyncio.to_thread(exporter.shutdown)


async def test_a_batch_processor_delivers_everything_through_a_full_buffer(make: Make) -> None:
    async with serving() as running:
        running.store.fault, running.store.heal_after = LogFull("quota", "no room", 0.1), 3
        provider = TracerProvider()
        provider.add_span_processor(BatchSpanProcessor(make(running), schedule_delay_millis=50))
        tracer: Any = provider.get_tracer("tests")
        made = []
        for _ in range(300):
            with tracer.start_as_current_span("step") as span:
                made.append(span.get_span_context().span_id.to_bytes(8, "big"))
        await asyncio.to_thread(provider.shutdown)
        assert set(running.store.span_ids()) == set(made)


async def test_suspended_takes_everything_and_stores_nothing(make: Make) -> None:
    async with serving() as running:
        running.suspended = True
        exporter = make(running)
        assert await export(exporter, spans(7)) is SpanExportResult.SUCCESS
        assert (running.store.payloads, running.ledger.suspended) == ([], 7)
        await asyncio.to_thread(exporter.shutdown)
