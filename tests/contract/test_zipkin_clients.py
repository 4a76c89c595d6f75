"""Zipkin's clients, as they are published, against our receiver."""

from __future__ import annotations

import asyncio
import urllib.request

from opentelemetry.exporter.zipkin.json import ZipkinExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode
from py_zipkin.encoding._types import Encoding, Kind
from py_zipkin.zipkin import zipkin_span

from openai_items import services, spans, values
from receivers import Serving, serving


def url(running: Serving) -> str:
    return f"http://127.0.0.1:{running.http_port}/api/v2/spans"


async def test_opentelemetrys_exporter_is_read_back_as_it_was() -> None:
    async with serving() as running:
        provider = TracerProvider(resource=Resource.create({"service.name": "shop"}))
        provider.add_span_processor(SimpleSpanProcessor(ZipkinExporter(endpoint=url(running))))

        def work() -> None:
            tracer = provider.get_tracer("cart", "1.0")
            with (
                tracer.start_as_current_span("outer", kind=SpanKind.SERVER),
                tracer.start_as_current_span("inner", kind=SpanKind.CLIENT, attributes={"n": 3, "l": ["a"]}) as inner,
            ):
                inner.add_event("tried", {"times": 2})
                inner.set_status(Status(StatusCode.ERROR, "no"))
            provider.shutdown()

        await asyncio.to_thread(work)
        inner, outer = [one for payload in running.store.payloads for one in spans(payload)]
        assert (outer.name, outer.kind, outer.parent_span_id) == ("outer", 2, b"")
        assert (inner.name, inner.kind, inner.parent_span_id) == ("inner", 3, outer.span_id)
        assert inner.trace_id == outer.trace_id
        assert inner.start_time_unix_nano < inner.end_time_unix_nano
        assert (inner.status.code, inner.status.message) == (2, "no")
        found = values(inner.attributes)
        assert (found["n"], found["l"]) == ("3", '["a"]')
        (event,) = inner.events
        assert (event.name, values(event.attributes)) == ("tried", {"times": 2})
        assert {name for payload in running.store.payloads for name in services(payload)} == {"shop"}


async def test_py_zipkin() -> None:
    async with serving() as running:
        answers = []

        def transport(encoded: str | bytes) -> None:
            body = encoded.encode() if isinstance(encoded, str) else encoded
            request = urllib.request.Request(url(running), body, {"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=20) as answer:
                answers.append(answer.status)

        def work() -> None:
            outer = zipkin_span(
                service_name="shop",
                span_name="outer",
                transport_handler=transport,
                encoding=Encoding.V2_JSON,
                sample_rate=100,
                port=8080,
                kind=Kind.SERVER,
            )
            tags: dict[str, str | None] = {"a": "b"}
            with (
                outer,
                zipkin_span(service_name="shop", span_name="inner", kind=Kind.CLIENT, binary_annotations=tags) as inner,
            ):
                inner.add_sa_binary_annotation(port=5432, service_name="db", host="10.0.0.1")

        await asyncio.to_thread(work)
        assert answers == [202]
        made = {one.name: one for payload in running.store.payloads for one in spans(payload)}
        inner, outer = made["inner"], made["outer"]
        assert inner.parent_span_id == outer.span_id
        assert (inner.trace_id, outer.kind) == (outer.trace_id, 2)
        assert values(inner.attributes) == {
            "a": "b",
            "peer.service": "db",
            "network.peer.address": "10.0.0.1",
            "network.peer.port": 5432,
        }
