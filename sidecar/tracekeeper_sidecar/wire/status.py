"""google.rpc.Status and RetryInfo, made by hand: three small messages are not worth importing googleapis' for.

    Status    {1 code: int32, 2 message: string, 3 details: repeated Any}
    Any       {1 type_url: string, 2 value: bytes}
    RetryInfo {1 retry_delay: Duration}          Duration {1 seconds: int64, 2 nanos: int32}

From google/rpc/status.proto and error_details.proto; tests read the bytes back with googleapis-common-protos.
"""

from __future__ import annotations

import json
from typing import Final

from tracekeeper_sidecar.wire.varint import delimited, encode

OK: Final = 0
INVALID_ARGUMENT: Final = 3
RESOURCE_EXHAUSTED: Final = 8
UNIMPLEMENTED: Final = 12
UNAVAILABLE: Final = 14
"""Codes of google.rpc.Code, which are gRPC's."""

RETRY_INFO_URL: Final = "type.googleapis.com/google.rpc.RetryInfo"
STATUS_DETAILS_TRAILER: Final = "grpc-status-details-bin"
"""Where the Collector and most SDKs look for RetryInfo: in a Status."""
RETRY_INFO_TRAILER: Final = "google.rpc.retryinfo-bin"
"""Where the Python SDK looks for it: bare."""


def partial_success(rejected: int, message: str) -> bytes:
    """An ExportTraceServiceResponse {1 partial_success: {1 rejected_spans: int64, 2 error_message: string}}."""
    return delimited(1, b"\x08" + encode(rejected) + delimited(2, message.encode("utf-8", "replace")))


def partial_success_json(rejected: int, message: str) -> bytes:
    """The same as OTLP's JSON has it."""
    return json.dumps({"partialSuccess": {"rejectedSpans": str(rejected), "errorMessage": message}}).encode()


def retry_info(seconds: float) -> bytes:
    """RetryInfo asking to come back after `seconds`."""
    nanos = max(0, round(seconds * 1_000_000_000))
    whole, part = divmod(nanos, 1_000_000_000)
    duration = b"\x08" + encode(whole) if whole else b""
    if part:
        duration += b"\x10" + encode(part)
    return delimited(1, duration)


def status(code: int, message: str, retry_after: float | None = None) -> bytes:
    """A serialised Status; with `retry_after` seconds it carries a RetryInfo."""
    out = b"\x08" + encode(code) if code else b""
    out += delimited(2, message.encode())
    if retry_after is not None:
        out += delimited(3, delimited(1, RETRY_INFO_URL.encode()) + delimited(2, retry_info(retry_after)))
    return out


def status_json(code: int, message: str, retry_after: float | None = None) -> bytes:
    """The same as JSON, by protobuf's JSON mapping."""
    fields: dict[str, object] = {"code": code, "message": message}
    if retry_after is not None:
        fields["details"] = [{"@type": RETRY_INFO_URL, "retryDelay": f"{retry_after:g}s"}]
    return json.dumps(fields).encode()


def trailers(code: int, message: str, retry_after: float | None) -> tuple[tuple[str, bytes], ...]:
    """The trailing metadata of a gRPC refusal: where there is a delay, in both places that clients read it from."""
    if retry_after is None:
        return ()
    return (
        (STATUS_DETAILS_TRAILER, status(code, message, retry_after)),
        (RETRY_INFO_TRAILER, retry_info(retry_after)),
    )
