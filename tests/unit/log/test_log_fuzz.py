"""The log's compiled modules on random commits; scripts/asan.sh runs the same for longer, under AddressSanitizer."""

from __future__ import annotations

import random

import log_fuzz
from tracekeeper_sidecar.log import codec

ROUNDS = 60


def test_random_commits_are_framed_found_again_damaged_and_kept() -> None:
    chance = random.Random(3)
    for turn in range(ROUNDS):
        codec.choose(bool(turn % 2))
        commits = [log_fuzz.commit(chance) for _ in range(4)]
        for appends in commits:
            log_fuzz.try_codec(chance, appends)
        log_fuzz.try_tail(chance, commits)
    codec.choose(True)
    print(f"{4 * ROUNDS} random commits")
