"""Counts digits and colons, for where `numbers` runs uncompiled; the compiled half is in digits.pxd and digits.h.

This module itself is never compiled: numbers.pxd takes the same name from digits.pxd instead.
"""

from __future__ import annotations

_NUMERALS = frozenset(b"0123456789")


def digits(data: bytes, at: int) -> int:
    """How many of the 32 bytes at `at`, which are known to be there, are digits, and 256 times how many are colons."""
    part = data[at : at + 32]
    return sum(byte in _NUMERALS for byte in part) | part.count(b":") << 8
