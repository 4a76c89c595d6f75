"""Parents named by headers: what is one, what is none, and that nothing crashes."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otlp_requests import property_test
from tracekeeper_sidecar.wire.propagation import NAMES, Parent, parse

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
HALF = "8448eb211c80319c"
TRACE_ID, SPAN_ID = bytes.fromhex(TRACE), bytes.fromhex(SPAN)
PADDED = bytes(8) + bytes.fromhex(HALF)
W3C = f"00-{TRACE}-{SPAN}-01"

IS_ONE: list[tuple[dict[str, str], Parent]] = [
    ({"traceparent": W3C}, Parent(TRACE_ID, SPAN_ID, 1)),
    ({"traceparent": f"00-{TRACE}-{SPAN}-00"}, Parent(TRACE_ID, SPAN_ID)),
    ({"traceparent": f"cc-{TRACE}-{SPAN}-01-what-may-come"}, Parent(TRACE_ID, SPAN_ID, 1)),
    ({"traceparent": W3C, "tracestate": "a=1, b@x=2 3,,"}, Parent(TRACE_ID, SPAN_ID, 1, "a=1,b@x=2 3")),
    ({"traceparent": W3C, "tracestate": "a=1,a=2"}, Parent(TRACE_ID, SPAN_ID, 1)),
    ({"traceparent": W3C, "tracestate": "A=1"}, Parent(TRACE_ID, SPAN_ID, 1)),
    ({"traceparent": W3C, "tracestate": ",".join(f"k{n}=v" for n in range(33))}, Parent(TRACE_ID, SPAN_ID, 1)),
    ({"b3": f"{TRACE}-{SPAN}-1"}, Parent(TRACE_ID, SPAN_ID, 1)),
    ({"b3": f"{TRACE}-{SPAN}-d-05e3ac9a4f6e3b90"}, Parent(TRACE_ID, SPAN_ID, 1)),
    ({"b3": f"{HALF.upper()}-{SPAN.upper()}"}, Parent(PADDED, SPAN_ID)),
    ({"x-b3-traceid": TRACE, "x-b3-spanid": SPAN, "x-b3-sampled": "true"}, Parent(TRACE_ID, SPAN_ID, 1)),
    ({"x-b3-traceid": HALF, "x-b3-spanid": SPAN, "x-b3-flags": "1"}, Parent(PADDED, SPAN_ID, 1)),
    ({"x-b3-traceid": HALF, "x-b3-spanid": SPAN, "x-b3-sampled": "0"}, Parent(PADDED, SPAN_ID)),
    ({"uber-trace-id": f"{TRACE}:{SPAN}:0:1"}, Parent(TRACE_ID, SPAN_ID, 1)),
    ({"uber-trace-id": f"{TRACE}%3A{SPAN}%3A0%3A3"}, Parent(TRACE_ID, SPAN_ID, 1)),
    ({"uber-trace-id": "5af7183fb1d4cf5f:6b221d5bc9e6496c:0:0"},
     Parent(bytes(8) + bytes.fromhex("5af7183fb1d4cf5f"), bytes.fromhex("6b221d5bc9e6496c"))),
    ({"uber-trace-id": "1:2:0:1"}, Parent(bytes(15) + b"\1", bytes(7) + b"\2", 1)),
    # Where there are several: W3C, B3 in one, B3 in several, Jaeger; one that cannot be read is passed over.
    ({"traceparent": W3C, "b3": f"{HALF}-{SPAN}", "uber-trace-id": "1:2:0:1"}, Parent(TRACE_ID, SPAN_ID, 1)),
    ({"traceparent": W3C[:-1], "b3": f"{HALF}-{SPAN}", "uber-trace-id": "1:2:0:1"}, Parent(PADDED, SPAN_ID)),
    ({"b3": "0", "x-b3-traceid": HALF, "x-b3-spanid": SPAN}, Parent(PADDED, SPAN_ID)),
]  # fmt: skip

IS_NONE: list[dict[str, str]] = [
    {},
    {"traceparent": ""},
    {"traceparent": f"ff-{TRACE}-{SPAN}-01"},
    {"traceparent": f"00-{TRACE}-{SPAN}-01-more"},
    {"traceparent": W3C.upper()},
    {"traceparent": f" {W3C}"},
    {"traceparent": f"{W3C}\n"},
    {"traceparent": f"00-{'0' * 32}-{SPAN}-01"},
    {"traceparent": f"00-{TRACE}-{'0' * 16}-01"},
    {"traceparent": f"00-{TRACE[:-1]}-{SPAN}-01"},
    {"tracestate": "a=1"},
    {"b3": "0"},
    {"b3": "d"},
    {"b3": f"{TRACE}-{SPAN}-2"},
    {"b3": f"{TRACE[:20]}-{SPAN}-1"},
    {"b3": f"{'0' * 32}-{SPAN}-1"},
    {"b3": f"{TRACE}-{SPAN}-1-{SPAN}-1"},
    {"x-b3-traceid": TRACE},
    {"x-b3-spanid": SPAN},
    {"x-b3-traceid": TRACE[:31], "x-b3-spanid": SPAN},
    {"uber-trace-id": f"{TRACE}:{SPAN}:0"},
    {"uber-trace-id": f"{TRACE}:{SPAN}:0:1:1"},
    {"uber-trace-id": f"{TRACE}0:{SPAN}:0:1"},
    {"uber-trace-id": "0:2:0:1"},
    {"uber-trace-id": "1:0:0:1"},
    {"uber-trace-id": "\uff11:2:0:1"},
    {"uber-trace-id": "%" * 10_000},
    {"traceparent": f"cc-{TRACE}-{SPAN}-01-{'x' * 2000}"},
]


@pytest.mark.parametrize(("headers", "parent"), IS_ONE)
def test_a_parent(headers: dict[str, str], parent: Parent) -> None:
    assert parse(headers) == parent


@pytest.mark.parametrize("headers", IS_NONE)
def test_no_parent(headers: dict[str, str]) -> None:
    assert parse(headers) is None


def _id(size: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=size, max_size=size).filter(any)


@property_test
@given(_id(16), _id(8), st.booleans())
def test_what_propagators_write_is_read(trace_id: bytes, span_id: bytes, sampled: bool) -> None:
    trace, span, flag = trace_id.hex(), span_id.hex(), int(sampled)
    parent = Parent(trace_id, span_id, flag)
    jaeger = f"{int(trace, 16):x}:{int(span, 16):x}:0:{flag}"
    written: list[dict[str, str]] = [
        {"traceparent": f"00-{trace}-{span}-{flag:02x}"},
        {"b3": f"{trace}-{span}-{flag}"},
        {"x-b3-traceid": trace, "x-b3-spanid": span, "x-b3-sampled": str(flag)},
        {"uber-trace-id": jaeger},
        {"uber-trace-id": quote(jaeger)},
    ]
    assert [parse(headers) for headers in written] == [parent] * len(written)


ALPHABET = "0123456789abcdefABCDEF-:%,=@ \t\0é\uff11"


@property_test
@given(st.dictionaries(st.sampled_from(NAMES), st.text(ALPHABET, max_size=120) | st.text(max_size=60)))
def test_whatever_comes_is_a_parent_or_none(headers: dict[str, str]) -> None:
    parent = parse(headers)
    if parent is not None:
        assert len(parent.trace_id) == 16
        assert len(parent.span_id) == 8
        assert any(parent.trace_id)
        assert any(parent.span_id)
        assert 0 <= parent.flags <= 255
