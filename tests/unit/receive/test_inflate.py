"""Gunzip in bounded steps."""

from __future__ import annotations

import gzip
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otlp_requests import property_test
from tracekeeper_sidecar.errors import WireError
from tracekeeper_sidecar.receive.inflate import STEP, Inflater


def inflate(packed: bytes, size: int) -> bytes:
    inflater = Inflater()
    out = [piece for at in range(0, len(packed), size) for piece in inflater.feed(packed[at : at + size])]
    inflater.finish()
    return b"".join(out)


@property_test
@given(members=st.lists(st.binary(max_size=500), min_size=1, max_size=3), size=st.integers(1, 600))
def test_any_members_in_any_pieces(members: list[bytes], size: int) -> None:
    assert inflate(b"".join(map(gzip.compress, members)), size) == b"".join(members)


@pytest.mark.parametrize("size", [STEP - 1, STEP, STEP + 1, 3 * STEP])
@pytest.mark.parametrize("make", [bytes, os.urandom])
def test_nothing_is_left_in_the_decompressor(make: type[bytes], size: int) -> None:
    content = make(size)
    assert inflate(gzip.compress(content, 1), 1 << 30) == content


def test_a_bomb_unfolds_only_as_far_as_it_is_taken() -> None:
    bomb = gzip.compress(bytes(200 << 20), 6)
    pieces = Inflater().feed(bomb)
    assert [len(next(pieces)) for _ in range(3)] == [STEP] * 3


@pytest.mark.parametrize(
    "raw", [b"plain text", b"\x1f\x8b\x08", gzip.compress(b"x" * 100)[:-5], b"\x1f\x8b" + b"\xff" * 40]
)
def test_damage_is_named(raw: bytes) -> None:
    with pytest.raises(WireError, match=r"body: (not valid gzip|the gzip stream is cut off)"):
        inflate(raw, 7)


def test_a_flipped_bit_is_found_by_the_checksum() -> None:
    packed = bytearray(gzip.compress(os.urandom(1000)))
    packed[500] ^= 1
    with pytest.raises(WireError, match="not valid gzip"):
        inflate(bytes(packed), 100)
