"""Items as the OpenAI Agents SDK sends them, and what the sidecar makes of them, in plain values."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tracekeeper_sidecar.wire.converted import Converted
from tracekeeper_sidecar.wire.openai_json import convert
from tracekeeper_sidecar.wire.scan import look

TRACE = "trace_0af7651916cd43dd8448eb211c80319c"
SPAN = "span_b7ad6b71692033310123abcd"
USAGE: dict[str, Any] = {
    "requests": 1,
    "input_tokens": 100,
    "output_tokens": 20,
    "total_tokens": 120,
    "input_tokens_details": {"cached_tokens": 40, "cache_write_tokens": 0, "cache_write_tokens_details": None},
    "output_tokens_details": {"reasoning_tokens": 5},
}


def trace(**members: Any) -> dict[str, Any]:
    """A trace item."""
    item = {"object": "trace", "id": TRACE, "workflow_name": "Demo", "group_id": None, "metadata": None}
    return {**item, **members}


def span(data: Any, **members: Any) -> dict[str, Any]:
    """A span item with this span_data."""
    item = {
        "object": "trace.span",
        "id": SPAN,
        "trace_id": TRACE,
        "parent_id": None,
        "started_at": "2026-11-22T13:11:17.099368+00:00",
        "ended_at": "2026-11-22T13:11:18.099407+00:00",
        "span_data": data,
        "error": None,
    }
    return {**item, **members}


def body(*items: Any) -> bytes:
    """The request that brings these items."""
    return json.dumps({"data": items}).encode()


def converted(*items: Any, **options: Any) -> Converted:
    """What becomes of them, of which nothing was heard before; the scanner has agreed to it."""
    made = convert(body(*items), lambda name: None, **options)
    if made.payload:
        look(made.payload)
    return made


def spans(payload: bytes) -> list[Span]:
    """All spans of a request."""
    request = ExportTraceServiceRequest.FromString(payload)
    return [one for each in request.resource_spans for scope in each.scope_spans for one in scope.spans]


def one(*items: Any, **options: Any) -> Span:
    """The only span that becomes of them."""
    made = converted(*items, **options)
    assert not made.problem, made.problem
    (found,) = spans(made.payload)
    return found


def values(attributes: Any) -> dict[str, Any]:
    """Attributes as plain values."""
    return {one.key: _value(one.value) for one in attributes}


def _value(value: AnyValue) -> Any:
    which = value.WhichOneof("value")
    if which == "array_value":
        return [_value(item) for item in value.array_value.values]
    return getattr(value, str(which))


def services(payload: bytes) -> Iterator[str]:
    """`service.name` of each resource."""
    for each in ExportTraceServiceRequest.FromString(payload).resource_spans:
        yield values(each.resource.attributes)["service.name"]
