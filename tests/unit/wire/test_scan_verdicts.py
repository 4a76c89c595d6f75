"""Compiled and plain scanner give the same verdict on anything, and what they let pass protobuf parses."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

import otlp_requests
from tracekeeper_sidecar.errors import WireError
from tracekeeper_sidecar.wire import scan

Count = Callable[[bytes], int]


def verdict(count_spans: Count, body: bytes) -> int | tuple[str, int]:
    """The count, or what the refusal says. Anything but WireError, IndexError included, fails the test."""
    try:
        return count_spans(body)
    except WireError as error:
        return str(error), error.offset


def check(plain: Count, body: bytes) -> bool:
    """Both scanners agree; if they accept, protobuf does and counts the same. Returns whether they accepted."""
    ours = verdict(scan.count_spans, body)
    assert ours == verdict(plain, body)
    if isinstance(ours, int):
        assert ours == len(otlp_requests.span_ids(ExportTraceServiceRequest.FromString(body)))
        return True
    assert 0 <= ours[1] <= len(body)
    return False


def test_the_imported_scanner_is_the_compiled_one() -> None:
    assert scan.__file__.endswith(".so"), "run `make setup`: the compiled scanner is missing or not in place"


@otlp_requests.property_test
@given(body=st.binary(max_size=60))
def test_noise(plain: Count, body: bytes) -> None:
    check(plain, body)


@otlp_requests.property_test
@given(message=otlp_requests.requests(), data=st.data())
def test_truncated(plain: Count, message: ExportTraceServiceRequest, data: st.DataObject) -> None:
    body = message.SerializeToString()
    check(plain, body[: data.draw(st.integers(0, len(body)))])


@otlp_requests.property_test
@given(message=otlp_requests.requests(), data=st.data())
def test_mutated(plain: Count, message: ExportTraceServiceRequest, data: st.DataObject) -> None:
    body = bytearray(message.SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        if body:
            body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    check(plain, bytes(body))


def test_every_truncation_and_every_flipped_bit_of_one_request(plain: Count) -> None:
    body = otlp_requests.body(2, attributes=2, text="hé")
    assert not any(check(plain, body[:length]) for length in range(1, len(body)))
    accepted = 0
    for bit in range(len(body) * 8):
        mutant = bytearray(body)
        mutant[bit // 8] ^= 1 << bit % 8
        accepted += check(plain, bytes(mutant))
    assert 0 < accepted < len(body) * 8  # ids and times may be anything, lengths may not


def test_thousands_of_spliced_requests(plain: Count) -> None:
    chance = random.Random(14)
    whole = [otlp_requests.body(count, seed=count, text="é" * count) for count in range(1, 6)]
    for _ in range(3000):
        one, other = chance.choice(whole), chance.choice(whole)
        at, to = chance.randrange(len(one)), chance.randrange(len(other))
        check(plain, one[:at] + other[to:])


@pytest.mark.parametrize("size", [2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**35 - 1, 2**63, 2**64 - 1])
def test_lengths_that_would_overflow_a_c_integer(plain: Count, size: int) -> None:
    for tag in (0x0A, 0x12, 0x7A):
        out = bytearray([tag])
        value = size
        while value > 127:
            out.append(value & 127 | 128)
            value >>= 7
        assert not check(plain, bytes([*out, value]) + b"rest")


def test_what_protobuf_refuses_is_never_accepted(plain: Count) -> None:
    chance = random.Random(3)
    body = otlp_requests.body(3, text="日本")
    refused = 0
    for _ in range(4000):
        mutant = bytearray(body)
        for _ in range(chance.randint(1, 3)):
            mutant[chance.randrange(len(mutant))] = chance.randrange(256)
        try:
            ExportTraceServiceRequest.FromString(bytes(mutant))
        except DecodeError:
            refused += 1
            assert not check(plain, bytes(mutant))
    assert refused > 500
