from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from log_record import check, encode_header
from tracekeeper_sidecar.log.record import (
    HEADER_SIZE,
    MAX_PAYLOAD,
    TRACES,
    Corrupt,
    Torn,
    Valid,
    check_header,
    payload_intact,
    seed_of,
)

SEED = seed_of(7)


def frame(payload: bytes = b"spans", seq: int = 41, spans: int = 3) -> bytes:
    return encode_header(SEED, payload, seq, spans, 1_700_000_000_500_000_000) + payload


@given(st.binary(max_size=300), st.integers(0, 2**63), st.integers(1, 2**32 - 1))
def test_a_frame_comes_back_as_it_went_in(payload: bytes, seq: int, spans: int) -> None:
    found = check(frame(payload, seq, spans), 0, SEED)
    assert isinstance(found, Valid)
    assert (found.length, found.seq, found.spans, found.type) == (len(payload), seq, spans, TRACES)
    assert found.time == 1_700_000_000.5


def test_the_layout_is_the_documented_one() -> None:
    data = frame()
    assert data[:4] == b"\xf1TK\xa7"
    assert struct.unpack_from("<I", data, 4) == (5,)
    assert struct.unpack_from("<Q", data, 8) == (41,)
    assert struct.unpack_from("<I", data, 16) == (3,)
    assert data[20:24] == bytes([TRACES, 0, 0, 0])
    assert struct.unpack_from("<Q", data, 24) == (1_700_000_000_500_000_000,)
    assert data[HEADER_SIZE:] == b"spans"


@pytest.mark.parametrize("keep", range(len(frame())))
def test_every_cut_is_torn_and_says_what_is_missing(keep: int) -> None:
    found = check(frame()[:keep], 0, SEED)
    assert found == Torn(HEADER_SIZE if keep < HEADER_SIZE else len(frame()))


@pytest.mark.parametrize("bit", range(len(frame()) * 8))
def test_every_flipped_bit_is_found(bit: int) -> None:
    data = bytearray(frame())
    data[bit // 8] ^= 1 << bit % 8
    assert isinstance(check(bytes(data), 0, SEED), Corrupt)


def test_a_frame_of_another_segment_is_not_valid_here() -> None:
    assert isinstance(check(frame(), 0, seed_of(8)), Corrupt)


def test_a_length_beyond_the_bound_is_not_believed_even_with_a_sound_checksum() -> None:
    class Long(bytes):
        def __len__(self) -> int:
            return MAX_PAYLOAD + 1

    header = encode_header(SEED, Long(), 0, 1, 0)
    assert isinstance(check_header(header, 0, SEED), Corrupt)


def test_no_frame_is_without_spans() -> None:
    assert isinstance(check_header(encode_header(SEED, b"", 0, 0, 0), 0, SEED), Corrupt)


def test_the_payload_is_judged_apart_from_the_header() -> None:
    found = check_header(b"??" + frame(), 2, SEED)
    assert isinstance(found, Valid)
    assert payload_intact(found, memoryview(b"spans"), SEED)
    assert not payload_intact(found, b"spanz", SEED)
    assert not payload_intact(found, b"span", SEED)
