"""The official Python SDK's exporters, pointed at our receivers, and spans for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import grpc
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression as HttpCompression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from receivers import Serving

Make = Callable[[Serving], SpanExporter]


def grpc_exporter(running: Serving) -> SpanExporter:
    return GrpcExporter(endpoint=f"http://127.0.0.1:{running.grpc_port}")


def grpc_gzip_exporter(running: Serving) -> SpanExporter:
    return GrpcExporter(endpoint=f"http://127.0.0.1:{running.grpc_port}", compression=grpc.Compression.Gzip)


def http_exporter(running: Serving) -> SpanExporter:
    return HttpExporter(endpoint=running.traces_url)


def http_gzip_exporter(running: Serving) -> SpanExporter:
    return HttpExporter(endpoint=running.traces_url, compression=HttpCompression.Gzip)


EXPORTERS: list[Make] = [grpc_exporter, grpc_gzip_exporter, http_exporter, http_gzip_exporter]


def spans(count: int) -> Sequence[ReadableSpan]:
    """Finished spans of a small agent run."""
    memory = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource.create({"service.name": "agents"}))
    processor = BatchSpanProcessor(memory)
    provider.add_span_processor(processor)
    tracer = provider.get_tracer("tests")
    with tracer.start_as_current_span("invoke_agent") as root:
        root.add_event("thinking", {"tokens": 12})
        for number in range(count - 1):
            with tracer.start_as_current_span("chat", attributes={"gen_ai.request.model": "m", "n": number}):
                pass
    provider.shutdown()
    return memory.get_finished_spans()


def ids(made: Sequence[ReadableSpan]) -> set[bytes]:
    return {span.context.span_id.to_bytes(8, "big") for span in made if span.context}


async def export(exporter: SpanExporter, made: Sequence[ReadableSpan]) -> SpanExportResult:
    return await asyncio.to_thread(exporter.export, made)
