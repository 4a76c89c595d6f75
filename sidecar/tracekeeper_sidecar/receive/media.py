"""What OTLP over HTTP says in headers: content types, encodings and the answers that go with them."""

from __future__ import annotations

from typing import Final

from tracekeeper_sidecar.errors import WireError
from tracekeeper_sidecar.http.answer import Answer
from tracekeeper_sidecar.receive import outcome
from tracekeeper_sidecar.receive.outcome import Accepted, Refused
from tracekeeper_sidecar.wire.status import (
    INVALID_ARGUMENT,
    UNIMPLEMENTED,
    partial_success,
    partial_success_json,
    status,
    status_json,
)

PATH: Final = "/v1/traces"
PROTOBUF: Final = "application/x-protobuf"
JSON: Final = "application/json"

_SUCCESS: Final = {PROTOBUF: Answer(200, PROTOBUF, b""), JSON: Answer(200, JSON, b"{}")}


def content_type(header: str) -> str | None:
    """`application/x-protobuf` or `application/json` without parameters such as charset, or None for any other."""
    if header in _SUCCESS:
        return header
    essence = header.partition(";")[0].strip().lower()
    return essence if essence in _SUCCESS else None


def success(media: str, accepted: Accepted) -> Answer:
    """An ExportTraceServiceResponse: empty, because everything was taken, or with what was not stored."""
    if not accepted.rejected:
        return _SUCCESS[media]
    encode = partial_success if media == PROTOBUF else partial_success_json
    return Answer(200, media, encode(accepted.rejected, accepted.problem))


def refusal(refused: Refused, media: str | None, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    """A Status in the request's content type, JSON where that is not known; with the delay in Retry-After too."""
    if refused.retry_after is not None:
        # Whole seconds, rounded up: 0 would mean at once.
        headers = (*headers, ("Retry-After", str(max(1, int(-(-refused.retry_after // 1))))))
    encode = status if media == PROTOBUF else status_json
    body = encode(refused.grpc_code, refused.message, refused.retry_after)
    return Answer(refused.http_status, media or JSON, body, headers)


def wrong_path(path: str, served: str = PATH) -> Refused:
    """`served` are the paths that there are."""
    return Refused(
        "path",
        UNIMPLEMENTED,
        404,
        f"nothing is served at {path[:200]!r}; this sidecar takes traces only, by POST {served} "
        "(give metrics and logs an endpoint of their own: OTEL_EXPORTER_OTLP_METRICS_ENDPOINT, …_LOGS_ENDPOINT)",
    )


def wrong_method(method: str, path: str = PATH) -> Refused:
    return Refused("method", UNIMPLEMENTED, 405, f"method {method[:20]!r} is not allowed on {path}; use POST")


def wrong_type(header: str) -> Refused:
    said = f"content type {header[:200]!r} is not OTLP" if header else "the Content-Type header is missing"
    return Refused("media_type", INVALID_ARGUMENT, 415, f"{said}; use {PROTOBUF} or {JSON}")


def wrong_encoding(header: str) -> Refused:
    return Refused(
        "encoding", INVALID_ARGUMENT, 415, f"content encoding {header[:200]!r} is not supported; use gzip or none"
    )


def slow_client(problem: str) -> Refused:
    """Its body did not come in time."""
    return Refused("slow_client", INVALID_ARGUMENT, 408, problem)


def no_request(status: int, problem: str) -> Refused:
    """What came is not HTTP, or is open to more than one reading."""
    return Refused("malformed", INVALID_ARGUMENT, status, f"not a valid HTTP request: {problem}")


def disconnected() -> Refused:
    """Nobody is left to read the answer, but it is counted."""
    return Refused("disconnected", INVALID_ARGUMENT, 400, "the client closed the connection within its request")


def from_json(body: bytes) -> bytes | Refused:
    """A request in OTLP's JSON as protobuf. The converter is imported when the first one comes: few ever send any."""
    from tracekeeper_sidecar.wire.otlp_json import json_to_protobuf  # noqa: PLC0415

    try:
        return json_to_protobuf(body)
    except WireError as error:
        return outcome.malformed(error)
