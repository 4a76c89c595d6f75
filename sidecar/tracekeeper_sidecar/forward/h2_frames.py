"""HTTP/2's frames as bytes (RFC 9113): what a client writes, and the errors that it gives and gets. Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterator

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD = 9
"""Bytes before a frame's payload."""
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, HAS_PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_STREAMS, INITIAL_WINDOW, MAX_FRAME, MAX_HEADER_LIST = range(1, 7)
NO_ERROR, PROTOCOL_ERROR, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL = 0, 1, 3, 6, 7, 8
COMPRESSION_ERROR, ENHANCE_YOUR_CALM = 9, 11
DEFAULT_FRAME, DEFAULT_WINDOW, DEFAULT_TABLE = 16384, 65535, 4096
LARGEST_WINDOW = 2**31 - 1

_HEAD = struct.Struct(">HBBBI")
_SETTING = struct.Struct(">HI")
_TWO = struct.Struct(">II")
_ONE = struct.Struct(">I")


class Broken(Exception):
    """The peer has broken the protocol; `code` is what it is told."""

    def __init__(self, code: int, problem: str) -> None:
        self.code = code
        super().__init__(problem)


def head(size: int, kind: int, flags: int, stream: int) -> bytes:
    """The nine bytes before a payload of `size` bytes."""
    return _HEAD.pack(size >> 8, size & 0xFF, kind, flags, stream)


def read_head(data: bytes | bytearray, at: int) -> tuple[int, int, int, int]:
    """Size, kind, flags, stream."""
    high, low, kind, flags, stream = _HEAD.unpack_from(data, at)
    return high << 8 | low, kind, flags, stream & LARGEST_WINDOW


def settings(*pairs: tuple[int, int]) -> bytes:
    """A SETTINGS frame."""
    return head(6 * len(pairs), SETTINGS, 0, 0) + b"".join(_SETTING.pack(*pair) for pair in pairs)


def read_settings(payload: bytes) -> Iterator[tuple[int, int]]:
    """Pairs of number and value. Raises Broken."""
    if len(payload) % 6:
        raise Broken(FRAME_SIZE_ERROR, "a SETTINGS frame of a size that none has")
    return _SETTING.iter_unpack(payload)


def window_update(stream: int, size: int) -> bytes:
    """A WINDOW_UPDATE frame; stream 0 is the connection."""
    return head(4, WINDOW_UPDATE, 0, stream) + _ONE.pack(size)


def rst_stream(stream: int, code: int) -> bytes:
    """A RST_STREAM frame."""
    return head(4, RST_STREAM, 0, stream) + _ONE.pack(code)


def goaway(code: int) -> bytes:
    """A GOAWAY frame: we took no stream of the peer's."""
    return head(8, GOAWAY, 0, 0) + _TWO.pack(0, code)


def headers(stream: int, block: bytes) -> bytes:
    """A header block in as many frames as it takes."""
    first, rest = block[:DEFAULT_FRAME], block[DEFAULT_FRAME:]
    out = head(len(first), HEADERS, 0 if rest else END_HEADERS, stream) + first
    while rest:
        piece, rest = rest[:DEFAULT_FRAME], rest[DEFAULT_FRAME:]
        out += head(len(piece), CONTINUATION, 0 if rest else END_HEADERS, stream) + piece
    return out


def number(payload: bytes, at: int = 0) -> int:
    """Four bytes as a number. Raises Broken."""
    if len(payload) < at + 4:
        raise Broken(FRAME_SIZE_ERROR, "a frame is too short for what it must say")
    return int(_ONE.unpack_from(payload, at)[0])


def unpadded(payload: bytes, flags: int) -> bytes:
    """A payload of DATA or HEADERS without padding and priority. Raises Broken."""
    start, end = 0, len(payload)
    if flags & PADDED:
        if not payload:
            raise Broken(FRAME_SIZE_ERROR, "a padded frame is empty")
        start, end = 1, end - payload[0]
    if flags & HAS_PRIORITY:
        start += 5
    if start > end:
        raise Broken(PROTOCOL_ERROR, "a frame has more padding than content")
    return payload[start:end] if start or end < len(payload) else payload
