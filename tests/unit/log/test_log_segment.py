from __future__ import annotations

import pytest

from tracekeeper_sidecar.log.segment import (
    DATA_START,
    VERSION,
    BadHeader,
    Header,
    Segment,
    View,
    decode_header,
    encode_header,
    name_of,
    number_of,
    quarantined_number,
)
from tracekeeper_sidecar.model import Position

SOUND = encode_header(12, 3456, 1_700_000_000_000_000_000)


def test_a_header_comes_back_as_it_went_in() -> None:
    assert len(SOUND) == DATA_START
    assert decode_header(SOUND, 12) == Header(12, 3456, 1_700_000_000.0)


@pytest.mark.parametrize("bit", range(DATA_START * 8))
def test_every_flipped_bit_of_a_header_is_found(bit: int) -> None:
    data = bytearray(SOUND)
    data[bit // 8] ^= 1 << bit % 8
    assert isinstance(decode_header(bytes(data), 12), BadHeader)


def test_zeros_are_told_apart_from_damage() -> None:
    assert decode_header(b"", 1) == BadHeader("holds nothing yet", empty=True)
    assert decode_header(bytes(64), 1) == BadHeader("holds nothing yet", empty=True)
    damaged = decode_header(b"x" + bytes(63), 1)
    assert isinstance(damaged, BadHeader)
    assert not damaged.empty


def test_a_segment_under_another_name_is_refused() -> None:
    found = decode_header(SOUND, 13)
    assert isinstance(found, BadHeader)
    assert found.reason == "says it is number 12, its name says 13"


def test_a_later_format_is_named_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracekeeper_sidecar.log.segment.VERSION", VERSION + 1)
    later = encode_header(12, 0, 0)
    monkeypatch.undo()
    found = decode_header(later, 12)
    assert isinstance(found, BadHeader)
    assert found.newer
    assert "format version 2, this release reads 1" in found.reason


def test_names_sort_as_numbers_and_only_ours_are_taken() -> None:
    assert name_of(7) == "00000000000000000007.seg"
    assert number_of(name_of(2**63)) == 2**63
    assert sorted([name_of(10), name_of(9)]) == [name_of(9), name_of(10)]
    for foreign in ("7.seg", "lost+found", name_of(7) + "~", name_of(7) + "\n", "0000000000000000000x.seg"):
        assert number_of(foreign) is None
    assert quarantined_number(name_of(7) + ".quarantined") == 7
    assert quarantined_number(name_of(7)) is None


def test_a_view_without_segments_begins_at_its_end() -> None:
    end = Position(3, DATA_START, 99)
    assert View((), end).begin == end
    assert View((Segment(2, 40, 0.0, 500),), end).begin == Position(2, DATA_START, 40)
