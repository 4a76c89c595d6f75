"""A server of gRPC that speaks HTTP/2 frame by frame: for what no library can be made to do."""

from __future__ import annotations

import asyncio

from tracekeeper_sidecar.forward import h2_frames as h2
from tracekeeper_sidecar.forward import hpack

HEAD = hpack.encode([(b":status", b"200"), (b"content-type", b"application/grpc")])
OK = hpack.encode([(b"grpc-status", b"0")])


class RawSide:
    """A server's end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def greet(self, *settings: tuple[int, int]) -> None:
        assert await self.reader.readexactly(len(h2.PREFACE)) == h2.PREFACE
        self.writer.write(h2.settings(*settings))

    async def frame(self) -> tuple[int, int, int, bytes]:
        """Kind, flags, stream, payload."""
        size, kind, flags, stream = h2.read_head(await self.reader.readexactly(h2.HEAD), 0)
        return kind, flags, stream, await self.reader.readexactly(size)

    async def call(self) -> tuple[int, bytes]:
        """The next call's stream and header block, when its message is there."""
        block = b""
        while True:
            kind, flags, stream, payload = await self.frame()
            if kind == h2.HEADERS:
                block = payload
            if kind == h2.DATA and flags & h2.END_STREAM:
                return stream, block

    def headers(self, stream: int, block: bytes, flags: int = h2.END_HEADERS) -> None:
        self.writer.write(h2.head(len(block), h2.HEADERS, flags, stream) + block)

    def data(self, stream: int, payload: bytes, flags: int = 0) -> None:
        self.writer.write(h2.head(len(payload), h2.DATA, flags, stream) + payload)

    def answer(self, stream: int) -> None:
        self.headers(stream, HEAD)
        self.data(stream, bytes(5))
        self.headers(stream, OK, h2.END_HEADERS | h2.END_STREAM)
