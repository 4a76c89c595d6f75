"""Rules decide about traces as the reference page says: what holds, and which comes first."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

import otlp_requests
from tracekeeper_spec.condition import compile_trace
from tracekeeper_spec.condition.trace import combine

NOW = 1_760_000_000_000
A = b"a" * 16
SECOND = 10**9


def span(**fields: Any) -> Span:
    return Span(trace_id=fields.pop("trace", A), span_id=b"s" * 8, **{"parent_span_id": b"p" * 8, **fields})


def root(**fields: Any) -> Span:
    return span(**{"parent_span_id": b"", **fields})


def attributes(**pairs: Any) -> Any:
    return otlp_requests.attributes({key.replace("__", "."): value for key, value in pairs.items()})


def detected(*names: str) -> list[KeyValue]:
    return [
        KeyValue(
            key="tracekeeper.detected",
            value=AnyValue(array_value=ArrayValue(values=[AnyValue(string_value=name) for name in names])),
        )
    ]


def body(*those: Span) -> bytes:
    message = ExportTraceServiceRequest()
    one = message.resource_spans.add()
    one.resource.attributes.extend(attributes(pod="one"))
    one.scope_spans.add().spans.extend(those)
    return message.SerializeToString()


ERROR, FINE = Status(code=Status.STATUS_CODE_ERROR), Status(code=Status.STATUS_CODE_OK)


def set_up(sampling: SimpleNamespace, conditions: list[str], those: list[Span]) -> tuple[Any, Any]:
    codes = combine([compile_trace(text) for text in conditions])
    table = sampling.traces.Traces()
    sampling.fold.Folder(table, codes.span_tests, codes.root_tests).fold(body(*those), NOW)
    return sampling.verdict.Judge(codes.codes), table


@pytest.mark.parametrize(
    ("condition", "those", "holds"),
    [
        ('trace.status == "error"', [span(status=ERROR)], True),
        ('trace.status == "error"', [span(status=ERROR), root()], False),
        ('trace.status == "error"', [span(), root(status=ERROR)], True),
        ('trace.status == "ok"', [span(), root(status=FINE)], True),
        ('trace.status == "unset"', [span(status=FINE)], True),
        ("trace.errors >= 2", [span(status=ERROR), span(status=ERROR)], True),
        ("trace.errors >= 2", [span(status=ERROR), span()], False),
        ("trace.duration > 10s", [span(start_time_unix_nano=5), root(end_time_unix_nano=11 * SECOND)], True),
        ("trace.duration == 0s", [span(start_time_unix_nano=11 * SECOND, end_time_unix_nano=5)], True),
        ("trace.duration == 0s", [span()], True),
        ("trace.duration > 1h", [span(start_time_unix_nano=1, end_time_unix_nano=2**64 - 1)], True),
        ("trace.spans > 2", [span()] * 3, True),
        ("trace.spans > 2", [span()] * 2, False),
        ('trace.priority == "critical"', [span(), span(attributes=attributes(tracekeeper__priority="critical"))], True),
        ('trace.priority == "critical"', [span(attributes=attributes(tracekeeper__priority="low"))], False),
        ('!(trace.priority == "critical")', [span()], True),
        ("trace.detected", [span(), span(attributes=detected("Loop", "FanOut"))], True),
        ("trace.detected", [span(attributes=attributes(tracekeeper__detected="Loop, FanOut"))], False),
        ("trace.detected", [span(attributes=attributes(tracekeeper__defected="Loop, FanOut"))], False),
        ("!trace.detected && trace.spans == 1", [span()], True),
        ('trace.root.attributes["plan"] == "premium"', [span(), root(attributes=attributes(plan="premium"))], True),
        ('trace.root.attributes["plan"] == "premium"', [span(attributes=attributes(plan="premium")), root()], False),
        ('!(trace.root.name == "x")', [span(name="x")], True),
        ('span.name == "x" && span.duration > 1ms', [span(name="x"), span(end_time_unix_nano=SECOND)], False),
        ('!(span.name == "x")', [span(name="y"), span(name="x")], False),
        ('resource.attributes["pod"] == "one" && trace.spans == 1', [span()], True),
        ('span.attributes["n"] > 5 || trace.errors > 0', [span(), span(attributes=attributes(n="text"))], False),
        ('span.attributes["n"] > 5', [span(attributes=attributes(n=6))], True),
    ],
)
def test_a_condition_holds_or_not(sampling: SimpleNamespace, condition: str, those: list[Span], holds: bool) -> None:
    judge, table = set_up(sampling, [condition], those)
    assert (judge.first(table, table.find(A)) == 0) == holds


def test_the_first_rule_that_holds_wins(sampling: SimpleNamespace) -> None:
    conditions = ['trace.status == "error"', "trace.spans > 1", 'span.name == "x"', "true"]
    for those, first in (
        ([span(status=ERROR)] * 2, 0),
        ([span(name="x")] * 2, 1),
        ([span(name="x")], 2),
        ([span()], 3),
    ):
        judge, table = set_up(sampling, conditions, those)
        assert judge.first(table, table.find(A)) == first
    judge, table = set_up(sampling, conditions[:3], [span()])
    assert judge.first(table, table.find(A)) == -1
    with pytest.raises(IndexError):
        judge.first(table, 17)
