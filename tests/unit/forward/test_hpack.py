"""Header blocks against the hpack library, in both directions."""

from __future__ import annotations

import contextlib

import hpack as reference
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracekeeper_sidecar.forward import hpack

texts = st.binary(max_size=60) | st.text("abc-0123456789/ ", max_size=200).map(str.encode)
known = st.sampled_from(hpack.STATIC)
headers = st.lists(known | st.tuples(st.sampled_from([name for name, _ in hpack.STATIC]) | texts, texts), max_size=8)


@given(headers)
def test_the_library_reads_what_is_encoded(given: list[tuple[bytes, bytes]]) -> None:
    found = reference.Decoder().decode(hpack.encode(given), raw=True)
    assert [(bytes(name), bytes(value)) for name, value in found] == given


@given(headers, st.booleans())
def test_what_the_library_encodes_without_a_table_is_read(given: list[tuple[bytes, bytes]], huffman: bool) -> None:
    encoder = reference.Encoder()
    encoder.header_table_size = 0
    block = encoder.encode(given, huffman=huffman)
    assert hpack.decode(block) == tuple(given)


@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_refused(block: bytes) -> None:
    with contextlib.suppress(ValueError):
        hpack.decode(block)


@given(st.binary(max_size=80))
def test_what_both_take_means_the_same(block: bytes) -> None:
    decoder = reference.Decoder()
    decoder.max_allowed_table_size = decoder.header_table_size = 0
    try:
        expected = decoder.decode(block, raw=True)
        found = hpack.decode(block)
    except (ValueError, IndexError, reference.HPACKError):
        return
    assert found == tuple((bytes(name), bytes(value)) for name, value in expected)


@pytest.mark.parametrize(
    "block", [b"\xbf\x00", b"\x80", b"\x7f", b"\x40\x01", b"\x40\x7f\xff\xff\xff\xff\xff", b"\x00\x81\x00\x00"]
)
def test_damage_is_named(block: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        hpack.decode(block)
