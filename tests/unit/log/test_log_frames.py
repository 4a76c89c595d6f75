from __future__ import annotations

import pytest

from log_record import encode_header
from simulated_files import SimulatedFiles
from tracekeeper_sidecar.log.frames import NARROW, WINDOW, Ended, Found, FrameReader
from tracekeeper_sidecar.log.record import seed_of


def reader_of(content: bytes, files: SimulatedFiles | None = None) -> FrameReader:
    files = files or SimulatedFiles()
    files.put("segment", content)
    return FrameReader(files, files.open("/data/segment"), 5)


def frame(payload: bytes, seq: int, spans: int = 1) -> bytes:
    return encode_header(seed_of(5), payload, seq, spans, 0) + payload


def read(reader: FrameReader, limit: int) -> list[bytes]:
    payloads, offset, seq = [], 0, 0
    while isinstance(found := reader.next(offset, limit, seq), Found):
        payloads.append(found.payload)
        offset, seq = found.end, found.frame.seq + found.frame.spans
    return payloads


@pytest.mark.parametrize("size", [1, NARROW, WINDOW // 4, WINDOW - 40, WINDOW, WINDOW + 1, 3 * WINDOW])
def test_frames_of_every_size_mix(size: int) -> None:
    payloads = [b"small", bytes(size), b"x" * size, b"small", b"", b"y" * size, b"z"]
    content = b"".join(frame(payload, seq) for seq, payload in enumerate(payloads))
    assert read(reader_of(content), len(content)) == payloads


def test_a_frame_that_reaches_behind_the_limit_is_not_read() -> None:
    content = frame(b"one", 0) + frame(b"two", 1)
    for limit in range(len(content)):
        assert read(reader_of(content), limit) == ([b"one"] if limit >= len(frame(b"one", 0)) else [])


def test_frames_whose_numbers_go_back_are_passed_over() -> None:
    stale, wanted = frame(b"stale", 3), frame(b"wanted", 9)
    reader = reader_of(stale + wanted)
    found = reader.next(0, len(stale + wanted), 9)
    assert isinstance(found, Found)
    assert (found.offset, found.payload) == (len(stale), b"wanted")
    assert isinstance(reader.next(0, len(stale), 9), Ended)


def test_zeros_are_the_end_and_anything_else_is_damage() -> None:
    assert reader_of(bytes(2 * WINDOW)).next(0, 2 * WINDOW, 0) == Ended(0)
    assert reader_of(b"").next(0, 0, 0) == Ended(0)
    content = bytes(WINDOW + 7) + b"!" + bytes(WINDOW)
    assert reader_of(content).next(0, len(content), 0) == Ended(WINDOW + 8)


def test_what_was_appended_since_the_last_window_is_seen() -> None:
    files = SimulatedFiles()
    first, second = frame(b"one", 0), frame(b"two", 1)
    reader = reader_of(first, files)
    assert read(reader, len(first)) == [b"one"]
    files.content("segment").extend(second)
    found = reader.next(len(first), len(first + second), 1)
    assert isinstance(found, Found)
    assert found.payload == b"two"


def test_small_frames_are_read_many_at_once_and_large_ones_once() -> None:
    reads: list[int] = []

    def count(operation: str, path: str) -> None:
        if operation == "pread":
            reads.append(int(path.split("+")[1]))

    files = SimulatedFiles()
    files.fault = count
    content = b"".join(frame(bytes(400), seq) for seq in range(1000))
    assert len(read(reader_of(content, files), len(content))) == 1000
    assert len(reads) <= 2 * (len(content) // WINDOW + 1)
    reads.clear()
    content = b"".join(frame(bytes(200_000), seq) for seq in range(20))
    assert len(read(reader_of(content, files), len(content))) == 20
    assert sum(reads) < len(content) + WINDOW + 20 * NARROW
