"""The words of a condition. The syntax is CEL's (github.com/google/cel-spec), less macros, plus durations."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from tracekeeper_spec.condition.problem import Unreadable


class Kind(StrEnum):
    NAME = "name"
    TEXT = "text"
    INTEGER = "integer"
    DECIMAL = "decimal"
    DURATION = "duration"
    SIGN = "sign"
    END = "end"


@dataclass(frozen=True, slots=True)
class Token:
    kind: Kind
    text: str
    """As it was written."""
    at: int
    value: str | int | float = ""
    """Of TEXT the characters, of INTEGER, DECIMAL the number, of DURATION nanoseconds."""


_DURATION = r"(?:[0-9]+(?:h|ms|m|s))+"
_TOKEN = re.compile(
    rf"""(?P<space>\s+)
    |(?P<duration>{_DURATION})(?![A-Za-z0-9_.])
    |(?P<decimal>[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+)(?![A-Za-z0-9_])
    |(?P<integer>0[xX][0-9a-fA-F]+|[0-9]+)(?![A-Za-z0-9_.])
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<sign>\|\||&&|==|!=|<=|>=|[-!<>+*/%?:.,()\[\]{{}}])""",
    re.VERBOSE,
)
_UNITS = {"h": 3_600_000_000_000, "m": 60_000_000_000, "s": 1_000_000_000, "ms": 1_000_000}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"', "'": "'", "`": "`", "?": "?", "a": "\a", "b": "\b"}
_ESCAPES |= {"f": "\f", "v": "\v"}
_CODES = {"x": 2, "u": 4, "U": 8}
_HINTS = {"=": "write == to compare", "&": "write && for and", "|": "write || for or", ";": "remove it"}
MOST = 2**63 - 1
"""Integers and nanoseconds have 64 bits."""


def tokens(text: str) -> Iterator[Token]:
    """The tokens of `text`, END last; raises Unreadable."""
    at = 0
    while at < len(text):
        quote = re.compile(r"[rR]?[\"']").match(text, at)
        if quote is not None:
            token, at = _text(text, at, quote.group())
            yield token
            continue
        found = _TOKEN.match(text, at)
        if found is None:
            raise _stranger(text, at)
        if found.lastgroup != "space":
            yield _token(str(found.lastgroup), found.group(), at)
        at = found.end()
    yield Token(Kind.END, "", len(text))


def _token(group: str, text: str, at: int) -> Token:
    kind = Kind(group)
    value: int | float | str = text
    if kind is Kind.INTEGER:
        value = int(text, 16) if text[:2] in ("0x", "0X") else int(text)
    elif kind is Kind.DECIMAL:
        value = float(text)
    elif kind is Kind.DURATION:
        value = sum(int(count) * _UNITS[unit] for count, unit in re.findall(r"([0-9]+)(h|ms|m|s)", text))
    if isinstance(value, int) and value > MOST:
        raise Unreadable(at, "is too large a number: 64 bits hold it all")
    return Token(kind, text, at, value)


def _stranger(text: str, at: int) -> Unreadable:
    char = text[at]
    if char.isdigit():
        word = re.compile(r"[A-Za-z0-9_.]+").match(text, at)
        problem = f"{word.group()[:20] if word else char} is neither a number nor a duration"
        return Unreadable(at, problem, "durations are whole numbers with h, m, s or ms: 100ms, 10s, 1h30m")
    return Unreadable(at, f"{char!r} means nothing here", _HINTS.get(char, ""))


def _text(text: str, begin: int, opening: str) -> tuple[Token, int]:
    """The quoted text that begins at `begin`, and the offset behind it."""
    raw, quote = len(opening) == 2, opening[-1]
    at = begin + len(opening)
    chars: list[str] = []
    while at < len(text) and text[at] != quote:
        if text[at] == "\\" and not raw:
            char, at = _escape(text, at)
            chars.append(char)
        else:
            chars.append(text[at])
            at += 1
    if at >= len(text):
        raise Unreadable(begin, f"the text that begins here has no end: a {quote} is missing")
    return Token(Kind.TEXT, text[begin : at + 1], begin, "".join(chars)), at + 1


def _escape(text: str, at: int) -> tuple[str, int]:
    letter = text[at + 1 : at + 2]
    if letter in _ESCAPES:
        return _ESCAPES[letter], at + 2
    digits = text[at + 2 : at + 2 + _CODES.get(letter, 0)]
    if letter in _CODES and re.fullmatch(rf"[0-9a-fA-F]{{{_CODES[letter]}}}", digits):
        code = int(digits, 16)
        if code <= 0x10FFFF and not 0xD800 <= code < 0xE000:
            return chr(code), at + 2 + len(digits)
    raise Unreadable(at, f"\\{letter} is no escape", 'write \\\\ for a backslash, or put r before the text: r"\\d"')
