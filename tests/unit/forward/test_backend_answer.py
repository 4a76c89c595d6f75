"""Reading answers by hand gives what the official classes give, and never raises."""

from __future__ import annotations

import json

import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)

from tracekeeper_sidecar.forward import answer
from tracekeeper_sidecar.forward.outcome import Sent

int64 = st.integers(-(2**63), 2**63 - 1)


@given(int64, st.text(max_size=200))
def test_partial_success(rejected: int, message: str) -> None:
    body = ExportTraceServiceResponse(
        partial_success=ExportTracePartialSuccess(rejected_spans=rejected, error_message=message)
    ).SerializeToString()
    assert answer.read_success(body) == Sent(max(0, rejected), answer.shorten(message))


def test_full_success_is_empty() -> None:
    assert answer.read_success(b"") == Sent()
    assert answer.read_json_success(b"") == answer.read_json_success(b"{}") == Sent()


@given(st.integers(0, 10**6), st.integers(0, 999_999_999), st.text(max_size=100))
def test_retry_info_among_other_details(seconds: int, nanos: int, message: str) -> None:
    status = Status(code=8, message=message)
    status.details.add().Pack(ErrorInfo(reason="BUSY"))
    status.details.add().Pack(RetryInfo(retry_delay=Duration(seconds=seconds, nanos=nanos)))
    read, delay = answer.read_status(status.SerializeToString())
    assert read == answer.shorten(message)
    assert delay == pytest.approx(seconds + nanos / 1e9)


def test_status_without_retry_info() -> None:
    assert answer.read_status(Status(code=8, message="full").SerializeToString()) == ("full", None)


def test_empty_retry_info_means_no_delay() -> None:
    assert answer.read_retry_info(RetryInfo().SerializeToString()) == 0.0


@given(st.binary(max_size=300))
def test_arbitrary_bytes_never_raise(body: bytes) -> None:
    assert answer.read_success(body).rejected >= 0
    answer.read_status(body)
    answer.read_retry_info(body)
    answer.read_json_success(body)


@given(st.binary(max_size=60), st.integers(0, 100))
def test_truncated_answers_never_raise(junk: bytes, cut: int) -> None:
    whole = ExportTraceServiceResponse(
        partial_success=ExportTracePartialSuccess(rejected_spans=7, error_message="text")
    ).SerializeToString()
    answer.read_success((whole + junk)[:cut])


@pytest.mark.parametrize("rejected", [7, "7", 7.0])
def test_json_counts_come_as_numbers_or_strings(rejected: object) -> None:
    body = json.dumps({"partialSuccess": {"rejectedSpans": rejected, "errorMessage": "too old"}}).encode()
    assert answer.read_json_success(body) == Sent(7, "too old")


@pytest.mark.parametrize(
    "body", [b"[1]", b'"x"', b'{"partialSuccess": 3}', b"{", b'{"partialSuccess":{"rejectedSpans":1e999}}']
)
def test_json_of_another_shape_is_still_a_success(body: bytes) -> None:
    sent = answer.read_json_success(body)
    assert sent.rejected == 0
    assert "not an ExportTraceServiceResponse" in sent.message


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        (" 120 ", 120.0),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 97.0),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 97.0),
        ("Sun Nov  6 08:49:37 1994", 97.0),
        ("Sun, 06 Nov 1994 08:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("", None),
        ("Sun, 99 Nov 1994 08:49:37 GMT", None),
    ],
)
def test_retry_after(text: str | None, seconds: float | None) -> None:
    assert answer.read_retry_after(text, now=784111680.0) == seconds


@given(st.text(max_size=50))
def test_any_retry_after_is_read_or_ignored(text: str) -> None:
    delay = answer.read_retry_after(text, now=0.0)
    assert delay is None or delay >= 0


def test_long_texts_are_cut() -> None:
    assert len(answer.shorten("word\n" * 1000)) <= answer.LONGEST_MESSAGE + 1


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("SERVER: Received message larger than max (5000 vs. 3000)", 3000),
        ("grpc: received message larger than max (5000000 vs. 4194304)", 4194304),
        ("gRPC message exceeds maximum size 4194304: 5000000", 4194304),
        (
            "Error, decoded message length too large: found 5000 bytes, the limit is: 4194304 bytes",
            4194304,
        ),
        ("rate limit of 100 requests exceeded", None),
        ("", None),
    ],
)
def test_limit_of_size_in_the_words_of_common_servers(text: str, limit: int | None) -> None:
    assert answer.read_size_limit(text) == limit
