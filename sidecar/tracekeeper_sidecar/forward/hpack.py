"""Header blocks of HTTP/2 without memory: what a client needs that tells servers to keep no dynamic table. Pure.

We announce SETTINGS_HEADER_TABLE_SIZE = 0, so every block stands for itself (RFC 7541): what we send are literals, and
what we receive are literals and entries of the static table. So equal blocks mean the same, and the answers of a
backend, which are the same few again and again, are decoded once and remembered.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

Headers = tuple[tuple[bytes, bytes], ...]

NO_TABLE = b"\x20"
"""Begins a block after the peer has asked for a smaller table than the default: we keep none at all."""
LARGEST_REMEMBERED = 1024
"""Bytes of a block that is remembered; larger ones hold messages that are said once."""

_NAMES = (
    b":authority :method :method :path :path :scheme :scheme :status :status :status :status :status :status :status"
    b" accept-charset accept-encoding accept-language accept-ranges accept access-control-allow-origin age allow"
    b" authorization cache-control content-disposition content-encoding content-language content-length"
    b" content-location content-range content-type cookie date etag expect expires from host if-match"
    b" if-modified-since if-none-match if-range if-unmodified-since last-modified link location max-forwards"
    b" proxy-authenticate proxy-authorization range referer refresh retry-after server set-cookie"
    b" strict-transport-security transfer-encoding user-agent vary via www-authenticate"
).split()
_VALUES = {
    **{2: b"GET", 3: b"POST", 4: b"/", 5: b"/index.html", 6: b"http", 7: b"https", 8: b"200", 9: b"204", 10: b"206"},
    **{11: b"304", 12: b"400", 13: b"404", 14: b"500", 16: b"gzip, deflate"},
}
STATIC: Headers = tuple((name, _VALUES.get(number, b"")) for number, name in enumerate(_NAMES, 1))
"""RFC 7541, appendix A."""

_LENGTHS = bytes.fromhex(
    "0d171c1c1c1c1c1c1c181e1c1c1e1c1c1c1c1c1c1c1c1e1c1c1c1c1c1c1c1c1c060a0a0c0d06080b0a0a080b080606060505050606060606060607"
    "080f060c0a0d06070707070707070707070707070707070707070707070807080d130d0e060f050605060506060605070706060605060706050506"
    "07070707070f0b0e0d1c141614141616161716171717171718171818161718171717171516171617171816151416161717151716161815161717"
    "151516151716171714161616171616171a1a1413161716191a1a1a1b1b1a181913151a1b1b1a1b1815151a1a1c1b1b1b1418141516151517161619"
    "1918181a171a1b1a1a1b1b1b1b1b1c1b1b1b1b1b1a1e"
)
"""Bits of the Huffman code of each byte, and of the end, in RFC 7541, appendix B. It is canonical: they define it."""


def _canonical(lengths: bytes) -> dict[tuple[int, int], int]:
    """(bits, code) to symbol."""
    codes, code, bits = {}, 0, 0
    for symbol in sorted(range(len(lengths)), key=lambda symbol: (lengths[symbol], symbol)):
        code <<= lengths[symbol] - bits
        bits = lengths[symbol]
        codes[bits, code] = symbol
        code += 1
    return codes


_CODES = _canonical(_LENGTHS)
_END = 256


def encode(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A block of literals that nobody is to remember."""
    block = bytearray()
    for header in headers:
        if header in STATIC:
            block.append(0x80 | (STATIC.index(header) + 1))
            continue
        name, value = header
        block.append(0x10 if name == b"authorization" else 0)  # 0x10: not even proxies may keep it.
        for text in (name, value):
            block += _integer(len(text), 7) + text
    return bytes(block)


def decode(block: bytes) -> Headers:
    """The headers of a block. Raises ValueError for one that is damaged, or leans on a table that we do not keep."""
    return _remembered(block) if len(block) <= LARGEST_REMEMBERED else _decode(block)


def _decode(block: bytes) -> Headers:
    headers, at = [], 0
    while at < len(block):
        first = block[at]
        if first & 0x80:
            number, at = _read_integer(block, at, 7)
            headers.append(_static(number))
            continue
        if first & 0xE0 == 0x20:  # A new size of the table that stays empty.
            _, at = _read_integer(block, at, 5)
            continue
        number, at = _read_integer(block, at, 6 if first & 0x40 else 4)
        if number:
            name = _static(number)[0]
        else:
            name, at = _read_text(block, at)
        value, at = _read_text(block, at)
        headers.append((name, value))
    return tuple(headers)


_remembered = lru_cache(maxsize=64)(_decode)


def _static(number: int) -> tuple[bytes, bytes]:
    if not 0 < number <= len(STATIC):
        raise ValueError(f"header {number} of a table that we do not keep")
    return STATIC[number - 1]


def _integer(value: int, bits: int) -> bytes:
    limit = (1 << bits) - 1
    if value < limit:
        return bytes((value,))
    out, value = bytearray((limit,)), value - limit
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read_integer(block: bytes, at: int, bits: int) -> tuple[int, int]:
    limit = (1 << bits) - 1
    value = block[at] & limit
    at += 1
    if value < limit:
        return value, at
    for shift in range(0, 28, 7):
        if at >= len(block):
            break
        byte = block[at]
        value += (byte & 127) << shift
        at += 1
        if byte < 128:
            return value, at
    raise ValueError("a number in a header block does not end")


def _read_text(block: bytes, at: int) -> tuple[bytes, int]:
    if at >= len(block):
        raise ValueError("a header block stops short")
    coded = block[at] & 0x80
    size, at = _read_integer(block, at, 7)
    if size > len(block) - at:
        raise ValueError("a header runs past its block")
    text = block[at : at + size]
    return (_unpack(text) if coded else text), at + size


def _unpack(text: bytes) -> bytes:
    """Undo Huffman's code; the last bits are the beginning of the end's code, at most seven."""
    out, code, bits = bytearray(), 0, 0
    for byte in text:
        symbols, code, bits = _step(code, bits, byte)
        out += symbols
    if bits > 7 or code != (1 << bits) - 1:
        raise ValueError("a text ends within a code")
    return bytes(out)


@lru_cache(maxsize=4096)
def _step(code: int, bits: int, byte: int) -> tuple[bytes, int, int]:
    """The symbols that end within one more byte, and what is left of it."""
    symbols = bytearray()
    for shift in range(7, -1, -1):
        code = code << 1 | (byte >> shift & 1)
        bits += 1
        symbol = _CODES.get((bits, code))
        if symbol is not None:
            if symbol == _END:
                raise ValueError("a text holds the end's code")
            symbols.append(symbol)
            code = bits = 0
    return bytes(symbols), code, bits
