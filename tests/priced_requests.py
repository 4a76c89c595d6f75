"""Requests for the step Price, and what they say of prices when they come out of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tracekeeper_sidecar.meter import tables
from tracekeeper_sidecar.price.asking import asking
from tracekeeper_sidecar.price.book import Book
from tracekeeper_sidecar.price.prices import Prices
from tracekeeper_sidecar.wire.pricing import Pricer
from tracekeeper_sidecar.wire.scan import look
from tracekeeper_sidecar.wire.tally import Tally
from tracekeeper_sidecar.wire.tariffs import Tariffs
from tracekeeper_spec.price import NO_PRICE, Price

NOW = 1_790_000_000
TRACE = b"t" * 16
BOOK = Book.packaged().dated
WHOLE = f"book {BOOK} 2.5/10 cache_read=1.25"
"""How a span says it that the book's plain price does not explain, or whose resource names another book."""
COST, SOURCE = "gen_ai.usage.cost", "tracekeeper.cost.source"
REPORTED, WHICH = "tracekeeper.cost.reported", "tracekeeper.cost.price"
VERSION = "tracekeeper.cost.book"
SUM, UNKNOWN = "tracekeeper.trace.cost", "tracekeeper.trace.cost.unknown"
CALL = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.usage.input_tokens": 1000,
    "gen_ai.usage.output_tokens": 10,
}
DOLLARS = 0.0026
"""What it costs."""
ROOT: Mapping[str, Any] = {"http.route": "/ask"}


def pricer(price: Price = NO_PRICE) -> Pricer:
    """As a step has it."""
    return Pricer(Tariffs(asking(Prices(price))), 7)


def span(said: Mapping[str, Any], number: int = 1, *, root: bool = False, trace: bytes = TRACE) -> Span:
    """A span with these attributes."""
    made = Span(
        trace_id=trace,
        span_id=number.to_bytes(8),
        parent_span_id=b"" if root else b"p" * 8,
        name="a span",
        kind=Span.SPAN_KIND_SERVER if root else Span.SPAN_KIND_CLIENT,
        start_time_unix_nano=(NOW - 1) * 10**9,
        end_time_unix_nano=NOW * 10**9,
    )
    for key, value in said.items():
        attribute = made.attributes.add(key=key).value
        match value:
            case bool():
                attribute.bool_value = value
            case int():
                attribute.int_value = value
            case float():
                attribute.double_value = value
            case str():
                attribute.string_value = value
    return made


def body(*spans: Span) -> bytes:
    """A request of one resource."""
    message = ExportTraceServiceRequest()
    resource = message.resource_spans.add(schema_url="https://example.com/schema")
    resource.resource.attributes.add(key="service.name").value.string_value = "shop"
    resource.scope_spans.add().spans.extend(spans)
    return message.SerializeToString()


def spans_of(data: bytes) -> Iterator[Span]:
    """All, in their order."""
    for resource in ExportTraceServiceRequest.FromString(data).resource_spans:
        for scope in resource.scope_spans:
            yield from scope.spans


def books_of(data: bytes) -> list[Any]:
    """What each resource says of the book."""
    return [said(each.resource).get(VERSION) for each in ExportTraceServiceRequest.FromString(data).resource_spans]


def said(one: Span | Resource) -> dict[str, Any]:
    """Its attributes, each of which is there once."""
    found: dict[str, Any] = {}
    for pair in one.attributes:
        assert pair.key not in found, f"{pair.key} is there twice"
        kind = pair.value.WhichOneof("value")
        found[pair.key] = getattr(pair.value, kind) if kind else None
    return found


def priced(*calls: Mapping[str, Any], by: Pricer | None = None) -> list[dict[str, Any]]:
    """What is said of prices on spans of these attributes."""
    data = (by or pricer()).price(body(*(span(each, number) for number, each in enumerate(calls, 1))), NOW * 10**9)
    look(data)
    names = (COST, SOURCE, REPORTED, WHICH)
    return [{name: value for name, value in said(one).items() if name in names} for one in spans_of(data)]


def dollars(*bodies: bytes, price: Price = NO_PRICE, now: int = NOW) -> float:
    """What the meter counts where there is no step Price."""
    tally = Tally(tables.make(), Tariffs(asking(Prices(price))), 1)
    for data in bodies:
        tally.take(data, now * 1000)
    tally.settle(now * 1000, True)
    family = tally.families["cost"]
    return sum(family.numbers(row)[0] for row in family.rows()) / 1e9
