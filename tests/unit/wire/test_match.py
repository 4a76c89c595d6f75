"""Conditions on raw spans: those are kept that a plain evaluator keeps of parsed ones, and nothing else changes."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

import condition_oracle
import otlp_requests
from condition_cases import CONDITIONS, requests
from tracekeeper_sidecar.wire import match, scan
from tracekeeper_sidecar.wire.varint import delimited, encode
from tracekeeper_spec.condition import compile_condition, find_problems

# Shrinking an example of this size takes minutes; the first one that fails says enough.
PROPERTY = settings(otlp_requests.property_test, max_examples=100, phases=[Phase.explicit, Phase.reuse, Phase.generate])

Split = Callable[[bytes, str], tuple[bytes, int, int]]


@pytest.fixture(scope="module", params=["imported", "plain"])
def split(request: pytest.FixtureRequest, plain_match: ModuleType) -> Split:
    module = match if request.param == "imported" else plain_match
    return lambda body, text: module.split(body, module.Matcher(compile_condition(text)))


def ids(body: bytes) -> list[bytes]:
    return otlp_requests.span_ids(ExportTraceServiceRequest.FromString(body))


@PROPERTY
@given(body=requests(), text=CONDITIONS)
def test_the_same_spans_are_kept_as_of_parsed_ones(split: Split, body: bytes, text: str) -> None:
    assert find_problems(text) == []
    expected = condition_oracle.kept(text, body)
    rest, kept, unmatched = split(body, text)
    assert ids(rest) == expected
    assert (kept, unmatched) == (len(expected), len(ids(body)) - len(expected))
    if kept:
        assert scan.count_spans(rest) == kept


@PROPERTY
@given(body=requests(), text=CONDITIONS)
def test_what_is_kept_is_unchanged_with_all_that_is_around_it(split: Split, body: bytes, text: str) -> None:
    message = ExportTraceServiceRequest.FromString(body)
    wanted = ExportTraceServiceRequest()
    for one in message.resource_spans:
        spans = [[s for s in scope.spans if condition_oracle.holds(text, s, one.resource)] for scope in one.scope_spans]
        if not any(spans):
            continue
        copy = wanted.resource_spans.add(schema_url=one.schema_url)
        if one.HasField("resource"):
            copy.resource.CopyFrom(one.resource)
        for scope, some in zip(one.scope_spans, spans, strict=True):
            if some:
                copy.scope_spans.add(schema_url=scope.schema_url).spans.extend(some)
    rest, _, unmatched = split(body, text)
    got = rest if unmatched else ExportTraceServiceRequest.FromString(rest).SerializeToString()
    assert got == (wanted if unmatched else message).SerializeToString()


def test_a_request_of_which_everything_is_kept_comes_back_as_it_is(split: Split) -> None:
    body = otlp_requests.body(3)
    rest, *counts = split(body, "true")
    assert rest is body and counts == [3, 0]
    assert split(body, "false") == (b"", 0, 3)
    assert split(b"", "true") == (b"", 0, 0)


def test_concatenated_requests_and_unknown_fields_are_kept(split: Split) -> None:
    extra = delimited(9, b"later")
    body = otlp_requests.body(2) + extra + otlp_requests.body(3)
    rest, kept, unmatched = split(body, 'span.name == "span 1"')
    assert (kept, unmatched) == (2, 3) and extra in rest
    assert [span.name for one in ExportTraceServiceRequest.FromString(rest).resource_spans
            for scope in one.scope_spans for span in scope.spans] == ["span 1"] * 2  # fmt: skip


def test_of_a_key_written_twice_the_first_counts(split: Split) -> None:
    message = otlp_requests.request(1, attributes=0)
    for text in ("first", "second"):
        message.resource_spans[0].scope_spans[0].spans[0].attributes.add(key="k").value.string_value = text
    assert split(message.SerializeToString(), 'span.attributes.k == "first"')[1] == 1


def test_a_resource_in_two_parts_is_one(split: Split) -> None:
    span = delimited(2, delimited(2, delimited(1, b"t" * 16) + delimited(2, b"s" * 8)))
    part = delimited(1, delimited(1, KeyValue(key="env", value=AnyValue(string_value="x")).SerializeToString()))
    body = delimited(1, delimited(1, b"") + span + part)
    assert split(body, 'resource.attributes.env == "x"') == (body, 1, 0)


@pytest.mark.parametrize("size", [1, 2, 5, 30, 60, 61, 62, 100])
def test_a_body_that_is_cut_off_is_refused_or_read_to_its_end_only(split: Split, size: int) -> None:
    body = otlp_requests.body(1)[:size]
    with pytest.raises(ValueError, match="cut off"):
        split(body, 'span.attributes["key.1"] == "x"')


@PROPERTY
@given(body=st.binary(max_size=60), text=CONDITIONS, whole=requests(), cuts=st.lists(st.integers(0, 400), max_size=3))
def test_no_bytes_make_it_fail_otherwise(split: Split, body: bytes, text: str, whole: bytes, cuts: list[int]) -> None:
    changed = bytearray(whole)
    for cut in cuts:
        if cut < len(changed):
            changed[cut] ^= 0xFF
    inside = delimited(1, delimited(2, delimited(2, body))) + delimited(1, delimited(1, body) + delimited(2, body))
    for data in (body, inside, bytes(changed), encode(10) + encode(2**63) + body):
        try:
            rest, kept, unmatched = split(data, text)
        except ValueError:
            continue
        assert len(rest) <= len(data) and kept >= 0 and unmatched >= 0
