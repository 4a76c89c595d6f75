"""Commits, windows and tails at random for the log's compiled modules: no byte beyond what they were given is touched.

python tests/log_fuzz.py --seconds 10 [--seed 0]        (scripts/asan.sh does it under AddressSanitizer)
"""

from __future__ import annotations

import argparse
import random
import time

from tracekeeper_sidecar.log import codec
from tracekeeper_sidecar.log.codec import encode, gather
from tracekeeper_sidecar.log.record import HEADER_SIZE, seed_of
from tracekeeper_sidecar.log.tail import Tail

SEED = seed_of(7)
FAR = 1 << 60
Append = tuple[bytes, int, int, None]


def commit(chance: random.Random) -> list[Append]:
    """Appends of sizes around those at which something changes."""
    sizes = [0, 1, 7, 8, 9, 255, 256, 767, 768, 769, 12_287, 12_288, 12_289, chance.randrange(40_000)]
    return [
        (chance.randbytes(chance.choice(sizes)), chance.randrange(1, 600), chance.randrange(2), None)
        for _ in range(chance.randrange(1, 12))
    ]


def try_codec(chance: random.Random, appends: list[Append]) -> None:
    """What was framed is found again; damaged, cut and shifted windows give nothing but whole frames of it."""
    whole = encode(appends, 0, FAR, SEED, 9, 5)
    room = chance.randrange(whole.size + 1)
    some = encode(appends, chance.randrange(len(appends) + 1), room, SEED, 9, 5)
    assert some.size == sum(map(len, some.buffers)) <= room
    window = b"".join(whole.buffers)
    found = gather(window, 0, SEED, 9, FAR, FAR, FAR, 1)
    assert found is not None
    assert found.body == b"".join(append[0] for append in appends)
    for _ in range(8):
        damaged = bytearray(window)
        for _ in range(chance.randrange(3)):
            at = chance.randrange(len(damaged))
            # Lengths are what a reader must never believe.
            damaged[min(len(damaged) - 1, at // 50 * 50 + 4 + chance.randrange(4))] = chance.randrange(256)
            damaged[at] = chance.randrange(256)
        cut = bytes(damaged[: chance.randrange(len(damaged) + 1)])
        start = chance.choice([0, 0, chance.randrange(len(cut) + 1)])
        limits = chance.choice([FAR, 600]), chance.choice([FAR, 20_000])
        run = gather(cut, start, SEED, 9, FAR, *limits, chance.randrange(2))
        assert run is None or len(run.body) == run.end - start - HEADER_SIZE * run.frames


def try_tail(chance: random.Random, commits: list[list[Append]]) -> None:
    """Whatever is asked of a tail, it gives frames that it was given, or none."""
    tail = Tail(chance.choice([0, 1000, 100_000, 1 << 30]))
    given: dict[int, bytes] = {}
    seq = 0
    for appends in commits:
        tail.keep(list(appends), chance.randrange(1 << 40), 64, seq, 5)
        for payload, spans, _, _ in appends:
            given[seq] = payload
            seq += spans
        for _ in range(4):
            at = chance.choice([chance.choice(list(given)), chance.randrange(seq + 2)])
            taken = tail.take(at, chance.choice([1, 600, FAR]), chance.choice([1, 20_000, FAR]))
            assert taken is None or taken.payloads[0] == given[at]
            assert taken is None or taken.body() == b"".join(taken.payloads)
    if chance.random() < 0.1:
        tail.clear()


def main() -> None:
    """Go on for so many seconds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    end = time.monotonic() + options.seconds
    rounds = 0
    while time.monotonic() < end or not rounds:
        codec.choose(bool(rounds % 2))
        commits = [commit(chance) for _ in range(4)]
        for appends in commits:
            try_codec(chance, appends)
        try_tail(chance, commits)
        rounds += 1
    print(f"log: {4 * rounds} commits framed, found again, damaged and kept")


if __name__ == "__main__":
    main()
