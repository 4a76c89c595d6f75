"""Texts that are made up to be taken for others, where tables know them by 64 bits alone."""

from __future__ import annotations

import random

SEEDS = [random.Random(number).getrandbits(64) for number in range(60)]
"""So many that what happens to one in two happens here."""


def twin(text: str, *flipped: tuple[int, int]) -> str:
    """The same with these bits of its bytes flipped: in a word those that multiplying cannot spread, and in the next
    what has become of them by then."""
    made = bytearray(text.encode())
    for place, bits in flipped or ((0, 0x40), (8, 0x40), (12, 0x40)):
        made[place] ^= bits
    return made.decode()
