"""The fields of `sidecar.receivers`: what the sidecar listens to for spans."""

from __future__ import annotations

from tracekeeper_spec.config import OpenAiReceiver, OtlpReceiver, ParentFrom, Receivers, ZipkinReceiver
from tracekeeper_spec.schema import Choice, Field, Integer, Object

PORT = Integer(1024, 65535)

OTLP_RECEIVER = Object(
    OtlpReceiver,
    (
        Field("grpcPort", PORT, "OTLP over gRPC, on localhost.", default=4317),
        Field("httpPort", PORT, "OTLP over HTTP, on localhost.", default=4318),
    ),
)

OPENAI_RECEIVER = Object(
    OpenAiReceiver,
    (
        Field(
            "parentFrom",
            Choice(ParentFrom),
            "What may name the span of another service that a trace hangs below, by `traceparent`, `b3` or "
            "`uber-trace-id`: the trace's `Metadata` alone, or else also the headers of the request that brings it. "
            "Such headers may name the request itself, where the application's HTTP client is traced.",
            default="Metadata",
        ),
    ),
)

ZIPKIN_RECEIVER = Object(
    ZipkinReceiver,
    (
        Field(
            "port",
            PORT,
            "A port of its own, on localhost. Zipkin's is 9411.",
            default_note="only the port of OTLP over HTTP",
        ),
    ),
)

RECEIVERS = Object(
    Receivers,
    (
        Field("otlp", OTLP_RECEIVER, "OpenTelemetry's own protocol.", default={}),
        Field(
            "openai",
            OPENAI_RECEIVER,
            "OpenAI's trace ingest, which the OpenAI Agents SDK sends to: `POST /v1/traces/ingest` on `otlp.httpPort`.",
            default={},
        ),
        Field(
            "zipkin",
            ZIPKIN_RECEIVER,
            "Zipkin's API: `POST /api/v2/spans`, JSON, on `otlp.httpPort`.",
            default_note="not served",
        ),
    ),
)
