"""What the demo's backend keeps: spans, ids and requests in bounded memory, and how they are decoded."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Span:
    """What is kept of one span. Ids are hexadecimal, times Unix seconds and milliseconds."""

    span_id: str
    trace_id: str
    parent_span_id: str
    name: str
    service: str
    start: float
    duration_ms: float
    status: str
    trace_state: str
    attributes: dict[str, str | int | float | bool | list[str]]


@dataclass(slots=True)
class Request:
    """One request as it came in, and what was answered."""

    time: float
    transport: str
    bytes: int
    spans: int
    answer: str
    headers: dict[str, str]


@dataclass(slots=True)
class Store:
    """What arrived, bounded: `keep` spans in full and `keep_ids` ids; older ones are forgotten."""

    keep: int
    keep_ids: int
    spans: deque[Span] = field(init=False)
    requests: deque[Request] = field(default_factory=lambda: deque(maxlen=1000))
    ids: dict[bytes, None] = field(default_factory=dict)
    count: Counter[str] = field(default_factory=Counter)
    first: float = 0.0
    last: float = 0.0

    def __post_init__(self) -> None:
        self.spans = deque(maxlen=self.keep)

    def add(self, span_id: bytes, span: Span) -> None:
        """Book one stored span."""
        if span_id in self.ids:
            self.count["duplicates"] += 1
        else:
            self.ids[span_id] = None
            if len(self.ids) > self.keep_ids:
                del self.ids[next(iter(self.ids))]
                self.count["forgotten_ids"] += 1
        self.spans.append(span)

    def received(self, size: int) -> None:
        """Book one answered request of `size` bytes."""
        self.last = time.time()
        self.first = self.first or self.last
        self.count["requests"] += 1
        self.count["bytes"] += size

    def stats(self) -> dict[str, object]:
        """The counts, all keys always present."""
        keys = ("requests", "failed_requests", "bytes", "spans", "duplicates", "rejected", "forgotten_ids")
        distinct = len(self.ids) + self.count["forgotten_ids"]
        return {k: self.count[k] for k in keys} | {
            "distinct": distinct,
            "first": self.first,
            "last": self.last,
        }


Decode = Callable[[bytes, Store, bool], int]
"""Stores what a request holds, all but its first span if told so; returns how many spans it held."""


def _plain(value: Any) -> str | int | float | bool | list[str]:
    kind = value.WhichOneof("value")
    if kind == "array_value" and all(item.WhichOneof("value") == "string_value" for item in value.array_value.values):
        return [item.string_value[:200] for item in value.array_value.values[:32]]
    if kind in ("string_value", "int_value", "double_value", "bool_value"):
        plain: str | int | float | bool = getattr(value, kind)
        return plain[:200] if isinstance(plain, str) else plain
    return f"({kind})"


def full_decoder() -> Decode:
    """Decode with opentelemetry-proto; keep ids, names, times. It raises ValueError on what is not OTLP."""
    from google.protobuf.message import DecodeError
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    def decode(body: bytes, store: Store, partial: bool) -> int:
        try:
            request = ExportTraceServiceRequest.FromString(body)
        except DecodeError as error:
            raise ValueError(f"not an ExportTraceServiceRequest: {error}") from None
        spans = 0
        for resource in request.resource_spans:
            named = {a.key: a.value for a in resource.resource.attributes}
            service = str(_plain(named["service.name"])) if "service.name" in named else ""
            for scope in resource.scope_spans:
                for span in scope.spans:
                    spans += 1
                    if partial and spans == 1:
                        continue
                    store.add(span.span_id, _kept(span, service))
        return spans

    return decode


def _kept(span: Any, service: str) -> Span:
    return Span(
        span_id=span.span_id.hex(),
        trace_id=span.trace_id.hex(),
        parent_span_id=span.parent_span_id.hex(),
        name=span.name,
        service=service,
        start=span.start_time_unix_nano / 1e9,
        duration_ms=round((span.end_time_unix_nano - span.start_time_unix_nano) / 1e6, 3),
        status=("unset", "ok", "error")[span.status.code] if span.status.code < 3 else str(span.status.code),
        trace_state=span.trace_state,
        attributes={a.key: _plain(a.value) for a in span.attributes[:32]},
    )


def counting_decoder() -> Decode:
    """Only count spans, with the sidecar's scan where it is installed; else none."""
    try:
        from tracekeeper_sidecar.wire.scan import count_spans
    except ImportError:
        return lambda body, store, partial: 0
    return lambda body, store, partial: count_spans(body)
