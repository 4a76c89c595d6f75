"""The chunked coding, held against llhttp: what we take, it takes, with the same bytes."""

from __future__ import annotations

from itertools import pairwise

import pytest
from httptools import HttpParserError, HttpRequestParser
from hypothesis import given
from hypothesis import strategies as st

from otlp_requests import property_test
from tracekeeper_sidecar.http.chunks import MAX_LINE, MAX_TRAILER, Chunks

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


def ours(data: bytes, cuts: list[int]) -> tuple[bytes, Chunks, int]:
    """The body, the reader, and how many bytes it has used up."""
    chunks, body, used = Chunks(), b"", 0
    edges = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
    for begin, end in pairwise(edges):
        pieces, stopped = chunks.feed(data[begin:end], 0)
        body += b"".join(pieces)
        used += stopped
        if chunks.done or chunks.problem:
            break
    return body, chunks, used


class Theirs:
    """llhttp's reading of one body."""

    def __init__(self, data: bytes) -> None:
        self.body, self.done, self.broken = b"", False, False
        parser = HttpRequestParser(self)
        parser.feed_data(HEAD)
        try:
            parser.feed_data(data)
        except HttpParserError:
            self.broken = True

    def on_body(self, piece: bytes) -> None:
        if not self.done:
            self.body += piece

    def on_message_complete(self) -> None:
        self.done = True


CUTS = st.lists(st.integers(0, 500), max_size=8)
SIZES = st.sampled_from(["%x", "%X", "%04x"])
EXTENSIONS = st.sampled_from([b"", b";a", b";a=b", b';a="b c"', b";a=b;c"])
TRAILERS = st.lists(st.sampled_from([b"X: y\r\n", b"Digest: 1\r\n", b"Empty:\r\n"]), max_size=2)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """A chunked body as a client may send it."""
    out = b""
    for piece in [*draw(st.lists(st.binary(min_size=1, max_size=40), max_size=5)), b""]:
        out += (draw(SIZES) % len(piece)).encode() + draw(EXTENSIONS) + b"\r\n"
        out += piece + b"\r\n" if piece else b"".join(draw(TRAILERS)) + b"\r\n"
    return out


@property_test
@given(bodies(), CUTS, st.binary(max_size=20))
def test_reads_every_body_that_llhttp_reads(data: bytes, cuts: list[int], rest: bytes) -> None:
    body, chunks, used = ours(data + rest, cuts)
    theirs = Theirs(data)
    assert (chunks.done, chunks.problem, used) == (True, "", len(data))
    assert (theirs.done, theirs.body) == (True, body)


@property_test
@given(bodies(), st.integers(0, 200), st.sampled_from(list(b"\r\n;0aZ \t\x00:")), st.sampled_from(["put", "in", "out"]))
def test_takes_nothing_that_llhttp_does_not(data: bytes, at: int, byte: int, how: str) -> None:
    at %= len(data)
    changed = data[:at] + (b"" if how == "out" else bytes([byte])) + data[at + (how != "in") :]
    body, chunks, _ = ours(changed, [])
    theirs = Theirs(changed)
    if chunks.done:
        assert theirs.done and theirs.body == body, changed


@pytest.mark.parametrize("step", [1, 100, 100_000])
@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"0;" + b"a" * MAX_LINE, "too long"),
        (b"0\r\nX: " + b"a" * MAX_TRAILER, "too long"),
        (b"0\r\n" + b"X: y\r\n" * MAX_TRAILER, "the trailer is too long"),
        (b"100000000\r\n", "not a plain hexadecimal number"),
        (b"1\r\nxy\r\n", "a chunk is longer than its size says"),
    ],
)
def test_what_has_no_end_is_bounded(data: bytes, problem: str, step: int) -> None:
    chunks = Chunks()
    for at in range(0, len(data), step):
        chunks.feed(data[at : at + step], 0)
    assert problem in chunks.problem
    assert len(chunks._line) <= MAX_TRAILER + 100_000
