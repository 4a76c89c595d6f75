"""Bytes right and wrong, and calls in any order, for the glue to libnghttp2: it must neither crash nor forget a byte.

python tests/h2_fuzz.py --seconds 10 [--seed 0]        (scripts/asan.sh does it under AddressSanitizer)
"""

from __future__ import annotations

import argparse
import random
import struct
import time
from collections.abc import Mapping
from types import MappingProxyType

from hpack import Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from raw_grpc import HEADERS, PREFACE, message
from tracekeeper_sidecar.receive.admission import Admission
from tracekeeper_sidecar.receive.h2 import session
from tracekeeper_sidecar.receive.h2.session import Session

OVERHEAD = 100
REJECTION = [(b":status", b"200"), (b"grpc-status", b"14"), (b"grpc-message", b"no")]
NOTHING: Mapping[str, str] = MappingProxyType({})


class Rig:
    """A session and what it borrows from; feeds copies, so that nothing depends on the buffer afterwards."""

    def __init__(self, limit: int = 1 << 30, *, greet: bool = True) -> None:
        self.admission = Admission(limit)
        self.session = Session(
            self.admission,
            overhead=OVERHEAD,
            most=100_000,
            most_metadata=4096,
            most_streams=50,
            stream_window=1 << 20,
            window=1 << 20,
        )
        self.encoder = Encoder()
        self.now = 0.0
        if greet:
            self.feed(PREFACE, SettingsFrame(0))

    def feed(self, *sent: Frame | bytes) -> bool:
        data = bytearray(b"".join(each if isinstance(each, bytes) else each.serialize() for each in sent))
        return self.session.feed(data, len(data), self.now)

    def headers(
        self, stream: int, flags: tuple[str, ...] = ("END_HEADERS",), more: Mapping[str, str] = NOTHING
    ) -> HeadersFrame:
        fields = [*HEADERS.items(), *more.items()]
        return HeadersFrame(stream, self.encoder.encode(fields), flags=flags)

    def call(self, stream: int, body: bytes, more: Mapping[str, str] = NOTHING) -> bool:
        return self.feed(self.headers(stream, more=more), DataFrame(stream, message(body), flags=["END_STREAM"]))

    def pull(self) -> bytes:
        out = []
        while data := self.session.pull():
            out.append(data)
        return b"".join(out)

    def give_back(self) -> None:
        """What whoever takes from `ready` does."""
        for _, _, held, _ in self.session.ready:
            self.admission.release(held)
        self.session.ready.clear()
        self.session.refused.clear()


def frames(chance: random.Random, rig: Rig) -> list[bytes]:
    """Some frames, right or wrong, as a client might send them."""
    made: list[bytes] = []
    for _ in range(chance.randint(1, 12)):
        stream = chance.choice([1, 1, 3, 5, 7, 9, 0, 2])
        body = message(chance.randbytes(chance.choice([0, 1, 50, 3000])), flag=chance.choice([0, 0, 0, 1, 2]))
        ended = chance.choice([[], ["END_STREAM"]])
        kind = chance.randrange(12)
        if kind < 3 and stream:
            made.append(rig.headers(stream, flags=("END_HEADERS", *ended)).serialize())
        elif kind < 6 and stream:
            made.append(DataFrame(stream, body[: chance.randint(0, len(body))], flags=ended).serialize())
        elif kind == 6 and stream:
            made.append(rig.headers(stream).serialize() + DataFrame(stream, body, flags=["END_STREAM"]).serialize())
        elif kind == 7 and stream:
            made.append(RstStreamFrame(stream, chance.randrange(14)).serialize())
        elif kind == 8:
            settings = {chance.randint(1, 6): chance.choice([0, 1, 65535, 2**31 - 1])}
            made.append(SettingsFrame(0, settings).serialize())
        elif kind == 9:
            made.append(WindowUpdateFrame(stream, chance.choice([1, 65535, 2**31 - 1])).serialize())
        elif kind == 10 and stream:
            made.append(ContinuationFrame(stream, chance.randbytes(5), flags=["END_HEADERS"]).serialize())
        else:
            other = (PingFrame(0, b"12345678"), GoAwayFrame(0, 1, 0), PriorityFrame(stream or 1, depends_on=0))
            made.append(chance.choice(other).serialize())
    return made


def spoil(chance: random.Random, sent: bytearray) -> None:
    """Change some bytes, or the length of a frame, or cut the end off."""
    for _ in range(chance.choice([0, 0, 1, 3])):
        if sent:
            sent[chance.randrange(len(sent))] = chance.randrange(256)
    if chance.random() < 0.1:
        del sent[chance.randint(0, len(sent)) :]
    if chance.random() < 0.1:
        sent[:0] = struct.pack(">I", chance.randrange(1 << 24))[1:] + chance.randbytes(6)


def act(chance: random.Random, rig: Rig) -> None:
    """What the rest of the receiver does, at any moment."""
    for number, _, _, _ in rig.session.ready:
        action = chance.randrange(4)
        if action == 0:
            rig.session.accept(number)
        elif action == 1:
            rig.session.reject(number, REJECTION)
        elif action == 2:
            rig.session.reject(number, REJECTION[:1], b"text" * chance.choice([1, 9000]))
    for number, _, _ in rig.session.refused:
        rig.session.reject(number, REJECTION)
    rig.give_back()
    other = chance.randrange(8)
    if other == 0:
        rig.now += chance.choice([0.1, 20])
        rig.session.sweep(rig.now, 10, 5)
    elif other == 1:
        rig.session.ping()
    elif other == 2 and chance.random() < 0.2:
        rig.session.announce_end()
    elif other == 3 and chance.random() < 0.2:
        rig.session.end()
    elif other == 4 and chance.random() < 0.05:
        rig.session.close()
    if chance.random() < 0.7:
        rig.session.pull()


def exercise(seed: int) -> None:
    """One connection's life. Fails when a byte of the admission is forgotten."""
    chance = random.Random(seed)
    rig = Rig(limit=chance.choice([300, 5000, 1 << 30]), greet=chance.random() < 0.95)
    for _ in range(chance.randint(1, 6)):
        sent = bytearray(b"".join(frames(chance, rig)))
        spoil(chance, sent)
        while sent:
            cut = chance.randint(1, len(sent))
            rig.session.feed(sent[:cut], cut, rig.now)
            del sent[:cut]
            act(chance, rig)
    rig.give_back()
    rig.session.close()
    rig.give_back()
    assert rig.admission.in_flight == 0, f"seed {seed}"
    assert rig.session.streams == 0, f"seed {seed}"


def main() -> None:
    """Live as many lives as fit into the time."""
    parser = argparse.ArgumentParser(description="bytes and calls in any order, for the glue to libnghttp2")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    seed, end = options.seed, time.monotonic() + options.seconds
    while time.monotonic() < end:
        exercise(seed)
        seed += 1
    print(f"{seed - options.seed} connections lived, in {session.__file__}")


if __name__ == "__main__":
    main()
