"""A part of a request that must not be stored: OTLP's partial success, as it goes over the wire, and as official SDKs
take it: what is told is not sent again."""

from __future__ import annotations

import asyncio
import json
import os
import urllib.request
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.sdk.trace.export import SpanExportResult

import otlp_requests
from foreign_clients import CLIENTS, Client, Counts, ToolMissing
from receivers import EXPORT, Serving, serving
from sdk_exporters import EXPORTERS, Make, export, spans
from tracekeeper_sidecar.process.pipeline import Pipeline
from tracekeeper_sidecar.process.step import Plain, Request

PROBLEM = "they could not be redacted in time"
WAYS = [(client, protocol) for client in CLIENTS for protocol in client.protocols]


class Refusing(Plain):
    """A step that must not let some spans through: those that `which` says, by their name."""

    def __init__(self, which: Callable[[str], bool]) -> None:
        super().__init__("redact", "Redact")
        self._which = which

    def run(self, request: Request) -> None:
        message = ExportTraceServiceRequest.FromString(request.body)
        gone = 0
        for group in message.resource_spans:
            for scope in group.scope_spans:
                left = [span for span in scope.spans if not self._which(span.name)]
                gone += len(scope.spans) - len(left)
                del scope.spans[:]
                scope.spans.extend(left)
        if gone:
            request.refuse("redaction", message.SerializeToString(), gone, PROBLEM)


def refuse(running: Serving, which: Callable[[str], bool]) -> None:
    pipeline = Pipeline([Refusing(which)])
    running.receiver.lead_through(pipeline.process, pipeline.wants)


async def over_grpc(running: Serving, message: ExportTraceServiceRequest) -> bytes:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{running.grpc_port}") as channel:
        call: Any = channel.unary_unary(EXPORT)
        answer: bytes = await call(message.SerializeToString(), timeout=20)
    return answer


async def over_http(running: Serving, content: bytes, kind: str) -> bytes:
    def post() -> bytes:
        asked = urllib.request.Request(running.traces_url, content, {"Content-Type": kind})
        with urllib.request.urlopen(asked, timeout=20) as answer:
            assert (answer.status, answer.headers["Content-Type"]) == (200, kind)
            return bytes(answer.read())

    return await asyncio.to_thread(post)


async def over_protobuf(running: Serving, message: ExportTraceServiceRequest) -> ExportTraceServiceResponse:
    answer = await over_http(running, message.SerializeToString(), "application/x-protobuf")
    return ExportTraceServiceResponse.FromString(answer)


async def over_json(running: Serving, message: ExportTraceServiceRequest) -> ExportTraceServiceResponse:
    # With ids in base64, as protobuf's own mapping writes them, where OTLP's has hexadecimal.
    written = json_format.MessageToDict(message, use_integers_for_enums=True)
    for span in written["resourceSpans"][0]["scopeSpans"][0]["spans"]:
        span["traceId"], span["spanId"] = "a1" * 16, "b2" * 8
    content = json.dumps(written).encode()
    answer = await over_http(running, content, "application/json")
    return json_format.Parse(answer, ExportTraceServiceResponse())


async def over_raw_grpc(running: Serving, message: ExportTraceServiceRequest) -> ExportTraceServiceResponse:
    return ExportTraceServiceResponse.FromString(await over_grpc(running, message))


@pytest.mark.parametrize("send", [over_raw_grpc, over_protobuf, over_json])
async def test_the_answer_says_how_many_and_why(send: Any) -> None:
    async with serving() as running:
        refuse(running, lambda name: name == "span 1")
        answer = await send(running, otlp_requests.request(3))
        assert answer.partial_success.rejected_spans == 1
        assert answer.partial_success.error_message == f"1 spans are not stored: {PROBLEM}"
        assert len(running.store.span_ids()) == 2
        assert running.ledger.refused == {"redaction": 1}
        assert await send(running, otlp_requests.request(1)) == ExportTraceServiceResponse(), "nothing to say"


@pytest.mark.parametrize("make", EXPORTERS)
async def test_the_sdk_takes_it_for_success_and_sends_nothing_again(make: Make) -> None:
    made = spans(3)
    async with serving() as running:
        refuse(running, lambda name: name == "invoke_agent")
        exporter = make(running)
        assert await export(exporter, made) is SpanExportResult.SUCCESS
        assert len(running.store.payloads) == 1
        assert len(running.store.span_ids()) == 2
        assert (running.ledger.refused, running.ledger.refused_requests) == ({"redaction": 1}, {})
        await asyncio.to_thread(exporter.shutdown)


@pytest.mark.parametrize("make", EXPORTERS)
async def test_the_sdk_gives_up_where_nothing_may_be_stored(make: Make) -> None:
    async with serving() as running:
        refuse(running, lambda name: True)
        exporter = make(running)
        assert await export(exporter, spans(3)) is SpanExportResult.FAILURE
        assert running.store.payloads == []
        assert (running.ledger.refused, running.ledger.refused_requests) == ({"redaction": 3}, {"redaction": 1})
        await asyncio.to_thread(exporter.shutdown)


@pytest.mark.timeout(1000)  # The first run on a machine that was not set up builds the client.
@pytest.mark.parametrize(("client", "protocol"), WAYS, ids=lambda part: getattr(part, "language", part))
async def test_sdks_of_other_languages_send_nothing_again(client: Client, protocol: str) -> None:
    async with serving() as running:
        refuse(running, lambda name: name.endswith(("1", "2")))
        port = running.grpc_port if protocol == "grpc" else running.http_port
        try:
            counts = await asyncio.to_thread(client.run, f"http://127.0.0.1:{port}", protocol, "none", 10)
        except ToolMissing as missing:
            if os.environ.get("CI") == "true":
                raise
            pytest.skip(f"NOT RUN: {missing}")
        # Go's exporter hands what it is told to the application as an error, and drops the batch like the others.
        assert counts == (Counts(sent=0, failed=10) if client.language == "go" else Counts(sent=10, failed=0))
        assert len(running.store.span_ids()) == 8
        assert (running.ledger.refused, running.ledger.refused_requests) == ({"redaction": 2}, {})
