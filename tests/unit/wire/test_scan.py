"""The scanner, compiled and plain: counts, and refusals that name the field."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

import otlp_requests
from tracekeeper_sidecar.errors import WireError
from tracekeeper_sidecar.wire import schema
from tracekeeper_sidecar.wire.varint import delimited, encode

Count = Callable[[bytes], int]
SPAN = delimited(1, b"t" * 16) + delimited(2, b"s" * 8)


def in_span(content: bytes) -> bytes:
    """A request of one span with `content` after its ids."""
    return delimited(1, delimited(2, delimited(2, SPAN + content)))


def refusal(count_spans: Count, body: bytes) -> str:
    with pytest.raises(WireError) as caught:
        count_spans(body)
    return str(caught.value)


def test_empty_requests_hold_no_spans(count_spans: Count) -> None:
    assert count_spans(b"") == 0
    assert count_spans(delimited(1, b"")) == 0
    assert count_spans(delimited(1, delimited(2, b""))) == 0


@otlp_requests.property_test
@given(message=otlp_requests.requests())
def test_counts_what_protobuf_counts(count_spans: Count, message: ExportTraceServiceRequest) -> None:
    assert count_spans(message.SerializeToString()) == len(otlp_requests.span_ids(message))


def test_concatenated_requests_are_one(count_spans: Count) -> None:
    assert count_spans(otlp_requests.body(3) + otlp_requests.body(4)) == 7


def test_unknown_fields_pass(count_spans: Count) -> None:
    extra = delimited(2000, b"later") + encode(31 << 3) + encode(2**64 - 1) + encode(77 << 3 | 1) + bytes(8)
    assert count_spans(in_span(extra + encode(40 << 3 | 5) + bytes(4)) + extra) == 1


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (delimited(2, b"s" * 8), "resource_spans[0].scope_spans[0].spans[0].trace_id: missing; must be 16 bytes"),
        (delimited(1, b"t" * 16), "resource_spans[0].scope_spans[0].spans[0].span_id: missing; must be 8 bytes"),
        (delimited(1, b"t" * 15), "spans[0].trace_id: 15 bytes; must be 16, not all zero (byte 6)"),
        (delimited(1, b""), "spans[0].trace_id: 0 bytes; must be 16"),
        (delimited(1, bytes(16)), "spans[0].trace_id: all zero; an id must have a bit set"),
        (SPAN + delimited(2, b"s" * 9), "spans[0].span_id: 9 bytes; must be 8"),
        (SPAN + delimited(2, bytes(8)), "spans[0].span_id: all zero"),
        (SPAN + delimited(4, b"p"), "spans[0].parent_span_id: 1 bytes; must be 8 or absent"),
        (SPAN + delimited(7, b"now"), "start_time_unix_nano: wire type length-delimited, but the field is fixed64"),
        (SPAN + encode(5 << 3) + b"\x01", "spans[0].name: wire type varint, but the field is string"),
        (SPAN + encode(6 << 3 | 5) + bytes(4), "spans[0].kind: wire type fixed32, but the field is enum"),
        (SPAN + encode(15 << 3 | 1) + bytes(8), "spans[0].status: wire type fixed64, but the field is message"),
        (SPAN + delimited(5, b"\xff"), "spans[0].name: the text is not valid UTF-8"),
        (SPAN + delimited(9, b"") + delimited(9, delimited(1, b"\xc0\x80")), "spans[0].attributes[1].key: the text"),
        (SPAN + b"\x2a\x05ab", "spans[0].name: the value ends beyond the message that holds it"),
        (SPAN + b"\x39abc", "spans[0].start_time_unix_nano: the value ends beyond"),
        (SPAN + b"\x85\x01abc", "spans[0].flags: the value ends beyond"),
        (SPAN + b"\x30\xff", "spans[0].kind: the value ends beyond"),
        (SPAN + b"\x30" + b"\xff" * 9 + b"\x02", "spans[0].kind: the value ends beyond"),
        (SPAN + b"\x2a", "spans[0].name: the value ends beyond"),
        (SPAN + b"\x2a" + b"\x80" * 6, "spans[0].name: the value ends beyond"),
        (SPAN + b"\x33", "spans[0].kind: a wire type that OTLP never uses"),
        (SPAN + b"\x07", "spans[0]: no protobuf field starts here"),
        (SPAN + b"\x80", "spans[0]: no protobuf field starts here"),
        (SPAN + b"\xff\xff\xff\xff\x7f", "spans[0]: no protobuf field starts here"),
        (SPAN + delimited(200, b"x")[:-1], "spans[0].field 200: the value ends beyond"),
    ],
)  # fmt: skip
def test_refusals_name_the_field_in_the_span(count_spans: Count, body: bytes, expected: str) -> None:
    assert expected in refusal(count_spans, delimited(1, delimited(2, delimited(2, body))))


def test_refusals_count_repeated_fields(count_spans: Count) -> None:
    good = delimited(2, SPAN)
    scope = delimited(2, good + good + delimited(2, delimited(1, b"short")))
    body = delimited(1, b"") + delimited(1, delimited(2, good) + scope)
    assert refusal(count_spans, body).startswith("resource_spans[1].scope_spans[1].spans[2].trace_id: 5 bytes")


def test_the_offset_is_that_of_the_field(count_spans: Count) -> None:
    good = otlp_requests.body(2)
    with pytest.raises(WireError) as caught:
        count_spans(good + b"\x08\x01")
    assert (caught.value.path, caught.value.offset) == ("resource_spans[1]", len(good))


def test_other_formats_are_recognised(count_spans: Count) -> None:
    assert "this is JSON" in refusal(count_spans, b'{"resourceSpans": []}')
    assert "this is gzip" in refusal(count_spans, b"\x1f\x8b\x08\x00")


@pytest.mark.parametrize("text", ["é", "漢字", "🙂", "\U0010ffff", "\u0800", "\ud7ff", "\ue000", "a" * 300 + "ß"])
def test_text_in_any_language_passes(count_spans: Count, text: str) -> None:
    assert count_spans(in_span(delimited(5, text.encode()))) == 1


@pytest.mark.parametrize(
    "raw",
    [b"\x80", b"\xc3", b"\xc1\xbf", b"\xe0\x9f\xbf", b"\xed\xa0\x80", b"\xf0\x8f\xbf\xbf", b"\xf4\x90\x80\x80",
     b"\xf5\x80\x80\x80", b"\xe2\x82", b"\xe2\x82A", b"\xf0\x9f\x99", b"ok\xfe", b"\xc3\xc3", b"\xf0\x9f\x99\xc0"],
)  # fmt: skip
def test_what_python_calls_invalid_utf8_is_refused(count_spans: Count, raw: bytes) -> None:
    with pytest.raises(UnicodeDecodeError):
        raw.decode()
    assert "UTF-8" in refusal(count_spans, in_span(delimited(5, raw)))


def nested(levels: int) -> bytes:
    value = AnyValue(bool_value=True).SerializeToString()
    for _ in range(levels):
        value = delimited(5, delimited(1, value))  # array_value.values
    return in_span(delimited(9, delimited(1, b"deep") + delimited(2, value)))


def test_nesting_is_bounded_where_protobuf_bounds_it(count_spans: Count) -> None:
    deepest = max(levels for levels in range(60) if not raises(count_spans, nested(levels)))
    assert 40 < deepest < 50
    ExportTraceServiceRequest.FromString(nested(deepest))
    message = refusal(count_spans, nested(deepest + 1))
    assert f"nested deeper than {schema.MAX_DEPTH} levels" in message
    assert message.startswith("resource_spans[0].scope_spans[0].spans[0].attributes[0].value.array_value.values[0].")
    assert len(message) < 400
    assert "nested deeper" in refusal(count_spans, nested(2000))


def raises(count_spans: Count, body: bytes) -> bool:
    try:
        count_spans(body)
    except WireError:
        return True
    return False
