"""OTLP over gRPC as a raw load: frames encoded beforehand, in which only the number of the stream changes."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from hpack import Encoder
from processes import Failed
from raw_load import Client

FRAME = 16384
"""Bytes of a DATA frame, as long as a server does not allow more: RFC 9113 section 6.5.2."""
WINDOW = 65535
"""Bytes that may be sent, of a stream and in all, until the other side says more."""
DATA, HEADERS, SETTINGS, PING, WINDOW_UPDATE = 0, 1, 4, 6, 8
ACK = END_STREAM = 1
END_HEADERS = 4
INITIAL_WINDOW_SIZE = 4
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
CALL = (
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/opentelemetry.proto.collector.trace.v1.TraceService/Export"),
    (":authority", "localhost:4317"),
    ("te", "trailers"),
    ("content-type", "application/grpc"),
    ("user-agent", "OTel-OTLP-Exporter-Python/1.38.0 grpc-python/1.76.0 grpc-c/51.0.0 (linux; chttp2)"),
    ("grpc-accept-encoding", "identity, deflate, gzip"),
    ("grpc-timeout", "10S"),
)


class GrpcClient(Client):
    """The same over gRPC. Headers are indexed from the second call on, as by any client."""

    def __init__(self, bodies: Sequence[bytes], in_flight: int) -> None:
        encoder = Encoder()
        self._first, self._block = encoder.encode(CALL), encoder.encode(CALL)
        self._stream, self._messages = 1, 0
        self._window = self._stream_window = WINDOW
        self._size = 5 + max(map(len, bodies))
        super().__init__(bodies, in_flight)

    def encoded(self, body: bytes) -> bytearray:
        """A message in frames of stream 0; `request` fills in another."""
        message = b"\0" + struct.pack(">I", len(body)) + body
        places = range(0, len(message), FRAME)
        made = (frame(DATA, END_STREAM * (at == places[-1]), message[at : at + FRAME]) for at in places)
        return bytearray(b"".join(made))

    def greeting(self) -> bytes:
        """Settings as they are by default, and room for all answers that will ever come."""
        return PREFACE + frame(SETTINGS, 0, b"") + frame(WINDOW_UPDATE, 0, struct.pack(">I", 2**31 - 1 - WINDOW))

    def has_room(self) -> bool:
        return self._size <= min(self._window, self._stream_window)

    def request(self) -> bytes:
        data, number = next(self._requests), struct.pack(">I", self._stream)
        for at in range(5, len(data), 9 + FRAME):
            data[at : at + 4] = number
        block = self._block if self._stream > 1 else self._first
        self._window -= self._size
        self._stream += 2
        return frame(HEADERS, END_HEADERS, block, number) + data

    def read(self, data: bytes) -> tuple[bytes, int, bytes]:
        """As Client.read. A refusal has no message, so that trailers outnumber messages."""
        said, answers, at = b"", 0, 0
        while at + 9 <= len(data):
            size, kind, flags = int.from_bytes(data[at : at + 3]), data[at + 3], data[at + 4]
            if at + 9 + size > len(data):
                break
            stream, payload = data[at + 5 : at + 9], data[at + 9 : at + 9 + size]
            at += 9 + size
            if kind == DATA:
                self._messages += 1
            elif kind == HEADERS:
                answers += flags & END_STREAM
            elif kind == WINDOW_UPDATE:
                self._window += 0 if any(stream) else int.from_bytes(payload)
            elif kind in (SETTINGS, PING):
                said += b"" if flags & ACK else frame(kind, ACK, payload if kind == PING else b"")
                for name, value in struct.iter_unpack(">HI", payload if kind == SETTINGS else b""):
                    self._stream_window = value if name == INITIAL_WINDOW_SIZE else self._stream_window
            else:
                raise Failed(f"the server sent a frame of type {kind}: {payload!r}")
        if self.answered + answers > self._messages:
            raise Failed("the server refused a call")
        return said, answers, data[at:]


def frame(kind: int, flags: int, payload: bytes, stream: bytes = bytes(4)) -> bytes:
    """A frame of HTTP/2: RFC 9113 section 4.1."""
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream + payload
