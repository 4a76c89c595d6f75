"""Turns a pattern of RE2 into one for the pass over raw bytes, which matches at least where that one does.

The two letters that are not ASCII and that RE2 takes for k and s in any case are a trap for all patterns.

It is without anchors and word boundaries; a character is the bytes that UTF-8 has for it, or what JSON may escape it
with.
What cannot be turned is said so (None): then every text is looked at.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

import re2

from tracekeeper_sidecar.process.redact.prefilter_shapes import letters

_BEYOND: Final = rb"[\xc2-\xf4][\x80-\xbf]{1,3}"
"""Any character that is not ASCII, and now and then two."""
_ESCAPED: Final = rb"(?:\\+u[0-9A-Fa-f]{4}){1,2}"
_SHORT: Final = rb"\\+[\"\\/bfnrt]"
_WITH_SHORT: Final = frozenset(b'"\\/\b\f\n\r\t')
_WITH_LONG: Final = frozenset((*range(32), 127, *b"&'<>"))
"""What writers of JSON escape by number; other ASCII that is written so is a trap for all patterns."""
_MOST_REPEATS: Final = 64
_MOST_BYTES: Final = 1_000
"""Of a pattern's beginning: what is long is looked for by that. Where it begins, all of it may be."""
_MOST_IN_ALL: Final = 12_000
"""Hyperscan takes 16,000 in one pattern."""


class _Item(NamedTuple):
    pattern: bytes
    least: int
    most: int
    """-1: without end."""


class _CannotTurnError(Exception):
    pass


@lru_cache(256)
def superset(pattern: str, any_case: bool = False) -> bytes | None:
    """The pattern to look for; None where there is none. `pattern` is known to compile."""
    reader = _Reader(pattern, "i" if any_case else "")
    try:
        found = reader.alternation(top=True)
        if reader.at != len(pattern):
            return None
    except (_CannotTurnError, IndexError):
        return None
    return found if 0 < len(found) <= _MOST_IN_ALL else None


class _Reader:
    def __init__(self, pattern: str, flags: str) -> None:
        self._pattern = pattern
        self._flags = flags
        self.at = 0

    def alternation(self, top: bool = False) -> bytes:
        flags = self._flags
        branches = [self._branch(top)]
        while self._peek() == "|":
            self.at += 1
            branches.append(self._branch(top))
        self._flags = flags
        if top and b"" in branches:
            raise _CannotTurnError
        return b"|".join(branches)

    def _branch(self, top: bool) -> bytes:
        items: list[_Item] = []
        while self.at < len(self._pattern) and self._peek() not in "|)":
            atom = self._atom()
            least, most = self._repeat()
            if atom:
                items.append(_Item(atom, least, most))
        if top:
            items = _beginning(items)
            # Where a match ends is told for each end: the first is enough.
            while items and items[-1].least == 0:
                items.pop()
            if items:
                items[-1] = items[-1]._replace(most=items[-1].least)
        return b"".join(map(_written, items))

    def _peek(self) -> str:
        return self._pattern[self.at : self.at + 1]

    def _atom(self) -> bytes:
        """The next one; empty where it takes up no text."""
        begin = self.at
        first = self._pattern[begin]
        self.at += 1
        if first in "^$":
            return b""
        if first == "(":
            return self._group()
        if first == "[":
            self._skip_class()
        elif first == "\\":
            second = self._pattern[self.at]
            self.at += 1
            if second in "bBAz":
                return b""
            if second in "QEC":
                raise _CannotTurnError
            if second in "pPx" and self._peek() == "{":
                self.at = self._pattern.index("}", self.at) + 1
            elif second in "pP":
                self.at += 1
            elif second == "x":
                self.at += 2
            elif second in "01234567":
                while self._peek() and self._peek() in "01234567" and self.at - begin < 4:
                    self.at += 1
        return _character(self._pattern[begin : self.at], self._flags)

    def _skip_class(self) -> None:
        if self._peek() == "^":
            self.at += 1
        if self._peek() == "]":
            self.at += 1
        while self._pattern[self.at] != "]":
            if self._pattern[self.at] == "\\":
                self.at += 2
            elif self._pattern.startswith("[:", self.at):
                self.at = self._pattern.index(":]", self.at) + 2
            else:
                self.at += 1
        self.at += 1

    def _group(self) -> bytes:
        flags = self._flags
        if self._peek() == "?":
            self.at += 1
            if self._peek() == "P" or self._peek() == "<":
                self.at = self._pattern.index(">", self.at) + 1
            else:
                on = True
                while self._peek() not in ":)":
                    letter = self._pattern[self.at]
                    self.at += 1
                    if letter == "-":
                        on = False
                    elif letter in "is":
                        self._flags = self._flags.replace(letter, "") + (letter if on else "")
                if self._pattern[self.at] == ")":
                    self.at += 1
                    return b""  # From here on.
                self.at += 1
        inner = self.alternation()
        if self._pattern[self.at] != ")":
            raise _CannotTurnError
        self.at += 1
        self._flags = flags
        return b"(?:" + inner + b")" if inner else b""

    def _repeat(self) -> tuple[int, int]:
        least, most = 1, 1
        sign = self._peek()
        if sign and sign in "*+?":
            self.at += 1
            least, most = {"*": (0, -1), "+": (1, -1), "?": (0, 1)}[sign]
        elif sign == "{":
            close = self._pattern.find("}", self.at)
            low, comma, high = self._pattern[self.at + 1 : close].partition(",")
            if close < 0 or not low.isdigit() or (high and not high.isdigit()):
                return 1, 1  # It is a brace, and will be read as one.
            self.at = close + 1
            least = int(low)
            most = int(high) if high else -1 if comma else least
            if max(least, most) > _MOST_REPEATS:
                least, most = min(least, _MOST_REPEATS), -1
        else:
            return 1, 1
        if self._peek() == "?":
            self.at += 1
        if self._peek() and self._peek() in "*+?":
            raise _CannotTurnError
        return least, most


def _written(item: _Item) -> bytes:
    if item.least == item.most == 1:
        return item.pattern
    if item.most < 0:
        return item.pattern + {0: b"*", 1: b"+"}.get(item.least, b"{%d,}" % item.least)
    return item.pattern + (b"{%d}" % item.least if item.least == item.most else b"{%d,%d}" % (item.least, item.most))


@lru_cache(1024)
def _character(written: str, flags: str) -> bytes:
    """A character, or any of a class, as it may stand in raw bytes."""
    known = re2.compile((f"(?{flags})" if flags else "") + ("\\{" if written == "{" else written))
    ascii_ones = bytes(code for code in range(128) if known.fullmatch(chr(code)) is not None)
    sure = written.isascii() and written not in (".",) and not written.startswith("[^")
    sure = sure and not any(each in written for each in ("\\p", "\\P", "\\W", "\\D", "\\S", "\\x", "[:^"))
    forms = []
    if ascii_ones:
        forms.append(b"[" + letters(ascii_ones) + b"]")
    if not sure:
        forms += [_BEYOND, _ESCAPED, _SHORT]
    else:
        if _WITH_SHORT.intersection(ascii_ones):
            forms.append(_SHORT)
        if (_WITH_LONG | {0x22, 0x2F, 0x5C}).intersection(ascii_ones):
            forms.append(_ESCAPED)
    if len(written) == 1 and not written.isascii() and "i" not in flags:
        forms = [letters(written.encode()), _ESCAPED]
    return forms[0] if len(forms) == 1 and forms[0].startswith(b"[") else b"(?:" + b"|".join(forms) + b")"


def _beginning(items: list[_Item]) -> list[_Item]:
    """So many of the items, from the first on, as are not too long, and enough to match something."""
    size = 0
    definite = False
    for number, item in enumerate(items):
        size += len(item.pattern) + 8
        if definite and size > _MOST_BYTES:
            return items[:number]
        definite = definite or item.least > 0
    return items
