"""Spans of a serialised ExportTraceServiceRequest for people: a few lines for each, or OTLP's own JSON. Pure."""

from __future__ import annotations

import base64
import datetime
import json
from collections.abc import Iterator, Sequence
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tracekeeper_cli.errors import CLIError
from tracekeeper_cli.terminal import plain

LONGEST = 200
"""Characters of a value; a prompt may have many thousands."""
IDS = frozenset({"traceId", "spanId", "parentSpanId"})
KINDS = ("", "internal", "server", "client", "producer", "consumer")
STATUSES = ("", "ok", "ERROR")


def read(request: bytes) -> Any:
    """The request. Raises CLIError."""
    try:
        return ExportTraceServiceRequest.FromString(request)
    except DecodeError:
        raise CLIError("what a sidecar shows is no OTLP request: is it of another version than the operator?") from None


def first(request: Any, most: int) -> int:
    """Leave no more than so many of the request's spans in it; how many there are then."""
    left = most
    for scope in (scope for resource in request.resource_spans for scope in resource.scope_spans):
        del scope.spans[left:]
        left -= len(scope.spans)
    return most - left


def lines(pod: str, request: Any) -> Iterator[str]:
    """Each span with its attributes, and with what surrounds it."""
    for resource in request.resource_spans:
        about = {each.key: each.value for each in resource.resource.attributes}
        service = _value(about.pop("service.name", None))
        for span in (span for scope in resource.scope_spans for span in scope.spans):
            yield _head(pod, service, span)
            if span.status.message:
                yield f"    status: {_short(span.status.message)}"
            for each in span.attributes:
                yield f"    {plain(each.key)}: {_short(_value(each.value))}"
            for event in span.events:
                yield f"    event {_short(event.name)}: {_pairs(event.attributes)}"
            if about:
                yield f"    resource: {', '.join(f'{plain(key)}={_short(_value(it))}' for key, it in about.items())}"


def as_json(pod: str, request: Any) -> str:
    """One line: OTLP's JSON of the request, with the pod's name beside it."""
    document = MessageToDict(request, use_integers_for_enums=True)
    return json.dumps({"pod": pod, **_hexadecimal(document)}, ensure_ascii=True)


def _head(pod: str, service: str, span: Any) -> str:
    start = datetime.datetime.fromtimestamp(span.start_time_unix_nano / 1e9, datetime.UTC)
    took = max(0, span.end_time_unix_nano - span.start_time_unix_nano) / 1e6
    kind = KINDS[span.kind] if 0 <= span.kind < len(KINDS) else ""
    status = STATUSES[span.status.code] if 0 <= span.status.code < len(STATUSES) else ""
    parent = "" if span.parent_span_id else "root"
    words = [kind, parent, status, f"{took:.1f} ms", f"trace {span.trace_id.hex()} span {span.span_id.hex()}"]
    what = f"{plain(pod)} {_short(service) or '(no service.name)'}: {_short(span.name)}"
    return f"{start:%H:%M:%S.%f}"[:-3] + f" {what} ({', '.join(word for word in words if word)})"


def _pairs(attributes: Sequence[Any]) -> str:
    return ", ".join(f"{plain(each.key)}={_short(_value(each.value))}" for each in attributes) or "-"


def _value(value: Any) -> str:
    """Of an AnyValue, or of none."""
    kind = value.WhichOneof("value") if value is not None else None
    if kind is None:
        return ""
    if kind == "array_value":
        return "[" + ", ".join(_value(each) for each in value.array_value.values) + "]"
    if kind == "kvlist_value":
        return "{" + ", ".join(f"{each.key}: {_value(each.value)}" for each in value.kvlist_value.values) + "}"
    if kind == "bool_value":
        return str(value.bool_value).lower()
    return str(getattr(value, kind))


def _short(text: str) -> str:
    text = plain(text[: LONGEST + 1])
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _hexadecimal(value: Any) -> Any:
    """OTLP's JSON has ids in hexadecimal, where protobuf's has Base64."""
    if isinstance(value, dict):
        return {
            key: base64.b64decode(it).hex() if key in IDS and isinstance(it, str) else _hexadecimal(it)
            for key, it in value.items()
        }
    return [_hexadecimal(each) for each in value] if isinstance(value, list) else value
