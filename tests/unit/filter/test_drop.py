"""Spans that a condition holds for are taken out, byte for byte as if they had never been there."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

import condition_oracle
import otlp_requests
from condition_cases import CONDITIONS, requests
from tracekeeper_sidecar.process.build import Means
from tracekeeper_sidecar.process.filter import FilterStep, make
from tracekeeper_sidecar.process.pipeline import Pipeline
from tracekeeper_sidecar.process.step import Request
from tracekeeper_sidecar.wire import drop, match
from tracekeeper_sidecar.wire.scan import look
from tracekeeper_sidecar.wire.varint import delimited
from tracekeeper_spec.condition import compile_condition
from tracekeeper_spec.parse import parse_spec
from uncompiled import plain

PROPERTY = settings(otlp_requests.property_test, max_examples=100, phases=[Phase.explicit, Phase.reuse, Phase.generate])


@pytest.fixture(scope="module", params=["imported", "plain"])
def modules(request: pytest.FixtureRequest) -> tuple[ModuleType, ModuleType]:
    """`match` and `drop`."""
    if request.param == "imported":
        return match, drop
    *_, matching, dropping = plain("walker", "program", "match", "drop")
    return matching, dropping


def run(modules: tuple[Any, Any], body: bytes, *texts: str) -> tuple[bytes, int]:
    matching, dropping = modules
    found: tuple[bytes, int] = dropping.Drop([matching.Matcher(compile_condition(text)) for text in texts]).run(body)
    return found


@PROPERTY
@given(body=requests(), texts=st.lists(CONDITIONS, min_size=1, max_size=3))
def test_what_is_left_is_as_if_the_others_had_never_been_there(
    modules: tuple[ModuleType, ModuleType], body: bytes, texts: list[str]
) -> None:
    message = ExportTraceServiceRequest.FromString(body)
    wanted, gone = ExportTraceServiceRequest(), 0
    for one in message.resource_spans:
        copy = ExportTraceServiceRequest().resource_spans.add()
        copy.CopyFrom(one)
        del copy.scope_spans[:]
        for scope in one.scope_spans:
            kept = [s for s in scope.spans if not any(condition_oracle.holds(text, s, one.resource) for text in texts)]
            gone += len(scope.spans) - len(kept)
            if kept:
                some = copy.scope_spans.add()
                some.CopyFrom(scope)
                del some.spans[:]
                some.spans.extend(kept)
        if copy.scope_spans:
            wanted.resource_spans.append(copy)
    rest, dropped = run(modules, body, *texts)
    assert dropped == gone
    if not gone:
        assert rest is body
    elif wanted.resource_spans:
        assert rest == wanted.SerializeToString()
        assert look(rest).spans == len(otlp_requests.span_ids(message)) - gone
    else:
        assert rest == b""


def test_unknown_fields_stay_with_what_is_kept(modules: tuple[ModuleType, ModuleType]) -> None:
    extra = delimited(9, b"later")
    body = otlp_requests.body(2) + extra + otlp_requests.body(3)
    rest, dropped = run(modules, body, 'span.name == "span 1"', 'span.name == "span 2"')
    assert dropped == 3 and extra in rest and look(rest).spans == 2


def test_all_of_a_request_may_go(modules: tuple[ModuleType, ModuleType]) -> None:
    assert run(modules, otlp_requests.body(3), "false", "true") == (b"", 3)
    assert run(modules, b"", "true") == (b"", 0)
    with pytest.raises(ValueError, match="cut off"):
        run(modules, otlp_requests.body(3)[:-1], "true")


def step(*conditions: str) -> FilterStep:
    spec, faults = parse_spec(
        {"processors": [{"name": "noise", "type": "Filter", "filter": {"drop": list(conditions)}}]}
    )
    assert not faults and spec.processors is not None
    return make(spec.processors[0], Means())


def test_the_step_counts_what_it_drops_by_its_name() -> None:
    body = otlp_requests.body(5)
    request = Request(body, 5)
    step("span.duration > 1h").run(request)
    assert request.body is body and not request.filtered
    step('span.name == "span 1"', 'span.name.endsWith("4")').run(request)
    assert request.spans == 3 and request.filtered == {"noise": 2} and look(request.body).spans == 3


def test_a_step_that_fails_lets_spans_through() -> None:
    request = Request(b"\x0a\xff", 1)
    ends: list[Exception | None] = []
    Pipeline([step("true")]).run(request, ends.append)
    assert ends == [None] and request.body == b"\x0a\xff" and request.spans == 1


def test_conditions_have_their_faults_named_with_the_place() -> None:
    written = ["span.name == 3", "span.is_root", 'trace.status == "error"']
    _, faults = parse_spec({"processors": [{"name": "noise", "type": "Filter", "filter": {"drop": written}}]})
    assert [fault.path.rpartition("processors")[2] for fault in faults if "drop" in fault.path] == [
        "[0].filter.drop[0]",
        "[0].filter.drop[2]",
    ]
    assert all("at character" in str(fault) for fault in faults if "drop" in fault.path)
