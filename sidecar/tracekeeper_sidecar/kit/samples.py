"""Spans to try a step on."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tracekeeper_sidecar.process.custom.attributes import Attributes, Value
from tracekeeper_sidecar.process.custom.spans import Event, Span, spans_of


def make_span(
    name: str = "work",
    attributes: Mapping[str, Value] | None = None,
    *,
    resource: Mapping[str, Value] | None = None,
    kind: str = "internal",
    status: str = "unset",
    status_message: str = "",
    duration: float = 0.01,
    parent: Span | None = None,
    events: Mapping[str, Mapping[str, Value]] | None = None,
    scope: str = "kit",
) -> Span:
    """A span that has just ended; its ids are random, but for the trace's, which is its parent's where it has one.

    `duration` is in seconds; `events` are attributes by the name of the event.
    """
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    Attributes(group.resource.attributes).update(resource or {"service.name": "kit"})
    inside = group.scope_spans.add()
    inside.scope.name = scope
    now = time.time_ns()
    message = inside.spans.add(
        trace_id=parent.message.trace_id if parent is not None else secrets.token_bytes(15) + b"\x01",
        span_id=secrets.token_bytes(7) + b"\x01",
        parent_span_id=parent.message.span_id if parent is not None else b"",
        start_time_unix_nano=now - int(duration * 1e9),
        end_time_unix_nano=now,
    )
    span = Span(message, group, inside)
    span.name, span.kind, span.status = name, kind, status
    if status_message:
        span.status_message = status_message
    span.attributes.update(attributes or {})
    for title, pairs in (events or {}).items():
        event = Event(message.events.add(name=title, time_unix_nano=now))
        event.attributes.update(pairs)
    return span


def samples() -> list[Span]:
    """Spans with all that a step must put up with: every kind of value, none at all, long texts, other alphabets."""
    values: dict[str, Any] = {
        "text": "value",
        "empty": "",
        "long": "x" * 20_000,
        "other letters": "Ünïcödé 日本語 🙂",
        "truth": True,
        "number": -(2**63),
        "decimal": 0.5,
        "bytes": b"\x00\xff",
        "nothing": None,
        "list": ["a", 1, [True, None]],
        "mapping": {"key": {"key": "value"}},
        "gen_ai.request.model": "gpt-4o",
        "http.response.status_code": 503,
    }
    root = make_span("GET /orders/{id}", values, kind="server", status="error", status_message="no answer")
    return [
        root,
        make_span("", parent=root, resource={}, scope=""),
        make_span("chat gpt-4o", {"gen_ai.operation.name": "chat"}, parent=root, kind="client", duration=3.0),
        make_span("fails", parent=root, status="error", events={"exception": {"exception.type": "TimeoutError"}}),
        make_span("backwards", duration=-1.0),
        make_span("ok", status="ok", kind="consumer"),
    ]


def body_of(spans: Sequence[Span]) -> bytes:
    """A request with copies of these spans, each with its own resource and scope, serialised."""
    request = ExportTraceServiceRequest()
    for span in spans:
        group = request.resource_spans.add()
        group.resource.CopyFrom(span._group.resource)
        inside = group.scope_spans.add()
        inside.scope.CopyFrom(span._scope.scope)
        inside.spans.add().CopyFrom(span.message)
    return request.SerializeToString()


def spans_in(body: bytes) -> list[Span]:
    """The spans of a serialised request."""
    return list(spans_of(ExportTraceServiceRequest.FromString(body)))
