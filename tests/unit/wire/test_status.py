"""The hand-made Status and RetryInfo are what googleapis' classes read."""

from __future__ import annotations

import pytest
from google.protobuf import json_format
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from hypothesis import given
from hypothesis import strategies as st

from otlp_requests import property_test
from tracekeeper_sidecar.wire import status


def delay(detail: RetryInfo) -> float:
    seconds: float = detail.retry_delay.seconds + detail.retry_delay.nanos / 1e9
    return seconds


@property_test
@given(code=st.integers(0, 16), message=st.text(), seconds=st.none() | st.floats(0, 10_000))
def test_read_back(code: int, message: str, seconds: float | None) -> None:
    read = Status.FromString(status.status(code, message, seconds))
    assert (read.code, read.message) == (code, message)
    found = RetryInfo()
    assert len(read.details) == (seconds is not None)
    if seconds is not None:
        assert read.details[0].Unpack(found)
        assert delay(found) == pytest.approx(seconds, abs=1e-6)
        assert RetryInfo.FromString(status.retry_info(seconds)) == found


@pytest.mark.parametrize("seconds", [None, 0.25, 1.0, 30.0])
def test_json_reads_back(seconds: float | None) -> None:
    read = json_format.Parse(status.status_json(8, 'full "é"', seconds), Status())
    assert read == Status.FromString(status.status(8, 'full "é"', seconds))


def test_trailers_hold_the_delay_in_both_places() -> None:
    found = dict(status.trailers(14, "later", 2.5))
    assert delay(RetryInfo.FromString(found["google.rpc.retryinfo-bin"])) == 2.5
    assert Status.FromString(found["grpc-status-details-bin"]).code == 14
    assert status.trailers(3, "never", None) == ()
