"""Conditions on raw spans: those are kept that a plain evaluator keeps of parsed ones, and nothing else changes."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

import condition_oracle
import otlp_requests
from tracekeeper_sidecar.wire import match, scan
from tracekeeper_sidecar.wire.varint import delimited, encode
from tracekeeper_spec.condition import compile_condition, find_problems

# Shrinking an example of this size takes minutes; the first one that fails says enough.
PROPERTY = settings(otlp_requests.property_test, max_examples=100, phases=[Phase.explicit, Phase.reuse, Phase.generate])

Split = Callable[[bytes, str], tuple[bytes, int, int]]

TEXTS = ["", "a", "b", "ab", "ba", "ß", "🙂x", "aab"]
NUMBERS = [0, 1, 2, 7, -1, 2**63 - 1, -(2**63)]
KEYS = ["a", "b", "http.route", "ß"]
LEAVES = st.one_of(
    st.sampled_from(TEXTS).map(lambda text: AnyValue(string_value=text)),
    st.sampled_from(NUMBERS).map(lambda number: AnyValue(int_value=number)),
    st.sampled_from([0.0, 1.0, 0.5, -7.25, float("nan"), float("inf"), 5e-324, 2.0**63]).map(
        lambda number: AnyValue(double_value=number)
    ),
    st.booleans().map(lambda truth: AnyValue(bool_value=truth)),
    st.just(AnyValue(bytes_value=b"a")),
    st.just(AnyValue()),
    st.just(AnyValue(kvlist_value=KeyValueList(values=[KeyValue(key="a"), KeyValue(key="b")]))),
)
VALUES = LEAVES | st.lists(LEAVES, max_size=3).map(lambda items: AnyValue(array_value=ArrayValue(values=items)))
PAIRS = st.lists(st.builds(KeyValue, key=st.sampled_from(KEYS), value=VALUES), max_size=4)
TIMES = st.sampled_from([0, 1, 1_000_000_000, 1_050_000_000, 2**63 + 5, 2**64 - 1])
SPANS = st.builds(
    Span,
    trace_id=st.just(b"t" * 16),
    span_id=st.binary(min_size=8, max_size=8).filter(any),
    parent_span_id=st.sampled_from([b"", b"p" * 8]),
    name=st.sampled_from(TEXTS),
    kind=st.integers(0, 7),
    start_time_unix_nano=TIMES,
    end_time_unix_nano=TIMES,
    attributes=PAIRS,
    status=st.builds(Status, code=st.integers(0, 3), message=st.sampled_from(TEXTS)),
)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    message = ExportTraceServiceRequest()
    for spans in draw(st.lists(st.lists(st.lists(SPANS, max_size=4), max_size=3), max_size=3)):
        resource = message.resource_spans.add()
        resource.resource.attributes.extend(draw(PAIRS))
        for some in spans:
            scope = resource.scope_spans.add(schema_url=draw(st.sampled_from(["", "x"])))
            scope.spans.extend(some)
    return message.SerializeToString()


def quoted(text: str) -> str:
    return '"' + text + '"'


ATTRIBUTES = st.sampled_from([f"{scope}.attributes[{quoted(key)}]" for scope in ("span", "resource") for key in KEYS])
TEXT_VALUES = st.sampled_from(["span.name", "span.status_message", *map(quoted, TEXTS)]) | ATTRIBUTES
NUMBER_VALUES = st.sampled_from(
    ["0", "1", "7", "-1", "0.5", "-7.25", "9223372036854775807", "size(span.name)", "1e300"]
)
NUMBER_VALUES = NUMBER_VALUES | ATTRIBUTES | ATTRIBUTES.map(lambda text: f"size({text})")
SUMS = NUMBER_VALUES | st.builds("{} {} {}".format, NUMBER_VALUES, st.sampled_from("+-"), NUMBER_VALUES)
DURATIONS = st.sampled_from(["span.duration", "0s", "50ms", "1s50ms", "1h", "-50ms"])
DURATIONS = DURATIONS | st.builds("{} {} {}".format, DURATIONS, st.sampled_from("+-"), DURATIONS)
SIGNS = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
FIXED = st.sampled_from(["0", "1", "0.5", "true", *map(quoted, TEXTS)])
PATTERNS = st.sampled_from(["^a", "b$", "^(a|ß)*$", "a.b|x", "[^a]", r"\d", "^$", "🙂.", "a{2}b"])
TESTS = st.one_of(
    st.builds("{} {} {}".format, TEXT_VALUES, SIGNS, TEXT_VALUES),
    st.builds("{} {} {}".format, SUMS, SIGNS, SUMS),
    st.builds("{} {} {}".format, DURATIONS, SIGNS, DURATIONS),
    st.builds("{} == {}".format, ATTRIBUTES, st.sampled_from(["true", "false"])),
    st.builds('span.kind {} "{}"'.format, st.sampled_from(["==", "!="]), st.sampled_from(condition_oracle.KINDS)),
    st.builds('span.status {} "{}"'.format, st.sampled_from(["==", "!="]), st.sampled_from(condition_oracle.STATUSES)),
    st.builds("{} in [{}, {}]".format, ATTRIBUTES, FIXED, FIXED),
    st.builds("{} in {}".format, ATTRIBUTES | FIXED | st.just("span.name"), ATTRIBUTES),
    st.builds("{} in {}.attributes".format, st.sampled_from(KEYS).map(quoted), st.sampled_from(["span", "resource"])),
    st.builds("{}.{}({})".format, TEXT_VALUES, st.sampled_from(["startsWith", "endsWith", "contains"]), TEXT_VALUES),
    st.builds('{}.matches("{}")'.format, TEXT_VALUES, PATTERNS.map(lambda text: text.replace("\\", "\\\\"))),
    st.sampled_from(["span.is_root", "true", "false"]),
    ATTRIBUTES,
)
CONDITIONS = st.recursive(
    TESTS,
    lambda inner: (
        st.builds("({} {} {})".format, inner, st.sampled_from(["&&", "||"]), inner) | inner.map("!({})".format)
    ),
    max_leaves=5,
)
CONDITIONS = CONDITIONS.filter(lambda text: len(text) < 1000)


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
