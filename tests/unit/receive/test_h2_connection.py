"""A connection between a transport that writes everything down and a store: when it writes, and how often."""

from __future__ import annotations

import asyncio
import gzip

from hpack import Encoder
from hyperframe.frame import DataFrame, Frame, HeadersFrame, SettingsFrame

import otlp_requests
from raw_grpc import HEADERS, PREFACE, frame, message
from receivers import Gate, Store
from tracekeeper_sidecar.ledger import Intake
from tracekeeper_sidecar.receive.admission import Admission
from tracekeeper_sidecar.receive.h2.connection import LINGER, WINDOW, Connection
from tracekeeper_sidecar.receive.intake import Receiver
from tracekeeper_sidecar.receive.otlp_grpc import GrpcReceiver
from waiting import turns, until


class Wire(asyncio.Transport):
    """The other end is nobody."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.closed = self.ended = False
        self.unsent = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closed and not self.ended
        self.writes.append(bytes(data))

    def write_eof(self) -> None:
        self.ended = True

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True


class Rig:
    """A server that does not listen, with connections that are given their bytes by hand."""

    def __init__(self) -> None:
        self.store, self.ledger, self.admission = Store(), Intake(), Admission(64 << 20)
        self.now = 1000.0
        receiver = Receiver(self.store.submit, self.ledger, self.admission, lambda: False)
        self.server = GrpcReceiver(receiver, monotonic=lambda: self.now)
        self.receiver = receiver

    def connect(self) -> tuple[Connection, Wire]:
        connection, wire = Connection(self.receiver, self.server), Wire()
        connection.connection_made(wire)
        self.feed(connection, PREFACE, SettingsFrame(0))
        wire.writes.clear()
        return connection, wire

    def feed(self, connection: Connection, *sent: bytes | Frame) -> None:
        data = b"".join(each if isinstance(each, bytes) else each.serialize() for each in sent)
        connection.get_buffer(-1)[: len(data)] = data
        connection.buffer_updated(len(data))


def calls(count: int, *, encoding: str = "identity") -> list[Frame]:
    encoder, made = Encoder(), list[Frame]()
    for stream in range(1, 2 * count, 2):
        body = otlp_requests.body(1, seed=stream)
        packed = message(gzip.compress(body), flag=1) if encoding == "gzip" else message(body)
        fields = {**HEADERS, "grpc-encoding": encoding}
        made.append(HeadersFrame(stream, encoder.encode(fields.items()), flags=["END_HEADERS"]))
        made.append(DataFrame(stream, packed, flags=["END_STREAM"]))
    return made


def trailers(written: bytes) -> int:
    """How many answers there are."""
    found = 0
    while written:
        frame, length = Frame.parse_frame_header(memoryview(written[:9]))
        found += "END_STREAM" in frame.flags
        written = written[9 + length :]
    return found


async def test_what_is_answered_at_once_is_written_once() -> None:
    rig = Rig()
    connection, wire = rig.connect()
    rig.feed(connection, *calls(50))
    assert [trailers(each) for each in wire.writes] == [50]


async def test_a_commit_is_one_write_for_each_connection() -> None:
    rig = Rig()
    rig.store.gate = Gate()
    first, second = rig.connect(), rig.connect()
    for connection, _ in (first, second):
        rig.feed(connection, *calls(50))
    rig.store.gate.set()
    assert (first[1].writes, second[1].writes) == ([], [])
    await until(lambda: second[1].writes, "it is written in the next turn")
    assert [trailers(each) for each in first[1].writes] == [50]
    assert [trailers(each) for each in second[1].writes] == [50]


async def test_a_client_that_does_not_read_is_written_nothing_more() -> None:
    rig = Rig()
    connection, wire = rig.connect()
    connection.pause_writing()
    rig.feed(connection, *calls(20))
    assert len(rig.store.payloads) == 20
    assert wire.writes == []
    connection.resume_writing()
    assert [trailers(each) for each in wire.writes] == [20]


async def test_a_connection_that_is_lost_while_the_disk_is_at_work() -> None:
    rig = Rig()
    rig.store.gate = Gate()
    connection, wire = rig.connect()
    rig.feed(connection, *calls(20))
    wire.close()
    connection.connection_lost(None)
    assert rig.admission.in_flight > 0, "the log holds the messages still"
    rig.store.gate.set()
    await turns()
    connection.flush()
    connection.sweep(1e12)
    assert (wire.writes, rig.admission.in_flight, len(rig.store.payloads)) == ([], 0, 20)


async def test_a_connection_that_is_lost_while_a_message_unfolds() -> None:
    rig = Rig()
    connection, wire = rig.connect()
    large = gzip.compress(otlp_requests.body(1, text="x" * (3 << 20), attributes=1))
    encoder = Encoder()
    fields = {**HEADERS, "grpc-encoding": "gzip"}
    headers = HeadersFrame(1, encoder.encode(fields.items()), flags=["END_HEADERS"])
    rig.feed(connection, headers, DataFrame(1, message(large, flag=1), flags=["END_STREAM"]))
    assert rig.store.payloads == [], "it takes several turns"
    wire.close()
    connection.connection_lost(None)
    await until(lambda: rig.store.payloads, "it came whole, so that it is stored")
    assert (wire.writes, rig.admission.in_flight) == ([], 0)


def ended() -> tuple[Rig, Connection, Wire]:
    """A connection that has ended for the server, with a call of which half had come."""
    rig = Rig()
    connection, wire = rig.connect()
    headers, data = calls(1)
    rig.feed(connection, headers, DataFrame(1, data.serialize()[9:50]))
    assert rig.admission.in_flight > 0
    rig.feed(connection, frame(0, 0, 0, b"of no stream"))
    assert (wire.ended, wire.closed) == (True, False)
    return rig, connection, wire


async def test_a_connection_that_has_ended_holds_nothing_and_says_nothing_more() -> None:
    rig, connection, wire = ended()
    assert rig.admission.in_flight == 0
    written = len(wire.writes)
    rig.feed(connection, *calls(1))
    connection.announce_end()
    connection.end()
    rig.now += LINGER
    connection.sweep(rig.now)
    assert (rig.store.payloads, len(wire.writes), wire.closed) == ([], written, False)
    connection.connection_lost(None)
    assert rig.admission.in_flight == 0


async def test_who_does_not_close_a_connection_that_has_ended_is_cut_off() -> None:
    rig, connection, wire = ended()
    rig.now += LINGER + 0.1
    wire.unsent = 1
    connection.sweep(rig.now)
    assert not wire.closed, "what was said has not left yet"
    wire.unsent = 0
    connection.sweep(rig.now)
    assert wire.closed


async def test_whose_last_word_cannot_leave_is_cut_off() -> None:
    rig, connection, wire = ended()
    rig.now += rig.server.patience + 0.1
    wire.unsent = 1
    connection.sweep(rig.now)
    assert wire.closed


async def test_who_talks_on_without_end_is_cut_off() -> None:
    _, connection, wire = ended()
    size = len(connection.get_buffer(-1))
    for _ in range(WINDOW // size):
        connection.buffer_updated(size)
    assert not wire.closed
    connection.buffer_updated(1)
    assert wire.closed


async def test_compressed_messages_are_answered_in_the_same_write() -> None:
    rig = Rig()
    connection, wire = rig.connect()
    rig.feed(connection, *calls(10, encoding="gzip"))
    assert [trailers(each) for each in wire.writes] == [10]
