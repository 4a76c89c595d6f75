"""The dead-letter area: what is kept, what goes, and what a damaged file or a failing disk does to it."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracekeeper_sidecar.forward.dead_letter import BLOCK, DeadLetters
from tracekeeper_sidecar.forward.letter import Damaged, Letter, name_of, parse, parse_name, serialise
from tracekeeper_sidecar.log.files import DEAD_LETTERS, SystemFiles


def letter(body: bytes = b"request", spans: int = 3) -> Letter:
    return Letter(1700000000.5, "main", "tempo", "refused", "it says: no", spans, body)


def whole(value: Letter) -> bytes:
    return b"".join(serialise(value))


@given(st.binary(max_size=300), st.text(max_size=50), st.integers(0, 10**9))
def test_letter_is_read_back(body: bytes, message: str, spans: int) -> None:
    value = Letter(1.5, "d", "b", "too_large", message, spans, body)
    assert parse(whole(value)) == value


def test_damage_and_truncation_at_every_offset_are_seen() -> None:
    data = whole(letter())
    for offset in range(len(data)):
        flipped = bytearray(data)
        flipped[offset] ^= 0x10
        assert isinstance(parse(bytes(flipped)), Damaged), offset
        assert isinstance(parse(data[:offset]), Damaged), offset


def test_name_tells_number_and_spans() -> None:
    assert parse_name(name_of(7, 512)) == (7, 512)
    assert parse_name("00000000000000000007.seg") is None


async def test_letters_survive_a_restart_in_order(tmp_path: Path) -> None:
    area = DeadLetters(str(tmp_path), SystemFiles())
    area.limit = 1 << 20
    for number in range(3):
        assert await area.keep(letter(b"%d" % number))
    again = DeadLetters(str(tmp_path), SystemFiles())
    assert await again.numbers() == [1, 2, 3]
    found = [await again.read(number) for number in await again.numbers()]
    assert [one.body for one in found if isinstance(one, Letter)] == [b"0", b"1", b"2"]
    assert (again.stats().letters, again.stats().spans) == (3, 9)
    again.limit = 1 << 20
    assert await again.keep(letter())
    assert await again.numbers() == [1, 2, 3, 4]


async def test_oldest_go_when_it_is_full(tmp_path: Path) -> None:
    area = DeadLetters(str(tmp_path), SystemFiles())
    area.limit = 3 * BLOCK
    for _ in range(5):
        assert await area.keep(letter())
    assert await area.numbers() == [3, 4, 5]
    stats = area.stats()
    assert (stats.bytes, stats.evicted_spans, stats.lost_spans) == (3 * BLOCK, 6, 0)
    assert len(list((tmp_path / DEAD_LETTERS).iterdir())) == 3


async def test_letter_larger_than_the_area_is_lost_and_counted(tmp_path: Path) -> None:
    area = DeadLetters(str(tmp_path), SystemFiles())
    area.limit = BLOCK
    assert await area.keep(letter())
    assert not await area.keep(letter(b"x" * BLOCK, 7))
    assert area.stats().lost_spans == 7
    assert await area.numbers() == [1]


async def test_nothing_is_kept_when_nothing_is_to_be(tmp_path: Path) -> None:
    area = DeadLetters(str(tmp_path), SystemFiles())
    assert not await area.keep(letter())
    assert area.stats().lost_spans == 3
    assert not (tmp_path / DEAD_LETTERS).exists()


async def test_letter_torn_by_a_crash_is_gone_after_it(tmp_path: Path) -> None:
    area = DeadLetters(str(tmp_path), SystemFiles())
    area.limit = 1 << 20
    assert await area.keep(letter())
    assert await area.keep(letter())
    (tmp_path / DEAD_LETTERS / name_of(3, 3)).write_bytes(whole(letter())[:-1])
    again = DeadLetters(str(tmp_path), SystemFiles())
    assert await again.numbers() == [1, 2]
    assert not (tmp_path / DEAD_LETTERS / name_of(3, 3)).exists()


async def test_newest_letter_that_cannot_be_read_just_now_is_not_taken_for_torn(tmp_path: Path) -> None:
    area = DeadLetters(str(tmp_path), SystemFiles())
    area.limit = 1 << 20
    assert await area.keep(letter())

    class OutOfHandles(SystemFiles):
        def open(self, path: str, *, write: bool = False, create: bool = False) -> int:
            raise OSError(errno.EMFILE, "Too many open files", path)

    assert await DeadLetters(str(tmp_path), OutOfHandles()).numbers() == [1]
    assert await DeadLetters(str(tmp_path), SystemFiles()).read(1) == letter()


async def test_removed_letter_is_gone(tmp_path: Path) -> None:
    area = DeadLetters(str(tmp_path), SystemFiles())
    area.limit = 1 << 20
    assert await area.keep(letter())
    await area.remove(1)
    await area.remove(1)
    assert await area.read(1) is None
    assert area.stats().bytes == 0
    assert await DeadLetters(str(tmp_path), SystemFiles()).numbers() == []


class Failing(SystemFiles):
    """A disk on which one kind of call fails."""

    def __init__(self, call: str) -> None:
        self.call, self.synced = call, 0

    def fdatasync(self, handle: int) -> None:
        self.synced += 1
        if self.call == "fdatasync":
            raise OSError(errno.EIO, "Input/output error")
        super().fdatasync(handle)

    def pwritev(self, handle: int, buffers: object, offset: int) -> int:
        if self.call == "pwritev":
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().pwritev(handle, buffers, offset)  # type: ignore[arg-type]


@pytest.mark.parametrize("call", ["fdatasync", "pwritev"])
async def test_disk_that_fails_costs_the_letter_and_nothing_else(tmp_path: Path, call: str) -> None:
    area = DeadLetters(str(tmp_path), Failing(call))
    area.limit = 1 << 20
    assert not await area.keep(letter())
    assert area.stats().lost_spans == 3
    assert list((tmp_path / DEAD_LETTERS).iterdir()) == []


async def test_letter_is_synced_before_it_counts(tmp_path: Path) -> None:
    files = Failing("nothing")
    area = DeadLetters(str(tmp_path), files)
    area.limit = 1 << 20
    assert await area.keep(letter())
    assert files.synced == 1
