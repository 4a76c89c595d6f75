"""The words of PromQL that somebody wrote, each with its place: those of Prometheus 2.42 (promql/parser/lex.go), less
what later versions or other parsers read otherwise (comments, backticks, escapes of codes, octal numbers).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from tracekeeper_spec.condition.problem import Unreadable


class Kind(StrEnum):
    NAME = "name"
    NUMBER = "number"
    DURATION = "duration"
    TEXT = "text"
    SIGN = "sign"
    END = "end"


@dataclass(frozen=True, slots=True)
class Token:
    kind: Kind
    text: str
    """As it was written."""
    at: int
    value: str = ""
    """Of TEXT, the characters."""
    seconds: float = 0.0
    """Of DURATION."""

    @property
    def end(self) -> int:
        return self.at + len(self.text)


_TOKEN = re.compile(
    r"""(?P<space>[ \t\n\r]+)
    |(?P<duration>(?:[0-9]+(?:ms|[smhdwy]))+)(?![A-Za-z0-9_.])
    |(?P<number>0[xX][0-9a-fA-F]+|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)(?![A-Za-z0-9_.:])
    |(?P<name>[A-Za-z_][A-Za-z0-9_:]*)
    |(?P<sign>=~|!~|==|!=|<=|>=|[-+*/%^<>=(){}\[\],:])""",
    re.VERBOSE | re.ASCII,
)
_DURATION = re.compile(
    r"(?:([0-9]+)y)?(?:([0-9]+)w)?(?:([0-9]+)d)?(?:([0-9]+)h)?(?:([0-9]+)m)?(?:([0-9]+)s)?(?:([0-9]+)ms)?", re.ASCII
)
_SCALES = (31_536_000.0, 604_800.0, 86_400.0, 3600.0, 60.0, 1.0, 0.001)
LONGEST = 31_536_000.0
"""Seconds."""
_ESCAPES = {"\\": "\\", "n": "\n"}
_HINTS = {
    "#": ("comments are not taken", "leave it out"),
    "`": ("texts in backticks are not taken", 'write "…", and two backslashes for one'),
    "@": ("@ is not taken", "a rule is about now; offset looks back"),
    "&": ("& means nothing here", "write and"),
    "|": ("| means nothing here", "write or"),
    "!": ("! means nothing here", "write != or !~, or unless"),
    "$": ("$ means nothing here", "there are no variables"),
}


def tokens(text: str) -> Iterator[Token]:
    """The tokens of `text`, END last; raises Unreadable."""
    at = 0
    while at < len(text):
        if text[at] in "\"'":
            token = _text(text, at)
            yield token
            at = token.end
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
    if kind is Kind.NAME and text.lower() in ("inf", "nan"):
        return Token(Kind.NUMBER, text, at)
    if kind is Kind.NUMBER and re.match(r"0[0-9eE]", text):
        raise Unreadable(at, "a number that begins with 0 is read in two ways", "leave the 0 out")
    if kind is Kind.NUMBER and re.fullmatch(r"0[xX].{16,}", text):
        raise Unreadable(at, "is too large a number")
    if kind is not Kind.DURATION:
        return Token(kind, text, at)
    parts = _DURATION.fullmatch(text)
    if parts is None:
        raise Unreadable(at, f"{text[:20]} is not a duration", "units come in this order, each once: 1d12h, 1h30m")
    seconds = sum(int(part or 0) * scale for part, scale in zip(parts.groups(), _SCALES, strict=True))
    if not 0 < seconds <= LONGEST:
        raise Unreadable(at, "a duration must be more than 0, and at most 1y")
    return Token(kind, text, at, seconds=seconds)


def _stranger(text: str, at: int) -> Unreadable:
    char = text[at]
    if char in _HINTS:
        return Unreadable(at, *_HINTS[char])
    if char.isascii() and (char.isdigit() or char == "."):
        word = re.compile(r"[A-Za-z0-9_.:]+").match(text, at)
        shown = word.group()[:20] if word else char
        return Unreadable(at, f"{shown} is neither a number nor a duration")
    return Unreadable(at, f"{char!r} means nothing here", "texts are in quotes")


def _text(text: str, begin: int) -> Token:
    """The quoted text that begins at `begin`."""
    quote, at = text[begin], begin + 1
    chars: list[str] = []
    while at < len(text) and text[at] not in (quote, "\n"):
        char = text[at]
        if 0xD800 <= ord(char) < 0xE000:
            raise Unreadable(at, "the text holds half a character", "write it anew")
        if char == "\\":
            escaped = text[at + 1 : at + 2]
            if escaped != quote and escaped not in _ESCAPES:
                hint = 'for a backslash write two: =~"a\\\\.b"'
                raise Unreadable(at, f"\\{escaped} is no escape that is taken", hint)
            char, at = _ESCAPES.get(escaped, escaped), at + 1
        chars.append(char)
        at += 1
    if at >= len(text) or text[at] == "\n":
        raise Unreadable(begin, f"the text that begins here has no end: a {quote} is missing")
    return Token(Kind.TEXT, text[begin : at + 1], begin, "".join(chars))
