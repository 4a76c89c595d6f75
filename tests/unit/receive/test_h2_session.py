"""The glue to libnghttp2 by itself: whatever comes, however it is called, it neither crashes nor forgets bytes."""

from __future__ import annotations

import gc

import pytest
from hyperframe.frame import DataFrame, Frame, PingFrame, SettingsFrame

import h2_fuzz
from h2_fuzz import OVERHEAD, REJECTION, Rig
from raw_grpc import PREFACE, message
from tracekeeper_sidecar.receive.admission import Admission
from tracekeeper_sidecar.receive.h2 import session
from tracekeeper_sidecar.receive.h2.session import Session

ROUNDS = 1000


def test_a_message_is_one_bytes_and_its_share() -> None:
    rig = Rig()
    assert rig.call(1, b"abc")
    assert rig.session.ready == [(1, b"abc", OVERHEAD + 3, session.IDENTITY)]
    assert rig.admission.in_flight == OVERHEAD + 3
    assert (rig.session.greeted, rig.session.streams) == (True, 1)


def test_an_answer_is_given_once() -> None:
    rig = Rig()
    rig.call(1, b"abc")
    assert rig.session.accept(1)
    assert not rig.session.accept(1)
    assert not rig.session.reject(1, REJECTION)
    rig.pull()
    assert not rig.session.is_open(1)
    assert not rig.session.accept(1)


@pytest.mark.parametrize("number", [0, -1, 2, 3, 2**31 - 1, -(2**31)])
def test_numbers_that_are_no_call(number: int) -> None:
    rig = Rig()
    rig.call(1, b"abc")
    assert not rig.session.is_open(number)
    assert not rig.session.accept(number)
    assert not rig.session.reject(number, REJECTION)


def test_many_answers_come_out_whole() -> None:
    rig = Rig()
    for stream in range(1, 81, 2):
        rig.call(stream, b"abc")
        assert rig.session.reject(stream, [*REJECTION, (b"x", bytes([97 + stream % 20]) * 6000)])
    frames, sent = 0, rig.pull()
    while sent:
        _, length = Frame.parse_frame_header(memoryview(sent[:9]))
        sent = sent[9 + length :]
        frames += 1
    assert frames >= 40


def test_closing_gives_back_what_unfinished_calls_hold() -> None:
    rig = Rig()
    rig.feed(rig.headers(1), DataFrame(1, message(b"", announced=50_000)), rig.headers(3))
    assert rig.admission.in_flight == 2 * OVERHEAD + 50_000
    rig.session.close()
    assert rig.admission.in_flight == 0
    assert rig.session.streams == 0


def test_nothing_works_after_closing_and_nothing_breaks() -> None:
    rig = Rig()
    rig.call(1, b"abc")
    for _ in range(2):
        rig.session.close()
        assert rig.session.finished
        assert rig.pull() == b""
        rig.feed(PingFrame(0, b"12345678"))
        assert not rig.session.accept(1)
        assert not rig.session.reject(1, REJECTION)
        rig.session.sweep(1e9, 1, 1)
        rig.session.ping()
        rig.session.announce_end()
        rig.session.end()


def test_dropping_a_session_in_mid_message_frees_it() -> None:
    for _ in range(200):
        rig = Rig()
        rig.feed(rig.headers(1), DataFrame(1, message(b"x" * 10, announced=90_000)))
        rig.call(3, b"abc")
        rig.session.accept(3)
    gc.collect()


def test_more_is_said_than_the_buffer_holds() -> None:
    rig = Rig()
    with pytest.raises(ValueError, match="5 bytes of 3"):
        rig.session.feed(bytearray(3), 5, 0)
    with pytest.raises(ValueError, match="-1 bytes"):
        rig.session.feed(bytearray(3), -1, 0)
    with pytest.raises(TypeError):
        rig.session.feed(b"abc", 3, 0)  # type: ignore[arg-type]


class Broken(Admission):
    """Raises where the glue can let nothing pass."""

    def reserve(self, size: int, held: int = 0) -> bool:
        raise RuntimeError("out of order")


def test_an_admission_that_raises_refuses() -> None:
    rig = Rig()
    broken = Session(
        Broken(1), overhead=1, most=10, most_metadata=4096, most_streams=5, stream_window=65535, window=65535
    )
    data = bytearray(PREFACE + SettingsFrame(0).serialize() + rig.headers(1).serialize())
    assert broken.feed(data, len(data), 0)
    assert broken.refused == [(1, session.OVERLOADED, 0)]


def test_growing_is_bounded_by_the_admission() -> None:
    rig = Rig(limit=3 << 20)
    rig.session.close()
    large = Session(
        rig.admission,
        overhead=1,
        most=1 << 26,
        most_metadata=4096,
        most_streams=5,
        stream_window=1 << 30,
        window=1 << 30,
    )
    large.pull()
    begin = PREFACE + SettingsFrame(0).serialize() + SettingsFrame(0, flags=["ACK"]).serialize()
    begin += rig.headers(1).serialize() + DataFrame(1, message(b"", announced=1 << 26)).serialize()
    begin += rig.headers(3).serialize()
    assert large.feed(bytearray(begin), len(begin), 0)
    assert rig.admission.in_flight == (1 << 20) + 2
    piece = bytearray(DataFrame(1, bytes(16384)).serialize())
    for _ in range(200):
        assert large.feed(piece, len(piece), 0)
    assert large.refused == [(1, session.OVERLOADED, 0)], "after 2 MiB it asked for 4"
    assert rig.admission.in_flight == 1


def test_time() -> None:
    rig = Rig()
    rig.feed(rig.headers(1), rig.headers(3, more={"grpc-timeout": "5S"}))
    rig.call(5, b"abc", {"grpc-timeout": "2S"})
    rig.session.sweep(1.9, 10, 0)
    assert rig.session.refused == []
    rig.session.sweep(2.0, 10, 0)
    assert rig.session.refused == [(5, session.DEADLINE, 1)]
    rig.session.sweep(5.0, 10, 0)
    assert rig.session.refused[1:] == [(3, session.DEADLINE, 0)]
    rig.session.sweep(10.0, 10, 0)
    assert rig.session.refused[2:] == [(1, session.SLOW, 0)]
    assert rig.admission.in_flight == OVERHEAD + 3, "of the message that somebody may have taken"
    rig.session.sweep(1000.0, 10, 0)
    assert len(rig.session.refused) == 3


def test_no_bytes_and_no_order_of_calls_do_harm() -> None:
    for seed in range(ROUNDS):
        h2_fuzz.exercise(seed)
