"""A gRPC client that says frame by frame what it is told to, and shows every frame that comes back."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

from hpack import Decoder, Encoder
from hyperframe.frame import (
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
HEADERS = {
    ":method": "POST",
    ":scheme": "http",
    ":path": EXPORT,
    ":authority": "x",
    "content-type": "application/grpc",
    "te": "trailers",
}
DEADLINE = 30.0


def message(body: bytes, *, flag: int = 0, announced: int | None = None) -> bytes:
    """A message as gRPC frames it."""
    return bytes([flag]) + struct.pack(">I", len(body) if announced is None else announced) + body


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """Any HTTP/2 frame, RFC 9113 section 4.1."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


class RawClient:
    """One connection. Frames are kept in the order in which they came."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer
        self._encoder, self._decoder = Encoder(), Decoder()
        self._rest = b""
        self.frames: list[Frame] = []
        self.headers: dict[int, list[tuple[str, str]]] = {}
        """Headers and trailers of each stream, in order."""
        self.closed = False
        self.answers_pings = True
        self._unanswered: list[bytes] = []

    # What the client says.

    def send(self, *frames: Frame | bytes) -> None:
        self.writer.write(b"".join(each if isinstance(each, bytes) else each.serialize() for each in frames))

    def greet(self, **settings: int) -> None:
        self.send(PREFACE, SettingsFrame(0, {int(name.lstrip("s")): value for name, value in settings.items()}))

    def call(self, stream: int, end: bool = False, **changed: str | None) -> HeadersFrame:
        """Headers of a call; keywords replace headers (_ for -), None leaves one out."""
        fields = dict(HEADERS)
        for name, value in changed.items():
            key = f":{name}" if f":{name}" in HEADERS else name.replace("_", "-")
            if value is None:
                del fields[key]
            else:
                fields[key] = value
        flags = ["END_HEADERS", "END_STREAM"] if end else ["END_HEADERS"]
        return HeadersFrame(stream, self._encoder.encode(fields.items(), huffman=False), flags=flags)

    @staticmethod
    def data(stream: int, content: bytes, *, end: bool = False) -> DataFrame:
        return DataFrame(stream, content, flags=["END_STREAM"] if end else [])

    def export(self, stream: int, body: bytes, **changed: str | None) -> None:
        """A whole call, its message in frames of 16,384 bytes."""
        self.export_message(stream, message(body), **changed)

    def export_message(self, stream: int, content: bytes, **changed: str | None) -> None:
        """The same, with a message that is framed already."""
        pieces = [content[at : at + 16384] for at in range(0, len(content), 16384)]
        ended = [self.data(stream, piece, end=number + 1 == len(pieces)) for number, piece in enumerate(pieces)]
        self.send(self.call(stream, False, **changed), *ended)

    # What comes back.

    async def until(self, condition: Callable[[], object], what: str) -> None:
        """Read until the condition holds; fails when the connection ends before, or nothing comes for long."""
        async with asyncio.timeout(DEADLINE):
            while not condition():
                assert not self.closed, f"closed before: {what}; {self.frames}"
                await self._read()

    async def until_closed(self) -> None:
        """Read to the end of the connection."""
        async with asyncio.timeout(DEADLINE):
            while not self.closed:
                await self._read()

    async def answer(self, stream: int) -> dict[str, str]:
        """All headers and trailers of the answer, once it has ended."""
        await self.until(lambda: self.has_ended(stream), f"an answer on stream {stream}")
        return dict(self.headers[stream])

    async def status(self, stream: int) -> int:
        """Its grpc-status."""
        return int((await self.answer(stream))["grpc-status"])

    async def round_trip(self) -> None:
        """Wait until the server has looked at everything that was sent, and has said what it had to say."""
        mark = struct.pack(">Q", len(self.frames))
        self.send(PingFrame(0, mark))
        await self.until(
            lambda: any("ACK" in each.flags and each.opaque_data == mark for each in self.of(PingFrame)), "a pong"
        )

    def has_ended(self, stream: int) -> bool:
        return any(each.stream_id == stream and "END_STREAM" in each.flags for each in self.frames)

    def of(self, kind: type[Frame]) -> list[Any]:
        return [each for each in self.frames if isinstance(each, kind)]

    def resets(self) -> dict[int, int]:
        """Error codes of RST_STREAM frames by stream."""
        return {each.stream_id: each.error_code for each in self.of(RstStreamFrame)}

    def goaways(self) -> list[tuple[int, int]]:
        """Last stream and error code of each GOAWAY."""
        return [(each.last_stream_id, each.error_code) for each in self.of(GoAwayFrame)]

    def content(self, stream: int) -> bytes:
        return b"".join(each.data for each in self.of(DataFrame) if each.stream_id == stream)

    def window_updates(self) -> dict[int, int]:
        total: dict[int, int] = {}
        for each in self.of(WindowUpdateFrame):
            total[each.stream_id] = total.get(each.stream_id, 0) + each.window_increment
        return total

    async def _read(self) -> None:
        try:
            data = await self._reader.read(1 << 16)
        except ConnectionError:
            data = b""
        if not data:
            self.closed = True
            self.writer.close()  # as clients do
            return
        self._rest += data
        while len(self._rest) >= 9:
            parsed, length = Frame.parse_frame_header(memoryview(self._rest[:9]))
            if len(self._rest) < 9 + length:
                break
            parsed.parse_body(memoryview(self._rest[9 : 9 + length]))
            self._rest = self._rest[9 + length :]
            self._note(parsed)

    def _note(self, parsed: Frame) -> None:
        self.frames.append(parsed)
        if isinstance(parsed, HeadersFrame):
            decoded: Iterable[Any] = self._decoder.decode(parsed.data)
            self.headers.setdefault(parsed.stream_id, []).extend((str(name), str(value)) for name, value in decoded)
        elif isinstance(parsed, SettingsFrame) and "ACK" not in parsed.flags:
            self.send(SettingsFrame(0, flags=["ACK"]))
        elif isinstance(parsed, PingFrame) and "ACK" not in parsed.flags:
            self._unanswered.append(parsed.opaque_data)
            if self.answers_pings:
                self.answer_pings()

    def answer_pings(self) -> None:
        """Answer those that have come, and from now on all."""
        self.answers_pings = True
        self.send(*(PingFrame(0, each, flags=["ACK"]) for each in self._unanswered))
        self._unanswered.clear()


@contextlib.asynccontextmanager
async def connected(port: int, *, greet: bool = True, **settings: int) -> AsyncIterator[RawClient]:
    """A connection to a server of this machine; settings by number, such as s4=1 for SETTINGS_INITIAL_WINDOW_SIZE."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
    client = RawClient(reader, writer)
    if greet:
        client.greet(**settings)
    try:
        yield client
    finally:
        writer.transport.abort()
