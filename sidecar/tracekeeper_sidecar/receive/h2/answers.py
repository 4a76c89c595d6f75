"""Refusals as gRPC says them: trailers without anything before them, and a text for those who speak something else."""

from __future__ import annotations

import base64
import re
from typing import Final

from tracekeeper_sidecar.receive.h2 import session
from tracekeeper_sidecar.receive.outcome import Accepted, Refused
from tracekeeper_sidecar.wire.status import partial_success, trailers

_LONGEST_MESSAGE: Final = 1024
"""Characters: clients may give up on headers of 8 KiB, and each character may become nine bytes."""
_TO_ESCAPE: Final = re.compile(rb"[^\x20-\x24\x26-\x7e]")

_ALWAYS: Final = [
    (b":status", b"200"),
    (b"content-type", b"application/grpc"),
    (b"grpc-accept-encoding", session.ACCEPTED_ENCODINGS),
]

NOT_GRPC_TEXT: Final = (
    b"This port speaks gRPC: OTLP traces, by " + session.METHOD.encode() + b".\n"
    b"OTLP over HTTP has a port of its own: 4318 unless it was configured otherwise, path /v1/traces.\n"
)
NOT_GRPC_HEADERS: Final = [(b":status", b"415"), (b"content-type", b"text/plain; charset=utf-8")]
NOT_HTTP2: Final = (
    b"HTTP/1.1 505 HTTP Version Not Supported\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(NOT_GRPC_TEXT), NOT_GRPC_TEXT)
)
"""What a client hears that tries HTTP/1.1."""


def partial(accepted: Accepted) -> bytes:
    """The message, framed, that says what of the request was not stored."""
    message = partial_success(accepted.rejected, accepted.problem)
    return b"\0" + len(message).to_bytes(4) + message


def headers(refused: Refused) -> list[tuple[bytes, bytes]]:
    """The answer: status, message and, where there is a delay, RetryInfo in both places that clients read it from."""
    message = refused.message[:_LONGEST_MESSAGE]
    made = [
        *_ALWAYS,
        (b"grpc-status", b"%d" % refused.grpc_code),
        (b"grpc-message", percent_encoded(message)),
    ]
    for name, value in trailers(refused.grpc_code, message, refused.retry_after):
        made.append((name.encode(), base64.b64encode(value).rstrip(b"=")))
    return made


def percent_encoded(message: str) -> bytes:
    """As gRPC wants messages: UTF-8, and all but printable ASCII without the percent sign as %XX."""
    return _TO_ESCAPE.sub(lambda found: b"%%%02X" % found[0][0], message.encode("utf-8", "replace"))
