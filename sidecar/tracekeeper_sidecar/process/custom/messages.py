"""What the sidecar and the process of a step say to each other over a pair of sockets.

Each message is a head of 22 bytes, big-endian, and what follows it:

    B  what it is        I  size of what follows        I  number of the request
    I  spans dropped     d  CPU seconds of the process so far        B  unused, 0

One request is under way at a time. The process says READY or UNUSABLE (with a sentence) after SETUP, and for each
REQUEST its number with SAME, CHANGED (with the new request) or RAISED (with a sentence).
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final, NamedTuple

HEAD: Final = struct.Struct(">BIIIdB")
MAX_BODY: Final = 96 << 20
"""Bytes: of the largest request that OTLP allows, and half as much again."""
MAX_SENTENCE: Final = 2000
"""Characters of what a class has to say."""


class What(IntEnum):
    SETUP = 1
    """From the sidecar: how to run, as JSON, see `worker.Setup`."""
    REQUEST = 2
    """From the sidecar: a serialised ExportTraceServiceRequest."""
    READY = 3
    UNUSABLE = 4
    SAME = 5
    CHANGED = 6
    RAISED = 7


class Message(NamedTuple):
    what: int
    number: int
    dropped: int
    cpu: float
    body: bytes


def pack(what: What, body: bytes = b"", number: int = 0, dropped: int = 0, cpu: float = 0.0) -> bytes:
    """The message as it goes over the socket."""
    return HEAD.pack(what, len(body), number, dropped, cpu, 0) + body


class Garbage(Exception):
    """What came is no message."""


class Unpacker:
    """Puts messages together from pieces of any size."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> Message | None:
        """Takes what came. Returns a message when one is complete; there is one at a time.

        Raises:
            Garbage: It is none, or is too large, or more comes behind it.
        """
        self._held += data
        if len(self._held) < HEAD.size:
            return None
        what, size, number, dropped, cpu, zero = HEAD.unpack_from(self._held)
        if zero or what not in set(What) or size > MAX_BODY or len(self._held) > HEAD.size + size:
            raise Garbage
        if len(self._held) < HEAD.size + size:
            return None
        body = bytes(memoryview(self._held)[HEAD.size :])
        self._held = bytearray()
        return Message(what, number, dropped, cpu, body)
