"""What is found in one text by all that a step looks for, and what stands in its place."""

from __future__ import annotations

import hashlib
import hmac
import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final, NamedTuple

import re2

from tracekeeper_sidecar.process.redact import exact
from tracekeeper_sidecar.process.redact.prefilter import NAMES, Aim, name_pattern
from tracekeeper_spec.redact import Action, Redact

logger = logging.getLogger(__name__)

MASK: Final = b"[REDACTED]"
KEYS_LABEL: Final = "Key"
"""In place of a detector: what a key was hidden for."""
NAMES_LABEL: Final = "Names"
CONTENT_LABEL: Final = "MessageContent"
UNKNOWN_LABEL: Final = "UnknownField"
_MARK: Final = exact.compiled(rb"\[(?:REDACTED|sha256:[a-p]{16})\]")
_LOOK: Final = 15
"""After so many keys it is looked at the clock."""
_LETTERS: Final = bytes.maketrans(b"0123456789abcdef", b"abcdefghijklmnop")


class Finding(NamedTuple):
    """Something that nobody may read."""

    begin: int
    end: int
    label: str
    """The detector, the user's name of the pattern, or one of the labels above."""


class Note(NamedTuple):
    """What was done where, for people: never the text."""

    label: str
    why: str
    """The key or the pattern of keys; empty where the label says it."""
    length: int


class Report:
    """What was found in a request."""

    def __init__(self, note: Callable[[Note], None] | None = None) -> None:
        self.values: Counter[str] = Counter()
        """Findings, by label."""
        self._note = note

    def tell(self, label: str, length: int, why: str = "") -> None:
        """One more. `length`: of the text that is hidden, in bytes."""
        self.values[label] += 1
        if self._note is not None:
            self._note(Note(label, why, length))


class Matcher:
    """For one thread at a time."""

    def __init__(self, wish: Redact, hash_key: bytes | None) -> None:
        self.action = wish.action
        self.until = float("inf")
        """When (time.thread_time) it is to give up."""
        self._hash_key = hash_key
        self._detectors = tuple(wish.detectors)
        options = _quiet()
        self._own = [(each.name, re2.compile(each.pattern.encode(), options)) for each in wish.patterns]
        self._names: Any = None
        if wish.names:
            longest_first = sorted(wish.names, key=len, reverse=True)
            either = "|".join(name_pattern(name) for name in longest_first)
            self._names = re2.compile(f"(?i)({either})".encode(), options)
        self._keys = [(text, re2.compile(f"(?i){text}".encode(), options)) for text in wish.key_patterns]
        self._any_key = _either(wish.key_patterns, options)
        self._asked = 0
        self._except = frozenset(key.encode() for key in wish.except_keys)

    def key_pattern(self, key: bytes) -> str:
        """The pattern that says that what this key names is hidden; empty: none does. Raises TooLongError."""
        if key in self._except:
            return ""
        self._asked += 1
        if self._asked & _LOOK == 0:
            self.look_at_clock()
        if self._any_key is not None and self._any_key.search(key) is None:
            return ""
        for text, pattern in self._keys:
            if pattern.search(key) is not None:
                return text
        return ""

    def look_at_clock(self) -> None:
        """Raises TooLongError when it is over."""
        if time.thread_time() > self.until:
            raise exact.TooLongError

    def holds_key(self, text: bytes) -> bool:
        """Whether one of the patterns of keys matches in `text`, which is nobody knows what."""
        return any(pattern.search(text) is not None for _, pattern in self._keys)

    def findings(self, text: bytes, aims: Collection[Aim] | None) -> list[Finding]:
        """What is found, ascending, disjoint, by what is aimed at; None: by everything."""
        found: list[Finding] = []
        for detector in self._detectors:
            if aims is None or detector in aims:
                found.extend(
                    Finding(begin, end, str(detector)) for begin, end in exact.find(detector, text, self.until)
                )
        for name, pattern in self._own:
            if aims is None or name in aims:
                found.extend(Finding(begin, end, name) for begin, end in _spans(pattern, text, self.until))
        if self._names is not None and (aims is None or NAMES in aims):
            found.extend(Finding(begin, end, NAMES_LABEL) for begin, end in _words(self._names, text, self.until))
        if not found:
            return found
        if len(found) > exact.MOST_FINDINGS:
            return [Finding(0, len(text), found[0].label)]
        return _merged(found, text)

    def mask(self, text: bytes) -> bytes:
        """What stands in place of `text`. What has been hidden before stays."""
        if self._hash_key is None or self.action is not Action.HASH:
            return MASK
        if (before := _MARK.fullmatch(text)) is not None:
            return bytes(before.group())
        found = hmac.new(self._hash_key, text, hashlib.sha256).hexdigest()[:16]
        # Letters alone, in which no detector sees a number.
        return b"[sha256:" + found.encode().translate(_LETTERS) + b"]"


def _either(patterns: Sequence[str], options: Any) -> Any:
    """All of the patterns as one, in any case; None where they cannot be."""
    if len(patterns) < 2 or any("\\Q" in pattern for pattern in patterns):
        return None
    try:
        return re2.compile("|".join(f"(?i:{pattern})" for pattern in patterns).encode(), options)
    except re2.error:
        return None  # They are too much together.


def _quiet() -> Any:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 32 << 20
    return options


def _spans(pattern: Any, text: bytes, until: float) -> list[tuple[int, int]]:
    found = []
    for match in pattern.finditer(text):
        begin, end = match.span()
        if begin < end:
            found.append((begin, end))
        if len(found) > exact.MOST_FINDINGS:
            break
        if time.thread_time() > until:
            raise exact.TooLongError
    return found


def _words(pattern: Any, text: bytes, until: float) -> list[tuple[int, int]]:
    """Matches that stand alone: neither in front nor behind is a letter or a digit."""
    found = []
    at = 0
    while (match := pattern.search(text, at)) is not None:
        begin, end = match.span(1)
        if _is_letter(text, begin, -1) or _is_letter(text, end, 1):
            at = begin + 1
            while at < len(text) and text[at] & 0xC0 == 0x80:
                at += 1
        else:
            found.append((begin, end))
            at = end
        if len(found) > exact.MOST_FINDINGS:
            break
        if time.thread_time() > until:
            raise exact.TooLongError
    return found


def _is_letter(text: bytes, at: int, way: int) -> bool:
    """Whether the character before (-1) or behind (1) that place is a letter or a digit."""
    if way < 0:
        begin = at - 1
        while begin > 0 and text[begin] & 0xC0 == 0x80 and at - begin < 4:
            begin -= 1
        part = text[max(begin, 0) : at]
    else:
        end = at + 1
        while end < len(text) and text[end] & 0xC0 == 0x80 and end - at < 4:
            end += 1
        part = text[at:end]
    return part.decode(errors="replace").isalnum()


def _merged(found: list[Finding], text: bytes) -> list[Finding]:
    """Ascending, disjoint: what overlaps is one, and is called by the first; without what is hidden already."""
    hidden = [match.span() for match in _MARK.finditer(text)] if b"[" in text else []
    result: list[Finding] = []
    for each in sorted(found, key=lambda one: (one.begin, -one.end)):
        if any(begin <= each.begin and each.end <= end for begin, end in hidden[:64]):
            continue
        if result and each.begin < result[-1].end:
            if each.end > result[-1].end:
                result[-1] = result[-1]._replace(end=each.end)
            continue
        result.append(each)
    return result
