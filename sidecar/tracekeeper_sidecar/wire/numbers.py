# cython: annotation_typing=False, boundscheck=False, wraparound=False, initializedcheck=False, language_level=3
"""Where raw bytes may hold long numbers, of telephones, cards and accounts, and addresses of IP version 6; compiled
with the types in numbers.pxd.

Patterns of the pass would do, and did, for half of the time that the pass took: no literal is in them, so that every
byte went through an automaton. Here digits and colons are counted in blocks, many bytes at a time, and only where there
are enough of them the bytes are looked at.
"""

from __future__ import annotations

from tracekeeper_sidecar.wire import digits, native

_BLOCK = 32
"""What nine digits and the signs between them take up, 25 bytes, lies in two of these."""
_LEAST = 9
_MOST_GAP = 2
_COLON = 58
_SIGN, _DIGIT = 1, 2

_KINDS = bytes(_DIGIT if byte in b"0123456789" else _SIGN if byte in b" ./()-" else 0 for byte in range(256))
_HEX = bytes(byte in b"0123456789ABCDEFabcdef" for byte in range(256))


def number_ends(data: bytes, most: int) -> tuple[list[int], list[int]]:
    """Ascending: behind each digit that is at least the ninth of those with no more than two signs (space, `.`, `/`,
    `(`, `)`, `-`) between one and the next; and behind each colon that has another before it, with up to four
    hexadecimal digits between the two, and three before them. Where there are more than `most`, some of them, and more
    than that."""
    numbers: list[int] = []
    addresses: list[int] = []
    _find(data, len(data), _KINDS, _HEX, most, numbers, addresses)
    return numbers, addresses


def _find(
    data: bytes, size: int, kinds: bytes, hexadecimal: bytes, most: int, numbers: list[int], addresses: list[int]
) -> int:
    at = before = last = behind = 0
    while at + _BLOCK <= size:
        here = digits.digits(data, at)
        at += _BLOCK
        if here == 0 and before == 0:
            continue
        if (before & 255) + (here & 255) >= _LEAST:
            last = _look(data, at - 2 * _BLOCK, at, kinds, last, numbers)
        if (before >> 8) + (here >> 8) >= 2:
            behind = _look_for_colons(data, at - 2 * _BLOCK, at, hexadecimal, behind, addresses)
        if len(numbers) + len(addresses) > most:
            return 0
        before = here
    _look(data, at - _BLOCK, size, kinds, last, numbers)
    _look_for_colons(data, at - _BLOCK, size, hexadecimal, behind, addresses)
    return 0


def _look(data: bytes, pos: int, end: int, kinds: bytes, last: int, found: list[int]) -> int:
    """Adds what numbers are found in [pos, end) behind `last`, and returns the last that was found by now."""
    if pos < 0:
        pos = 0
    while pos + _LEAST <= end:
        # All of the next nine must be digits or signs: the last one says most often that they are not.
        back = pos + _LEAST - 1
        while back >= pos and kinds[data[back]]:
            back -= 1
        if back >= pos:
            pos = back + 1
            continue
        count = gap = 0
        while pos < end and kinds[data[pos]]:
            if kinds[data[pos]] == _DIGIT:
                if gap > _MOST_GAP:
                    count = 0
                count += 1
                gap = 0
                if count >= _LEAST and pos >= last:
                    last = pos + 1
                    found.append(last)
            else:
                gap += 1
            pos += 1
    return last


def _look_for_colons(data: bytes, pos: int, end: int, hexadecimal: bytes, last: int, found: list[int]) -> int:
    """The same for colons."""
    if pos < 3:
        pos = 3
    at = native.index(data, _COLON, pos, end)
    while at >= 0:
        pos = at + 1
        if hexadecimal[data[at - 1]] and hexadecimal[data[at - 2]] and hexadecimal[data[at - 3]]:
            while pos < end and pos <= at + 4 and hexadecimal[data[pos]]:
                pos += 1
            if pos < end and data[pos] == _COLON and pos >= last:
                last = pos + 1
                found.append(last)
        at = native.index(data, _COLON, pos, end)
    return last
