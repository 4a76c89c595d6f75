"""What keys name in texts that Python has made of its dictionaries (`str`, `repr`), which agents' logs are full of:
with single quotes. Linear on any text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

_KEY: Final = re.compile(rb"[{,]\s*+'([^'\"\\]{1,256}+)'\s*+:\s*+")
_TEXT: Final = re.compile(rb"[bBrRuU]?(?:'([^'\\]*+(?:\\.[^'\\]*+)*+)'?|\"([^\"\\]*+(?:\\.[^\"\\]*+)*+)\"?)", re.DOTALL)
_SCALAR: Final = re.compile(rb"[^\s,\[\]{}()'\"]++")
_BRACKET: Final = re.compile(rb"[\[\]{}()]|'[^'\\]*+(?:\\.[^'\\]*+)*+'?|\"[^\"\\]*+(?:\\.[^\"\\]*+)*+\"?", re.DOTALL)


class Named(NamedTuple):
    """Where the value of a key is; of a text what is between its quotes."""

    why: str
    """What was said of the key."""
    begin: int
    end: int
    is_text: bool


def named(text: bytes, low: int, high: int, judge: Callable[[bytes, int], str]) -> Iterator[Named]:
    """The values of dictionaries in [low, high) of whose keys, which begin at the second, `judge` says something; those
    within one another only once."""
    at = low
    while (found := _KEY.search(text, at, high)) is not None:
        at = found.end()
        if not (why := judge(found[1], found.start(1))):
            continue
        if (string := _TEXT.match(text, at, high)) is not None:
            begin, end = string.span(1) if string[1] is not None else string.span(2)
            yield Named(why, begin, end, True)
            at = string.end()
        else:
            scalar = _SCALAR.match(text, at, high)
            begin, at = at, scalar.end() if scalar is not None else _closing(text, at, high)
            yield Named(why, begin, at, False)


def _closing(text: bytes, at: int, high: int) -> int:
    """Where the bracket at `at` is closed; `high`, if it is not. Where there is none: there."""
    if text[at : at + 1] not in (b"[", b"{", b"("):
        return at
    depth = 0
    for each in _BRACKET.finditer(text, at, high):
        sign = text[each.start()]
        if sign in b"'\"":
            continue
        depth += 1 if sign in b"[{(" else -1
        if depth == 0:
            return each.end()
    return high
