"""Keys that are made up to be taken for others."""

from __future__ import annotations

import pytest

import normalize_world as world
from crafted_names import SEEDS, twin
from tracekeeper_sidecar.wire.normalize import Normalizer
from tracekeeper_sidecar.wire.normalize_answers import Answers
from tracekeeper_sidecar.wire.normalize_repeats import Repeats
from tracekeeper_sidecar.wire.normalize_usage import Usage

FLIPPED = ((7, 0x40), (4, 0x02), (0, 0x10), (15, 0x40), (11, 0x40))


@pytest.mark.parametrize(
    "key", ["gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "llm.token_count.completion"]
)
def test_no_other_key_is_judged_in_place_of_one(key: str) -> None:
    not_judged = []
    other = twin(key, *FLIPPED)
    for seed in SEEDS:
        asked: list[bytes] = []

        def judge(said: bytes, into: list[bytes] = asked) -> int:
            into.append(said)
            return 0

        by = Normalizer(judge, Repeats(Usage(), Answers(), seed))
        for each in (other, key):
            by.look(world.body(world.Told({each: 5})))
        if len(asked) != 2:
            not_judged.append(seed)
    assert not_judged == []
