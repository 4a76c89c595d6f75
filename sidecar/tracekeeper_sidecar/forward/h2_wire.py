"""One HTTP/2 connection to a gRPC server: unary calls side by side, each answer as a value, and streams that last.

Written for a client that sends much and receives little. A request is one header block, the same for every call, and
its message in DATA frames as far as both windows reach; what they hold back goes when they open. Answers are bounded:
their header blocks, their message, and the frames that carry neither.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from tracekeeper_sidecar.forward import h2_frames as h2
from tracekeeper_sidecar.forward import hpack
from tracekeeper_sidecar.forward.h2_call import Call, Reply
from tracekeeper_sidecar.forward.h2_exchange import Exchange
from tracekeeper_sidecar.forward.h2_frames import Broken
from tracekeeper_sidecar.forward.h2_stream import Stream
from tracekeeper_sidecar.forward.http_wire import JOIN_BYTES, Lost

LARGEST_BLOCK = 64 * 1024
"""Bytes of an answer's header block."""
CONNECTION_WINDOW = 16 << 20
REPLENISH = 1 << 20
"""Bytes received after which the connection's window is opened again."""
UNREAD = 1 << 20
"""Bytes of our answers to PING and SETTINGS that a peer may leave unread."""


class H2Wire(asyncio.Protocol):
    """Made by `create_connection`; owned by one pool, or by one link."""

    def __init__(self, largest_body: int, on_room: Callable[[], None]) -> None:
        """`on_room` is called when there may be room for a call, or none for any more."""
        self.open = True
        """False once no further call can begin on it."""
        self.answered = 0.0
        """Loop time at which a call was last answered. That alone proves that calls get through: a peer may ping for
        ever on a connection whose window it has lost track of."""
        self.heard = 0.0
        """Loop time at which something last came, whatever it was."""
        self._largest_body, self._on_room = largest_body, on_room
        self._transport: asyncio.Transport | None = None
        self._calls: dict[int, Exchange] = {}
        self._blocked: dict[int, Exchange] = {}
        self._next = 1
        self._used = False
        self._data = bytearray()
        self._block: tuple[int, int, bytearray] | None = None  # stream, flags and bytes of headers to be continued
        self._window = self._initial = h2.DEFAULT_WINDOW
        self._frame, self._most = h2.DEFAULT_FRAME, 1 << 30
        self._shrink = False  # Whether the next header block must say that we keep no table.
        self._received = self._unread = 0
        self._greeted: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def greeted(self) -> None:
        """Return when the peer's settings are known: calls before would have to guess its limits. Raises Lost."""
        await self._greeted

    @property
    def calls(self) -> int:
        """Calls and streams under way."""
        return len(self._calls)

    @property
    def full(self) -> bool:
        """Whether the peer allows no more calls at once."""
        return len(self._calls) >= self._most

    async def call(self, block: bytes, head: bytes, message: bytes, deadline: float) -> Reply:
        """Make a call: its header block, and `head` and `message` as its DATA. Raises Lost, and TimeoutError at loop
        time `deadline`; a call that is cancelled is reset."""
        transport, number = self._begin()
        loop = asyncio.get_running_loop()
        call = Call(number, self._initial, head, message, loop.create_future(), self._largest_body)
        self._calls[number] = call
        out: list[bytes | memoryview] = [self._headers(number, block)]
        self._pump(call, out)
        if len(message) <= JOIN_BYTES:
            transport.write(b"".join(out))
        else:
            transport.writelines(out)
        timer = loop.call_at(deadline, call.expire)
        try:
            return await call.waiting
        except (asyncio.CancelledError, TimeoutError):
            self.drop(call)
            raise
        finally:
            timer.cancel()
            self._used = True
            self._end(call)

    def stream(self, block: bytes, on_change: Callable[[], None]) -> Stream:
        """Begin a call that lasts, by its header block; see Stream for `on_change`. Raises Lost."""
        transport, number = self._begin()
        room = self._largest_body + h2.DEFAULT_WINDOW
        stream = self._calls[number] = Stream(number, self._initial, room, self, on_change)
        transport.write(self._headers(number, block))
        return stream

    def ping(self) -> None:
        """Ask the peer for a sign of life, which shows in `heard`; `on_room` is called then."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(h2.head(8, h2.PING, 0, 0) + bytes(8))

    @property
    def unsent(self) -> int:
        """Bytes that the system has not taken yet: the peer does not read, or the network is slow."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def retire(self) -> None:
        """Begin no further call on it; it ends with the last one under way."""
        self.open = False
        if not self._calls:
            self.close()

    def close(self) -> None:
        """End the connection at once; calls under way are Lost."""
        self.open = False
        if self._transport is not None:
            self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none of asyncio's classes.
        ours = h2.settings(
            (h2.HEADER_TABLE_SIZE, 0),
            (h2.ENABLE_PUSH, 0),
            (h2.INITIAL_WINDOW, self._largest_body + h2.DEFAULT_WINDOW),
            (h2.MAX_HEADER_LIST, LARGEST_BLOCK),
        )
        room = h2.window_update(0, CONNECTION_WINDOW - h2.DEFAULT_WINDOW)
        self._transport.write(h2.PREFACE + ours + room)

    def data_received(self, data: bytes) -> None:
        buffer: bytes | bytearray = data
        self.heard = asyncio.get_running_loop().time()
        if self._data:
            self._data += data
            buffer = self._data
        at = 0
        try:
            while len(buffer) - at >= h2.HEAD:
                size, kind, flags, stream = h2.read_head(buffer, at)
                if size > h2.DEFAULT_FRAME:
                    raise Broken(h2.FRAME_SIZE_ERROR, "it does not speak HTTP/2, or sends frames that are too large")
                if len(buffer) - at < h2.HEAD + size:
                    break
                at += h2.HEAD
                self._on_frame(kind, flags, stream, bytes(buffer[at : at + size]))
                at += size
        except Broken as broken:
            self._fail(str(broken))
            transport = self._transport
            if transport is not None and not transport.is_closing():
                transport.write(h2.goaway(broken.code))
                if transport.get_write_buffer_size():
                    transport.abort()  # Closing would wait until it reads, which it may never do.
                else:
                    transport.close()
            return
        self._data = bytearray(buffer[at:]) if at < len(buffer) else bytearray()

    def eof_received(self) -> None:
        # No answer can come any more, and closing by itself would wait for the peer to read what it has not.
        self._fail("it closed the connection before it answered")
        self.close()

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(str(error) if error is not None else "it closed the connection before it answered")

    # Frames.

    def _on_frame(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if self._block is not None and (kind != h2.CONTINUATION or stream != self._block[0]):
            raise Broken(h2.PROTOCOL_ERROR, "its headers are interrupted")
        if kind == h2.DATA:
            self._on_data(flags, stream, payload)
        elif kind == h2.HEADERS:
            self._block = stream, flags, bytearray(h2.unpadded(payload, flags))
            self._on_block(flags)
        elif kind == h2.CONTINUATION:
            if self._block is None:
                raise Broken(h2.PROTOCOL_ERROR, "it continues headers that never began")
            self._block[2].extend(payload)
            self._on_block(flags)
        elif kind == h2.RST_STREAM:
            self._on_reset(stream, h2.number(payload))
        elif kind == h2.SETTINGS and not flags & h2.ACK:
            self._on_settings(payload)
        elif kind == h2.PING and not flags & h2.ACK:
            self._answer(h2.head(len(payload), h2.PING, h2.ACK, 0) + payload)
        elif kind == h2.PING:
            self._on_room()
        elif kind == h2.GOAWAY:
            self._on_goaway(h2.number(payload) & h2.LARGEST_WINDOW)
        elif kind == h2.WINDOW_UPDATE:
            self._on_window(stream, h2.number(payload) & h2.LARGEST_WINDOW)
        elif kind == h2.PUSH_PROMISE:
            raise Broken(h2.PROTOCOL_ERROR, "it pushes, although it was told not to")

    def _on_data(self, flags: int, stream: int, payload: bytes) -> None:
        self._received += len(payload)
        if self._received >= REPLENISH:
            self._answer(h2.window_update(0, self._received))
            self._received = 0
        call = self._calls.get(stream)
        if call is None:
            return
        room = call.take(h2.unpadded(payload, flags & h2.PADDED), len(payload))
        if call.enough or flags & h2.END_STREAM:
            self._finish(call)
        elif room:
            self._answer(h2.window_update(stream, room))

    def _on_block(self, flags: int) -> None:
        assert self._block is not None
        stream, first, block = self._block
        if len(block) > LARGEST_BLOCK:
            raise Broken(h2.ENHANCE_YOUR_CALM, f"the headers of its answer are over {LARGEST_BLOCK} bytes")
        if not flags & h2.END_HEADERS:
            return
        self._block = None
        try:
            found = hpack.decode(bytes(block))
        except ValueError as fault:
            raise Broken(h2.COMPRESSION_ERROR, f"its headers cannot be read: {fault}") from None
        call = self._calls.get(stream)
        if call is not None:
            call.header_bytes += len(block)
            if call.header_bytes > LARGEST_BLOCK:
                raise Broken(h2.ENHANCE_YOUR_CALM, f"the headers of its answer are over {LARGEST_BLOCK} bytes")
            call.headers.update(found)
            if first & h2.END_STREAM:
                self._finish(call)

    def _on_reset(self, stream: int, code: int) -> None:
        call = self._calls.get(stream)
        if call is None:
            return
        if code == h2.REFUSED_STREAM:
            self._lose(call, "it refused the call before it looked at it", unseen=True)
        else:
            self._finish(call, code)

    def _on_settings(self, payload: bytes) -> None:
        for number, value in h2.read_settings(payload):
            if number == h2.MAX_STREAMS:
                self._most = value
            elif number == h2.MAX_FRAME:
                if not h2.DEFAULT_FRAME <= value < 1 << 24:
                    raise Broken(h2.PROTOCOL_ERROR, f"it asks for frames of {value} bytes")
                self._frame = value
            elif number == h2.INITIAL_WINDOW:
                if value > h2.LARGEST_WINDOW:
                    raise Broken(h2.FLOW_CONTROL_ERROR, "it opens a window too wide")
                for call in self._calls.values():
                    call.window += value - self._initial
                self._initial = value
            elif number == h2.HEADER_TABLE_SIZE and value < h2.DEFAULT_TABLE:
                self._shrink = True  # RFC 7541, 4.2: it may end the connection if the next block does not say so.
        self._answer(h2.head(0, h2.SETTINGS, h2.ACK, 0))
        if not self._greeted.done():
            self._greeted.set_result(None)
        self._pump_blocked()
        self._on_room()

    def _on_goaway(self, last: int) -> None:
        self.open = False
        for call in [call for stream, call in self._calls.items() if stream > last]:
            self._lose(call, "it is shutting down", unseen=True)
        self.retire()
        self._on_room()

    def _on_window(self, stream: int, size: int) -> None:
        if stream == 0:
            self._window += size
            if self._window > h2.LARGEST_WINDOW:
                raise Broken(h2.FLOW_CONTROL_ERROR, "it opens its window too wide")
        elif (call := self._calls.get(stream)) is not None:
            call.window += size
        self._pump_blocked()

    # Sending.

    def _begin(self) -> tuple[asyncio.Transport, int]:
        """The number of a new stream. Raises Lost."""
        if not self.open or self._transport is None or self._next > h2.LARGEST_WINDOW:
            self.retire()
            raise Lost("it was closed", fresh=False, heard=False)
        number, self._next = self._next, self._next + 2
        return self._transport, number

    def _headers(self, number: int, block: bytes) -> bytes:
        if self._shrink:
            self._shrink, block = False, hpack.NO_TABLE + block
        return h2.headers(number, block)

    def push(self, stream: Stream) -> None:
        """See Carrier."""
        out: list[bytes | memoryview] = []
        self._pump(stream, out)
        if out and self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(out))

    def shut(self, stream: Stream) -> None:
        """See Carrier."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(h2.head(0, h2.DATA, h2.END_STREAM, stream.stream))

    def widen(self, stream: Stream, size: int) -> None:
        """See Carrier."""
        self._answer(h2.window_update(stream.stream, size))

    def _pump(self, call: Exchange, out: list[bytes | memoryview]) -> None:
        """Add what the windows allow of a call to `out`."""
        while (left := call.left) > 0:
            size = min(left, self._frame, self._window, call.window)
            if size <= 0:
                self._blocked[call.stream] = call
                return
            flags = h2.END_STREAM if size == left and call.ends else 0
            out.append(h2.head(size, h2.DATA, flags, call.stream))
            call.cut(size, out)
            call.window -= size
            self._window -= size
        self._blocked.pop(call.stream, None)

    def _pump_blocked(self) -> None:
        if self._blocked and self._window > 0 and self._transport is not None:
            out: list[bytes | memoryview] = []
            for call in list(self._blocked.values()):
                self._pump(call, out)
            if out:
                self._transport.writelines(out)

    def _answer(self, frame: bytes) -> None:
        """Send a frame that the peer has asked for, unless it does not read."""
        transport = self._transport
        if transport is not None:
            self._unread = self._unread + len(frame) if transport.get_write_buffer_size() else 0
            transport.write(frame)
            if self._unread > UNREAD:
                self.close()

    # Ends.

    def _finish(self, call: Exchange, reset: int | None = None) -> None:
        """The answer is there; whatever else belongs to the call is of no use any more."""
        self.answered = asyncio.get_running_loop().time()
        unfinished = call.unfinished and reset is None
        call.finish(reset)
        if unfinished:
            self._reset(call)
        self._end(call)

    def _lose(self, call: Exchange, cause: str, *, unseen: bool = False) -> None:
        """There will be no answer; `unseen` calls were not looked at, and may be made anew on another connection."""
        call.lose(Lost(cause, fresh=not self._used and not unseen, heard=bool(call.headers)))
        self._end(call)

    def drop(self, call: Exchange) -> None:
        """Tell the peer that a call is over, unless it is already, and forget it."""
        if call.stream in self._calls:
            self._reset(call)
            self._end(call)

    def _reset(self, call: Exchange) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(h2.rst_stream(call.stream, h2.CANCEL))

    def _end(self, call: Exchange) -> None:
        if self._calls.pop(call.stream, None) is None:
            return
        self._blocked.pop(call.stream, None)
        self._on_room()
        if not self.open and not self._calls:
            self.close()

    def _fail(self, cause: str) -> None:
        """The connection is of no use any more."""
        self.open = False
        if not self._greeted.done():
            self._greeted.set_exception(Lost(cause, fresh=True, heard=False))
            self._greeted.exception()  # Perhaps nobody waits for it.
        for call in list(self._calls.values()):
            self._lose(call, cause)
        self._on_room()
