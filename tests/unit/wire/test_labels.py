"""Marks of texts, which stand for them in tables: no text can be made that has another's."""

from __future__ import annotations

from collections import Counter
from random import Random
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

import otlp_requests
from crafted_names import SEEDS, twin
from tracekeeper_sidecar.wire import labels

NAME = "claude-3-5-sonnet-20241022"
FEW = 3
"""Times that one difference may come up among the seeds: by chance it hardly does twice."""
WORDS = [
    *(1 << bit for bit in range(64)),
    *(3 << bit for bit in range(63)),
    *(1 << 63 | 1 << 63 - shift | 1 << 63 - 2 * shift for shift in (27, 29, 30, 31)),
    1 << 63 | 1 << 31,
    0x4040404040404040,
    2**64 - 1,
]
"""Differences of two words: bits alone and in pairs, and such as shifting and multiplying leave to few bits."""


def mark(text: bytes, seed: int) -> int:
    return labels.marked(text, 0, len(text), seed)


@pytest.mark.parametrize("flipped", [(), ((7, 0x40), (4, 0x02), (0, 0x10), (15, 0x40), (11, 0x40))])
def test_no_other_name_has_the_mark_of_a_name(flipped: tuple[tuple[int, int], ...]) -> None:
    other = twin(NAME, *flipped).encode()
    assert [seed for seed in SEEDS if mark(other, seed) == mark(NAME.encode(), seed)] == []


@pytest.mark.parametrize(("short", "other"), [(b"gpt-4o", b"\0gpt-4n"), (b"a", b"\0b"), (b"gpt-4o1", b"\1gpt-4o1")])
def test_no_short_name_has_the_mark_of_a_longer_one(short: bytes, other: bytes) -> None:
    assert [seed for seed in SEEDS if mark(short, seed) == mark(other, seed)] == []


@pytest.mark.parametrize("size", [8, 16])
@pytest.mark.parametrize("turned", [False, True])
def test_what_two_words_differ_in_tells_nothing_of_what_their_marks_do(size: int, turned: bool) -> None:
    """Else the next word could take it back. Which two words these are is chosen, and only the seed is not known."""
    drawn = Random(size)
    seeds = [drawn.getrandbits(64) for _ in range(1500)]
    word = drawn.getrandbits(64)
    after = NAME.encode()[: size - 8]
    for difference in WORDS:
        one, other = (each.to_bytes(8)[:: -1 if turned else 1] + after for each in (word, word ^ difference))
        ((often, times),) = Counter(mark(one, seed) ^ mark(other, seed) for seed in seeds).most_common(1)
        assert times < FEW, f"{times} of {len(seeds)} seeds take {difference:x} to {often:x}"


@pytest.mark.parametrize("bit", range(8))
def test_marks_of_one_text_in_two_places_have_nothing_in_common(bit: int) -> None:
    """Places have seeds that differ in few bits, and marks of several make one by `^`."""
    drawn = Random(bit)
    found: Counter[int] = Counter()
    for _ in range(1500):
        seed = drawn.getrandbits(64)
        found[mark(b"gpt-4o", seed) ^ mark(bytes([b"g"[0] ^ 1 << bit]) + b"pt-4o", seed ^ 1)] += 1
        found[mark(b"openai", seed) ^ mark(b"openah", seed ^ 1)] += 1
    assert found.most_common(1)[0][1] < FEW


@otlp_requests.property_test
@given(text=st.binary(max_size=40), before=st.binary(max_size=9), seed=st.integers(0, 2**64 - 1))
def test_uncompiled_marks_are_the_same(plain_labels: ModuleType, text: bytes, before: bytes, seed: int) -> None:
    found = plain_labels.marked(before + text + b"after", len(before), len(before) + len(text), seed)
    assert found == mark(text, seed)
