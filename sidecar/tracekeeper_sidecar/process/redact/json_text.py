"""JSON in texts, also where it is cut off or stands within prose: its strings, and what its keys name. Linear on any
text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

_STRING: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+\\?"?', re.DOTALL)
_BEGINS: Final = re.compile(rb"\"\s*+[{\[]\s*+\\++\"|[{\[]\s*+(?:\\*+\"|[{\[](?!\s*+')|-?[0-9])")
"""Also JSON that is a string itself, or was one before its quotes were lost."""
_WHOLE: Final = re.compile(rb"\s*+(?:\"|(?:[{\[]\s*+)++(?!'))")
_COLON: Final = re.compile(rb"\s*+:\s*+")
_SCALAR: Final = re.compile(rb'[^\s,\[\]{}:"]++')
_BRACKET: Final = re.compile(rb'[\[\]{}]|"[^"\\]*+(?:\\.[^"\\]*+)*+\\?"?', re.DOTALL)
_ESCAPE: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_SHORT: Final = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_STRUCTURE: Final = b" \t\r\n,[]{}:"


class String(NamedTuple):
    """A string in JSON: what stands between its quotes is [begin, end)."""

    opens: int
    """Where what belongs to it begins: its opening quote."""
    begin: int
    end: int
    after: int
    """One past its closing quote."""
    value: int
    """Of a key: where what it names begins; else -1."""


def begins(text: bytes) -> int:
    """Where JSON begins in `text`; -1: there is none."""
    if _WHOLE.match(text) is not None:
        return 0
    found = _BEGINS.search(text)
    return found.start() if found is not None else -1


def strings(text: bytes, at: int) -> Iterator[String]:
    """The strings from `at` on. Where a quote outside of all strings is escaped, what it is in was a string itself: all
    of that, from the bracket before it on, is given as one, and what ends it may begin another."""
    outside = at
    while (found := _STRING.search(text, at)) is not None:
        begin, after = found.start() + 1, found.end()
        end = after - 1 if after - begin >= 1 and text[after - 1] == 0x22 and _closes(text, begin, after) else after
        first = _unescaped(text, begin - 1, outside)
        if first < begin - 1:
            yield String(first, first, end, end, -1)
            at = outside = max(end, begin)
            continue
        colon = _COLON.match(text, after)
        yield String(begin - 1, begin, end, after, colon.end() if colon is not None else -1)
        at = outside = after


def _unescaped(text: bytes, quote: int, low: int) -> int:
    """Where what was a string begins to which the escaped quote belongs; the quote itself, if it is not escaped."""
    at = quote
    while at > low and text[at - 1] == 0x5C:
        at -= 1
    if (quote - at) % 2 == 0:
        return quote
    before = at
    while before > low and text[before - 1] in b" \t\r\n":
        before -= 1
    return before - 1 if before > low and text[before - 1] in b"{[" else at


def _closes(text: bytes, begin: int, after: int) -> bool:
    """Whether the quote before `after` is not an escaped one at the end of a text that is cut off."""
    at = after - 2
    while at >= begin and text[at] == 0x5C:
        at -= 1
    return (after - 2 - at) % 2 == 0


def value_end(text: bytes, at: int) -> int:
    """Where the value at `at` ends, which is no string: the end of a number or word, or of all between brackets."""
    if at >= len(text):
        return at
    if text[at] not in b"[{":
        found = _SCALAR.match(text, at)
        return found.end() if found is not None else at
    depth = 0
    for each in _BRACKET.finditer(text, at):
        sign = text[each.start()]
        if sign == 0x22:
            continue
        depth += 1 if sign in b"[{" else -1
        if depth == 0:
            return each.end()
    return len(text)


def word_around(text: bytes, begin: int, end: int, low: int, high: int) -> tuple[int, int]:
    """The numbers or words that [begin, end) is in, within [low, high)."""
    while begin > low and text[begin - 1] not in _STRUCTURE:
        begin -= 1
    while end < high and text[end] not in _STRUCTURE:
        end += 1
    return begin, end


def decoded(text: bytes) -> bytes:
    """What a string means of which this stands between the quotes, also if it is cut off or has escapes that do not
    exist.
    What is no character (half of a pair) is as Python has it."""
    try:
        found = json.loads(b'"' + text + b'"', strict=False)
    except ValueError:
        return _ESCAPE.sub(_one, text.decode(errors="replace")).encode(errors="surrogatepass")
    return str(found).encode(errors="surrogatepass")


def _one(escape: re.Match[str]) -> str:
    if escape[1]:
        return chr(int(escape[1], 16))
    # No library reads an escape that does not exist as the letter alone.
    return _SHORT.get(escape[2], escape[0])


def encoded(text: bytes, only_ascii: bool) -> bytes:
    """What stands between the quotes of a string that means `text`."""
    return json.dumps(text.decode(errors="surrogatepass"), ensure_ascii=only_ascii)[1:-1].encode(errors="surrogatepass")
