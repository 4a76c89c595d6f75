"""Streams that last over the client's HTTP/2, frame by frame: what goes when, what may come, and how they end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forward_support.raw_h2 import HEAD, OK
from tracekeeper_sidecar.forward import h2_frames as h2
from tracekeeper_sidecar.forward.h2_call import Reply
from tracekeeper_sidecar.forward.h2_stream import REOPEN, Stream
from tracekeeper_sidecar.forward.h2_wire import H2Wire
from tracekeeper_sidecar.forward.http_wire import Lost

LARGEST = 100_000


class Sink(asyncio.Transport):
    """Gathers what is written, as frames."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.over = False

    def write(self, data: object) -> None:
        assert isinstance(data, bytes | bytearray | memoryview)
        self.written += data

    def close(self) -> None:
        self.over = True

    def abort(self) -> None:
        self.over = True

    def is_closing(self) -> bool:
        return self.over

    def get_write_buffer_size(self) -> int:
        return 0

    def frames(self) -> Iterator[tuple[int, int, int, bytes]]:
        """Kind, flags, stream, payload of each since the last time."""
        data, self.written = bytes(self.written), bytearray()
        at = len(h2.PREFACE) if data.startswith(h2.PREFACE) else 0
        while at < len(data):
            size, kind, flags, stream = h2.read_head(data, at)
            at += h2.HEAD + size
            yield kind, flags, stream, data[at - size : at]

    def sent(self) -> bytes:
        """All that went in DATA."""
        return b"".join(payload for kind, _, _, payload in self.frames() if kind == h2.DATA)

    def opened(self, stream: int) -> int:
        """By how much windows were opened."""
        return sum(h2.number(body) for kind, _, one, body in self.frames() if (kind, one) == (h2.WINDOW_UPDATE, stream))


class End:
    """A stream, and what its peer does."""

    def __init__(self, *settings: tuple[int, int]) -> None:
        self.changes = 0
        self.sink = Sink()
        self.wire = H2Wire(LARGEST, lambda: None)
        self.wire.connection_made(self.sink)
        self.wire.data_received(h2.settings(*settings))
        self.stream = self.wire.stream(b"\x83", self._on_change)
        assert [frame[0] for frame in self.sink.frames()][-1] == h2.HEADERS

    def _on_change(self) -> None:
        self.changes += 1

    @property
    def over(self) -> bool:
        return self.stream.end is not None

    def head(self) -> None:
        self.wire.data_received(h2.headers(1, HEAD))

    def data(self, payload: bytes, flags: int = 0) -> None:
        for at in range(0, max(1, len(payload)), h2.DEFAULT_FRAME):
            piece = payload[at : at + h2.DEFAULT_FRAME]
            self.wire.data_received(h2.head(len(piece), h2.DATA, flags, 1) + piece)

    def all(self) -> list[bytes]:
        found = []
        while (message := self.stream.fetch()) is not None:
            found.append(message)
        return found


def framed(message: bytes) -> bytes:
    return b"\0" + len(message).to_bytes(4, "big") + message


async def test_messages_go_as_far_as_windows_reach_and_the_rest_when_they_open() -> None:
    end = End((h2.INITIAL_WINDOW, 10))
    end.stream.send(b"abcdef")
    end.stream.send(b"gh")
    assert end.sink.sent() == framed(b"abcdef")[:10]
    assert end.stream.left == 1 + 7
    end.wire.data_received(h2.window_update(1, 3))
    assert end.sink.sent() == b"f" + framed(b"gh")[:2]
    end.wire.data_received(h2.settings((h2.INITIAL_WINDOW, 110)))
    assert end.sink.sent() == framed(b"gh")[2:]
    assert end.stream.left == 0


async def test_messages_longer_than_a_frame_go_in_several() -> None:
    end = End((h2.INITIAL_WINDOW, 1 << 20))
    end.wire.data_received(h2.window_update(0, 1 << 20))
    message = bytes(range(256)) * 300
    end.stream.send(message)
    frames = [(flags, body) for kind, flags, _, body in end.sink.frames() if kind == h2.DATA]
    assert b"".join(body for _, body in frames) == framed(message)
    assert max(len(body) for _, body in frames) == h2.DEFAULT_FRAME
    assert not any(flags & h2.END_STREAM for flags, _ in frames)


@given(st.lists(st.binary(max_size=200), max_size=8), st.integers(1, 60))
async def test_messages_arrive_however_they_are_cut(messages: list[bytes], cut: int) -> None:
    end = End()
    end.head()
    whole, found = b"".join(map(framed, messages)), []
    for at in range(0, len(whole), cut):
        end.data(whole[at : at + cut])
        found += end.all()
    assert found == messages
    assert end.stream.end is None


async def test_window_opens_by_what_was_fetched() -> None:
    end = End()
    end.head()
    message = bytes(REOPEN // 2)
    end.data(framed(message))
    end.data(framed(message))
    assert end.sink.opened(1) == 0
    assert len(end.all()) == 2
    assert end.sink.opened(1) == 2 * (5 + len(message))


async def test_padding_makes_room_at_once() -> None:
    end = End()
    end.head()
    padded = bytes((100,)) + framed(b"x") + bytes(100)
    end.wire.data_received(h2.head(len(padded), h2.DATA, h2.PADDED, 1) + padded)
    assert end.sink.opened(1) == 101
    assert end.all() == [b"x"]


async def test_peer_that_sends_more_than_its_window_is_cut_off() -> None:
    end = End()
    end.head()
    end.data(framed(bytes(50_000)) * 3)
    assert not end.over
    end.data(framed(bytes(50_000)))
    assert isinstance(end.stream.end, Lost)
    assert "more than it was allowed" in end.stream.end.cause
    assert end.sink.over
    assert len(end.all()) == 3


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        (b"\1" + bytes(4), "compressed"),
        (b"\0" + (LARGEST - 4).to_bytes(4, "big"), "are allowed"),
    ],
)
async def test_message_that_cannot_be_received_is_named(payload: bytes, says: str) -> None:
    end = End()
    end.head()
    end.data(framed(b"before") + payload)
    assert end.stream.fetch() == b"before"
    for _ in range(2):
        with pytest.raises(ValueError, match=says):
            end.stream.fetch()


async def test_largest_message_gets_through() -> None:
    end = End()
    end.head()
    message = bytes(LARGEST - 5)
    end.data(framed(message))
    assert end.stream.fetch() == message


async def test_peer_that_ends_it_is_told_that_nothing_more_comes() -> None:
    end = End()
    end.head()
    end.data(framed(b"last"))
    end.wire.data_received(h2.head(len(OK), h2.HEADERS, h2.END_HEADERS | h2.END_STREAM, 1) + OK)
    assert isinstance(end.stream.end, Reply)
    assert end.stream.end.headers[b"grpc-status"] == b"0"
    assert [kind for kind, *_ in end.sink.frames()] == [h2.RST_STREAM]
    assert end.wire.calls == 0
    assert end.all() == [b"last"]
    end.stream.send(b"too late")
    assert end.sink.sent() == b""


async def test_page_of_a_proxy_is_no_message() -> None:
    end = End()
    end.wire.data_received(h2.headers(1, b"\x8c"))  # 400
    end.data(b"<html>")
    assert isinstance(end.stream.end, Reply)
    assert end.all() == []


async def test_reset_and_loss_are_told_apart() -> None:
    end = End()
    end.wire.data_received(h2.rst_stream(1, h2.CANCEL))
    assert isinstance(end.stream.end, Reply)
    assert end.stream.end.reset == h2.CANCEL
    end = End()
    changes = end.changes
    end.wire.connection_lost(None)
    assert isinstance(end.stream.end, Lost)
    assert end.changes == changes + 1


@pytest.mark.parametrize("room", [0, 100])
async def test_stream_is_left_behind_what_waits(room: int) -> None:
    end = End((h2.INITIAL_WINDOW, room))
    end.head()
    end.stream.send(b"last")
    end.stream.leave()
    end.stream.leave()
    end.stream.send(b"too late")
    end.wire.data_received(h2.window_update(1, 100))
    frames = [(flags & h2.END_STREAM, body) for kind, flags, _, body in end.sink.frames() if kind == h2.DATA]
    assert b"".join(body for _, body in frames) == framed(b"last")
    assert [flags for flags, _ in frames][-1] == h2.END_STREAM
    assert sum(flags for flags, _ in frames) == 1
    end.data(framed(b"bye"))
    assert end.all() == [b"bye"]
    end.wire.data_received(h2.head(len(OK), h2.HEADERS, h2.END_HEADERS | h2.END_STREAM, 1) + OK)
    assert isinstance(end.stream.end, Reply)
    assert list(end.sink.frames()) == []
    assert end.wire.calls == 0


async def test_cancelled_stream_is_reset_and_forgotten() -> None:
    end = End((h2.INITIAL_WINDOW, 0))
    end.stream.send(b"waits")
    end.stream.cancel()
    end.stream.cancel()
    assert [kind for kind, *_ in end.sink.frames()] == [h2.RST_STREAM]
    assert end.wire.calls == 0
    end.wire.data_received(h2.window_update(1, 100))
    assert end.sink.sent() == b""


async def test_peer_that_goes_away_lets_it_last_but_begins_no_other() -> None:
    end = End()
    end.head()
    end.wire.data_received(h2.head(8, h2.GOAWAY, 0, 0) + (1).to_bytes(4, "big") + bytes(4))
    assert not end.over
    assert not end.wire.open
    end.data(framed(b"x"))
    assert end.all() == [b"x"]
    with pytest.raises(Lost):
        end.wire.stream(b"\x83", lambda: None)


frames = st.tuples(st.integers(0, 12), st.integers(0, 255), st.integers(0, 3), st.binary(max_size=40))


@given(st.lists(frames, max_size=12), st.binary(max_size=30), st.integers(1, 50))
async def test_no_frames_do_worse_than_end_the_connection(
    sent: list[tuple[int, int, int, bytes]], rest: bytes, cut: int
) -> None:
    end = End()
    end.stream.send(b"hello")
    data = b"".join(h2.head(len(body), kind, flags, stream) + body for kind, flags, stream, body in sent) + rest
    for at in range(0, len(data), cut):
        if not end.sink.over:
            end.wire.data_received(data[at : at + cut])
        _fetch_all(end.stream)
    end.wire.connection_lost(None)
    assert end.wire.calls == 0
    assert end.stream.end is not None


def _fetch_all(stream: Stream) -> None:
    try:
        while stream.fetch() is not None:
            pass
    except ValueError:
        pass
