"""How a call over gRPC has ended: the status in its trailers, or what stands for one. Pure."""

from __future__ import annotations

from enum import IntEnum
from urllib.parse import unquote

from tracekeeper_sidecar.forward import answer, h2_frames
from tracekeeper_sidecar.forward.h2_call import Reply


class Code(IntEnum):
    """gRPC's status codes."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


OF_HTTP = {
    b"400": Code.INTERNAL,
    b"401": Code.UNAUTHENTICATED,
    b"403": Code.PERMISSION_DENIED,
    b"404": Code.UNIMPLEMENTED,
    b"429": Code.UNAVAILABLE,
    b"502": Code.UNAVAILABLE,
    b"503": Code.UNAVAILABLE,
    b"504": Code.UNAVAILABLE,
}
OF_RESET = {h2_frames.CANCEL: Code.CANCELLED, h2_frames.ENHANCE_YOUR_CALM: Code.UNAVAILABLE}


def read_reply(reply: Reply) -> tuple[Code, str]:
    """Code and message of an answer, whoever gave it. What has no status of gRPC (an answer of a proxy, a call that was
    reset) gets the one that gRPC's own mapping gives it."""
    headers = reply.headers
    if reply.reset is not None:  # Whatever it had begun to say.
        return OF_RESET.get(reply.reset, Code.INTERNAL), f"the call was reset with HTTP/2 error {reply.reset}"
    text = headers.get(b"grpc-status")
    if text == b"0":
        return Code.OK, ""  # What nearly every answer is.
    if text is not None:
        message = unquote(headers.get(b"grpc-message", b"").decode("latin-1"))
        try:
            return Code(int(text)), answer.shorten(message)
        except ValueError:
            return Code.UNKNOWN, f"status {text.decode('latin-1')}: {answer.shorten(message)}"
    status = headers.get(b":status", b"none")
    return OF_HTTP.get(status, Code.UNKNOWN), f"no gRPC status, and HTTP status {status.decode('latin-1')}"
