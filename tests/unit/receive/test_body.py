"""Reading bodies: the limit is kept while reading, not afterwards."""

from __future__ import annotations

import gzip

import pytest

from tracekeeper_sidecar.errors import WireError
from tracekeeper_sidecar.receive.admission import Admission
from tracekeeper_sidecar.receive.body import BodyReader
from tracekeeper_sidecar.receive.inflate import STEP
from tracekeeper_sidecar.receive.outcome import MAX_REQUEST, Refused

MIB = 1 << 20


class Pieces:
    """A body that comes in pieces; remembers how many were asked for."""

    def __init__(self, piece: bytes, count: int) -> None:
        self.piece, self.left, self.taken = piece, count, 0

    async def readany(self) -> bytes:
        if not self.left:
            return b""
        self.left -= 1
        self.taken += 1
        return self.piece


def reason(result: bytes | Refused) -> str:
    assert isinstance(result, Refused)
    return result.reason


@pytest.mark.parametrize("packed", [False, True])
async def test_reads_what_came(packed: bool) -> None:
    piece = gzip.compress(b"spans") if packed else b"spans"
    with Admission(100).lease() as lease:
        assert await BodyReader(lease, gzip=packed, admission_limit=100).read(Pieces(piece, 3)) == b"spans" * 3


async def test_an_empty_body() -> None:
    with Admission(100).lease() as lease:
        for packed in (False, True):
            assert await BodyReader(lease, gzip=packed, admission_limit=100).read(Pieces(b"", 0)) == b""


async def test_an_endless_body_is_read_no_further_than_the_limit() -> None:
    admission, content = Admission(MAX_REQUEST), Pieces(bytes(MIB), 1000)
    with admission.lease() as lease:
        assert reason(await BodyReader(lease, gzip=False, admission_limit=1).read(content)) == "too_large"
        assert content.taken == MAX_REQUEST // MIB + 1
        assert admission.in_flight <= MAX_REQUEST


async def test_a_bomb_unfolds_no_further_than_the_limit() -> None:
    bomb = gzip.compress(bytes(8 * MIB))  # eight kilobytes that become as many megabytes
    admission, content = Admission(MAX_REQUEST), Pieces(bomb, 1000)
    with admission.lease() as lease:
        assert reason(await BodyReader(lease, gzip=True, admission_limit=1).read(content)) == "too_large"
        assert content.taken == MAX_REQUEST // (8 * MIB) + 1
        assert admission.in_flight <= MAX_REQUEST


async def test_what_admission_has_no_room_for_is_read_no_further() -> None:
    admission, content = Admission(10 * STEP), Pieces(bytes(STEP), 60)
    with admission.lease() as other, admission.lease() as lease:
        assert other.grow(5 * STEP)
        result = await BodyReader(lease, gzip=False, admission_limit=admission.limit).read(content)
        assert reason(result) == "overloaded"
        assert content.taken == 6


async def test_gzip_that_stops_early_is_an_error() -> None:
    with Admission(100).lease() as lease:
        with pytest.raises(WireError, match="cut off"):
            await BodyReader(lease, gzip=True, admission_limit=1).read(Pieces(gzip.compress(b"spans")[:-1], 1))
