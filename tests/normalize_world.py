"""Requests for the step Normalize, written by the official protobuf classes, and what it makes of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tracekeeper_sidecar.process.normalize.step import Normalize
from tracekeeper_sidecar.process.normalize.table import Table
from tracekeeper_sidecar.process.step import Request
from tracekeeper_sidecar.wire import scan

NOW = 1_760_000_000_000_000_000
MINUTE = 60_000_000_000
TRACE = bytes(range(1, 17))


@dataclass
class Told:
    """A span to be."""

    attributes: Mapping[str, Any] = field(default_factory=dict)
    name: str = "a span"
    span_id: int = 1
    parent: int = 0
    scope: str = "tests"
    events: Sequence[tuple[str, Mapping[str, Any]]] = ()
    begin: int = NOW
    end: int = NOW + 1_000_000_000
    trace: bytes = TRACE


def step(*dialects: str, keep_originals: bool = True, messages: bool = True) -> Normalize:
    """A step of its own."""
    return Normalize("to-canonical", "Normalize", Table(dialects, messages), keep_originals)


def body(*spans: Told) -> bytes:
    """A request of these spans, each in a scope of its own where the scope changes."""
    message = ExportTraceServiceRequest()
    resource = message.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "shop"
    scopes = None
    for told in spans:
        if scopes is None or scopes.scope.name != told.scope:
            scopes = resource.scope_spans.add()
            scopes.scope.name = told.scope
        span = scopes.spans.add(
            trace_id=told.trace,
            span_id=told.span_id.to_bytes(8),
            parent_span_id=told.parent.to_bytes(8) if told.parent else b"",
            name=told.name,
            kind=Span.SPAN_KIND_CLIENT,
            start_time_unix_nano=told.begin,
            end_time_unix_nano=told.end,
        )
        span.attributes.extend(key_values(told.attributes))
        for name, attributes in told.events:
            span.events.add(name=name, time_unix_nano=told.begin).attributes.extend(key_values(attributes))
    return message.SerializeToString()


def key_values(attributes: Mapping[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=key, value=any_value(value)) for key, value in attributes.items()]


def any_value(value: Any) -> AnyValue:
    """As the SDKs write values of Python."""
    match value:
        case None:
            return AnyValue()
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case str():
            return AnyValue(string_value=value)
        case bytes():
            return AnyValue(bytes_value=value)
        case list():
            return AnyValue(array_value=ArrayValue(values=[any_value(item) for item in value]))
        case dict():
            return AnyValue(kvlist_value=KeyValueList(values=key_values(value)))
    raise TypeError(f"{type(value)} in an attribute")


def run(by: Normalize, *spans: Told, now: int = NOW) -> list[dict[str, Any]]:
    """The attributes of these spans after one request with them; what comes out is a request that the scanner takes."""
    request = Request(body(*spans), len(spans), now)
    by.run(request)
    assert scan.look(request.body).spans == len(spans)
    return said(request.body)


def one(attributes: Mapping[str, Any], by: Normalize | None = None, **told: Any) -> dict[str, Any]:
    """The attributes of one span afterwards."""
    (found,) = run(by or step(), Told(attributes, **told))
    return found


def new(attributes: Mapping[str, Any], by: Normalize | None = None, **told: Any) -> dict[str, Any]:
    """Those that are new, or are not as they were."""
    return {key: value for key, value in one(attributes, by, **told).items() if attributes.get(key) != value}


def said(content: bytes) -> list[dict[str, Any]]:
    """The attributes of each span; each key is there once."""
    message = ExportTraceServiceRequest.FromString(content)
    found = []
    for resource in message.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                made = {item.key: plain(item.value) for item in span.attributes}
                assert len(made) == len(span.attributes)
                found.append(made)
    return found


def plain(value: AnyValue) -> Any:
    match value.WhichOneof("value"):
        case None:
            return None
        case "array_value":
            return [plain(item) for item in value.array_value.values]
        case "kvlist_value":
            return {item.key: plain(item.value) for item in value.kvlist_value.values}
        case kind:
            return getattr(value, kind)


def messages(found: Mapping[str, Any], key: str) -> Any:
    """What the JSON of messages says."""
    return json.loads(found[key])


def samples(by: Normalize, name: str) -> dict[tuple[str, ...], float]:
    """The rows of one of its metrics, by their labels less the step's name."""
    return {each.labels[1:]: each.value for each in by.samples() if each.metric.name == name}


def repeated(found: Iterable[Mapping[str, Any]]) -> list[bool]:
    return [each.get("tracekeeper.usage.repeated", False) for each in found]
