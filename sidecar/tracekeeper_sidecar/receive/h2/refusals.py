"""What a call is refused for before its message reaches the receiver, in words."""

from __future__ import annotations

from typing import Final

from tracekeeper_sidecar.receive import outcome
from tracekeeper_sidecar.receive.h2 import session
from tracekeeper_sidecar.receive.outcome import Refused
from tracekeeper_sidecar.wire import status

MAX_METADATA: Final = 64 * 1024
"""Bytes of a call's headers, all of them together, as SETTINGS_MAX_HEADER_LIST_SIZE counts them."""

_DEADLINE_EXCEEDED: Final = 4
_INTERNAL: Final = 13


def explain(why: int, detail: int, limit: int, patience: float) -> Refused:
    """The refusal for an item of `Session.refused`; `limit` is the admission's, in bytes, `patience` in seconds."""
    if why == session.OVERLOADED:
        return outcome.overloaded(limit)
    if why == session.TOO_LARGE:
        return outcome.too_large(detail)
    if why == session.SLOW:
        return _slow(f"the call's message was not complete within {patience:g} s")
    if why == session.DEADLINE:
        return _late() if detail else _slow("the call's message was not complete within its grpc-timeout")
    if why in _CALLS:
        return _CALLS[why]
    return Refused("malformed", _INTERNAL, 400, f"not a gRPC call of {session.METHOD}: {_framing(why, detail)}")


def not_http2(begin: bytes) -> Refused:
    """For a connection that begins with these bytes, which are not those of HTTP/2."""
    if begin.startswith(b"\x16\x03"):
        speaks = (
            "TLS; the sidecar listens on this pod's own address without it, so set OTEL_EXPORTER_OTLP_INSECURE=true"
        )
    elif b" HTTP/1." in begin or begin[:5] in (b"POST ", b"GET /", b"PUT /", b"HEAD "):
        speaks = "HTTP/1.1; OTLP over HTTP has a port of its own (OTEL_EXPORTER_OTLP_PROTOCOL is http/protobuf then)"
    else:
        speaks = "no HTTP/2"
    return Refused("malformed", status.INVALID_ARGUMENT, 400, f"a client on the gRPC port speaks {speaks}")


def _slow(what: str) -> Refused:
    return Refused("slow_client", _DEADLINE_EXCEEDED, 408, what)


def _late() -> Refused:
    return Refused(
        "timeout",
        _DEADLINE_EXCEEDED,
        504,
        "the disk has not confirmed the spans within the call's grpc-timeout; they may still be stored, "
        "and then sending them again duplicates them",
    )


def _framing(why: int, detail: int) -> str:
    if why == session.COUNT:
        return f"it takes one message, but there {'was none' if detail == 0 else 'were several'}"
    if why == session.CUT_OFF:
        return f"the client ended the call after {detail} bytes of its message"
    if detail == 1:
        return "the message is said to be compressed, but grpc-encoding does not say how"
    return f"the message begins with the byte {detail}; 0 is plain and 1 compressed"


_CALLS: Final = {
    session.NOT_GRPC: Refused(
        "media_type", status.INVALID_ARGUMENT, 415, "a request on the gRPC port is not gRPC with protobuf"
    ),
    session.PATH: Refused(
        "path",
        status.UNIMPLEMENTED,
        404,
        f"this sidecar takes traces only, by {session.METHOD}; give metrics and logs an endpoint of their own "
        "(OTEL_EXPORTER_OTLP_METRICS_ENDPOINT, …_LOGS_ENDPOINT)",
    ),
    session.ENCODING: Refused(
        "encoding",
        status.UNIMPLEMENTED,
        415,
        f"the call's grpc-encoding is not supported; use one of {session.ACCEPTED_ENCODINGS.decode()}",
    ),
    session.METADATA: Refused(
        "too_large",
        status.RESOURCE_EXHAUSTED,
        431,
        f"the call's metadata is over the limit of {MAX_METADATA} bytes; look at OTEL_EXPORTER_OTLP_HEADERS",
    ),
}
