"""Requests with known span ids, made and read with the official protobuf classes."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_numbers = itertools.count(1)


def request(spans: int, size: int = 20, first: int | None = None) -> tuple[bytes, list[str]]:
    """One serialised request of `spans` spans with names of `size` bytes, and the ids in it.

    Ids count up over the whole process, or from `first`.
    """
    numbers = _numbers if first is None else itertools.count(first)
    message = ExportTraceServiceRequest()
    resource = message.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "tests"
    scope = resource.scope_spans.add()
    ids = []
    for _ in range(spans):
        span_id = next(numbers).to_bytes(8, "big")
        scope.spans.add(trace_id=span_id * 2, span_id=span_id, name="x" * size)
        ids.append(span_id.hex())
    return message.SerializeToString(), ids


def ids_of(body: bytes) -> list[str]:
    """The span ids in a serialised request."""
    message = ExportTraceServiceRequest.FromString(body)
    scopes: Iterable[list[str]] = (
        [span.span_id.hex() for span in scope.spans]
        for resource in message.resource_spans
        for scope in resource.scope_spans
    )
    return list(itertools.chain.from_iterable(scopes))
