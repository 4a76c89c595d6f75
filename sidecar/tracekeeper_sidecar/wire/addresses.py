# cython: annotation_typing=False, boundscheck=False, wraparound=False, initializedcheck=False, language_level=3
"""Where raw bytes may hold addresses of e-mail; compiled with the types in addresses.pxd.

A pattern of the pass would do, and did: but times of spans are full of `@` (an even number of microseconds is a
multiple of eight), and each false hit costs a call into Python. Here the domain is followed to its first dot, which
times have not.
"""

from __future__ import annotations

from tracekeeper_sidecar.wire import native

_AT = 64
_BACKSLASH = 92
_DOT = 46

_BEFORE = bytes(
    byte in b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz._%+'-" or 128 <= byte < 192
    for byte in range(256)
)
"""What may end the name before the sign: a letter of any language ends in a byte of the second half."""
_FIRST = bytes(
    byte in b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz\\" or 194 <= byte < 245
    for byte in range(256)
)
"""What may begin a domain, or be an escape in JSON that does."""
_WITHIN = bytes(
    byte in b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-" or byte >= 128 for byte in range(256)
)


def mail_ends(data: bytes, most: int) -> list[int]:
    """Behind the first byte of each domain that an address of e-mail may have, ascending. None is missed whose `@` is
    written as one, whatever bytes are around it and however the rest is escaped. Where there are more than `most`, one
    more than that."""
    found: list[int] = []
    _find(data, len(data), _BEFORE, _FIRST, _WITHIN, most, found)
    return found


def _find(data: bytes, size: int, before: bytes, first: bytes, within: bytes, most: int, found: list[int]) -> int:
    at = native.index(data, _AT, 0, size)
    while at >= 0:
        pos = at + 1
        if at > 0 and pos < size and before[data[at - 1]] and first[data[pos]]:
            while pos < size and within[data[pos]]:
                pos += 1
            if pos < size and (data[pos] == _DOT or data[pos] == _BACKSLASH):
                found.append(at + 2)
                if len(found) > most:
                    return 0
        at = native.index(data, _AT, pos, size)
    return 0
