"""What compiled code does by pointer, for where `log.codec` runs uncompiled; the compiled half is in native.pxd.

This module itself is never compiled: `codec.pxd` takes the same names from native.pxd and native.h instead.
"""

from __future__ import annotations

from crc32c import crc32c


def prepare(hardware: int) -> int:
    """Get ready. Returns 1 where the processor's CRC32C instruction is used by what is compiled."""
    return 0


def crc(data: bytes | bytearray, start: int, size: int, seed: int) -> int:
    """CRC32C of `size` bytes from `start`, going on from `seed`."""
    return crc32c(memoryview(data)[start : start + size], seed)


def crc_copy(to: bytearray, at: int, data: bytes, start: int, size: int, seed: int) -> int:
    """The same, while copying those bytes to `at` in `to`."""
    to[at : at + size] = data[start : start + size]
    return crc32c(memoryview(data)[start : start + size], seed)


def blank(size: int) -> bytearray:
    """Room for `size` bytes, to be filled in full."""
    return bytearray(size)


def finished(filled: bytearray) -> bytes:
    """What `blank` gave, filled, as bytes."""
    return bytes(filled)
