"""Hides what is found in one text, and in the texts that are in it as JSON."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections import deque
from collections.abc import Collection, Iterator
from typing import Final

from tracekeeper_sidecar.process.redact import json_text, python_text
from tracekeeper_sidecar.process.redact.exact import TooLongError
from tracekeeper_sidecar.process.redact.matcher import KEYS_LABEL, Finding, Matcher, Report
from tracekeeper_sidecar.process.redact.prefilter import JSON_KEY, TRAPPED, Aim
from tracekeeper_spec.redact import Action

MOST_DEPTH: Final = 12
"""Strings of JSON in strings of JSON: each doubles its backslashes."""
_LOOK: Final = 63
"""After so many strings it is looked at the clock."""
_KEPT: Final = frozenset((b"null", b"true", b"false", b"None", b"True", b"False", b""))

Edits = list[tuple[int, int, bytes]]


class TooDeepError(Exception):
    """There is JSON in JSON in JSON, deeper than is looked."""

    def __init__(self) -> None:
        super().__init__("there is JSON in JSON, deeper than is looked")


class DroppedError(Exception):
    """Something was found, and what holds it is to go."""


class Texts:
    """For one thread at a time."""

    def __init__(self, matcher: Matcher) -> None:
        self._matcher = matcher
        self._drops = matcher.action is Action.DROP

    def redact(self, text: bytes, aims: Collection[Aim] | None, report: Report, depth: int = 0) -> bytes:
        """`text` without what is aimed at (None: everything that is looked for), or the same object. Raises
        DroppedError where the action is Drop, and TooDeepError."""
        if aims is not None and TRAPPED in aims:
            aims = None
        findings = self._matcher.findings(text, aims)
        keys = aims is None or JSON_KEY in aims
        escaped = b"\\" in text
        if not (findings or keys or escaped):
            return text
        begin = json_text.begins(text) if b'"' in text or (findings and text[:1] in b"[{") else -1
        edits: Edits
        if begin >= 0:
            if depth > MOST_DEPTH:
                raise TooDeepError
            edits = self._json(text, begin, findings, aims, keys, report, depth)
        else:
            edits = [self._masked(text, each, report) for each in findings]
            if keys:
                edits += self._dictionaries(text, 0, len(text), [], report)
        if (
            escaped
            and begin != 0
            and (label := self._behind_escapes(text[: begin if begin > 0 else None], findings, aims))
        ):
            # Escapes outside of JSON: it is known what they hide, and not where.
            report.tell(label, len(text))
            if self._drops:
                raise DroppedError
            return self._matcher.mask(text)
        if not edits:
            return text
        if self._drops:
            raise DroppedError
        return _applied(text, edits)

    def _behind_escapes(self, text: bytes, findings: list[Finding], aims: Collection[Aim] | None) -> str:
        """What is found only when escapes in `text` are read; empty: nothing."""
        if b"\\u" not in text and b"\\/" not in text:
            return ""
        more = self._matcher.findings(json_text.decoded(text), aims)
        return more[0].label if len(more) > sum(each.end <= len(text) for each in findings) else ""

    def _masked(self, text: bytes, found: Finding, report: Report) -> tuple[int, int, bytes]:
        report.tell(found.label, found.end - found.begin)
        return found.begin, found.end, self._matcher.mask(text[found.begin : found.end])

    def _json(
        self,
        text: bytes,
        begin: int,
        findings: list[Finding],
        aims: Collection[Aim] | None,
        keys: bool,
        report: Report,
        depth: int,
    ) -> Edits:
        edits: Edits = []
        strings: list[tuple[int, int]] = []
        left = deque(findings)
        at = until = 0  # Behind what has been dealt with, and behind what a key has hidden.
        for number, string in enumerate(json_text.strings(text, begin)):
            if number & _LOOK == 0 and time.thread_time() > self._matcher.until:
                raise TooLongError
            if string.end <= until:
                continue
            string = string._replace(opens=max(string.opens, until), begin=max(string.begin, until))
            self._between(text, at, string.opens, begin, left, edits, report)
            self._escapes(text, at, string.opens, aims, edits, report)
            inside = []
            while left and left[0].end <= string.end:
                inside.append(left.popleft())
            if left and left[0].begin < string.end:
                inside.append(left[0])
            content = text[string.begin : string.end]
            whole = content
            # In prose what lies between two quotes may be no string.
            if begin == 0 or b"\\" in content:
                strings.append((string.begin, string.end))
            if b"\\" in content:
                whole = json_text.decoded(content)
                redacted = self.redact(whole, aims, report, depth + 1)
                if redacted is not whole:
                    edits.append((string.begin, string.end, json_text.encoded(redacted, content.isascii())))
            else:
                for each in inside:
                    part = Finding(max(each.begin, string.begin), min(each.end, string.end), each.label)
                    edits.append(self._masked(text, part, report))
                if keys and begin == 0:
                    edits += self._dictionaries(text, string.begin, string.end, [], report)
            at = string.after
            if string.value >= 0 and keys and (why := self._matcher.key_pattern(whole)):
                until = at = self._named(text, string.value, why, edits, report)
                while left and left[0].end <= until:
                    left.popleft()
        self._between(text, at, len(text), begin, left, edits, report)
        self._escapes(text, at, len(text), aims, edits, report)
        if keys:
            edits += self._dictionaries(text, 0, len(text), strings, report)
        return edits

    def _escapes(
        self, text: bytes, low: int, high: int, aims: Collection[Aim] | None, edits: Edits, report: Report
    ) -> None:
        """Hides all of [low, high), which is behind JSON and no string, where escapes hide something."""
        if text.find(b"\\", low, high) >= 0 and (label := self._behind_escapes(text[low:high], [], aims)):
            report.tell(label, high - low)
            edits.append((low, high, self._matcher.mask(text[low:high])))

    def _between(
        self, text: bytes, low: int, high: int, begin: int, left: deque[Finding], edits: Edits, report: Report
    ) -> None:
        """Hides what is found outside of strings, in [low, high), and takes those findings away."""
        while left and left[0].begin < high:
            found = left[0]
            first, last = max(found.begin, low), min(found.end, high)
            if first < last and text[first:last].strip(b" \t\r\n,[]{}:"):
                if first < begin:
                    edits.append(self._masked(text, Finding(first, min(last, begin), found.label), report))
                elif begin == 0:
                    first, last = json_text.word_around(text, first, last, low, high)
                    start, end, mask = self._masked(text, Finding(first, last, found.label), report)
                    edits.append((start, end, b'"' + mask + b'"'))
                else:
                    edits.append(self._masked(text, Finding(first, last, found.label), report))
                low = last
            if found.end > high:
                break
            left.popleft()

    def _dictionaries(
        self, text: bytes, low: int, high: int, strings: list[tuple[int, int]], report: Report
    ) -> Iterator[tuple[int, int, bytes]]:
        """Hides what keys name in dictionaries as Python writes them, in [low, high) and not in the `strings`."""
        if text.find(b"'", low, high) < 0:
            return
        begins = [begin for begin, _ in strings]

        def judge(key: bytes, at: int) -> str:
            place = bisect_right(begins, at) - 1
            return self._matcher.key_pattern(key) if place < 0 or at >= strings[place][1] else ""

        for value in python_text.named(text, low, high, judge):
            was = text[value.begin : value.end]
            mask = self._matcher.mask(was)
            if was not in _KEPT and was != mask:
                report.tell(KEYS_LABEL, len(was), value.why)
                yield value.begin, value.end, mask if value.is_text else b"'" + mask + b"'"

    def _named(self, text: bytes, at: int, why: str, edits: Edits, report: Report) -> int:
        """Hides the value at `at`; returns where it ends."""
        if text[at : at + 1] == b'"':
            string = next(json_text.strings(text, at))
            content = text[string.begin : string.end]
            mask = self._matcher.mask(content)
            if content and content != mask:
                report.tell(KEYS_LABEL, len(content), why)
                edits.append((string.begin, string.end, mask))
            return string.after
        end = json_text.value_end(text, at)
        if text[at:end] not in _KEPT:
            report.tell(KEYS_LABEL, end - at, why)
            edits.append((at, end, b'"' + self._matcher.mask(text[at:end]) + b'"'))
        return end


def _applied(text: bytes, edits: Edits) -> bytes:
    pieces: list[bytes] = []
    at = 0
    # Of what begins at one place the longest comes first.
    for begin, end, content in sorted(edits, key=lambda edit: (edit[0], -edit[1])):
        if begin < at:
            at = max(at, end)  # Within what is hidden already, or hidden with it.
            continue
        pieces += (text[at:begin], content)
        at = end
    pieces.append(text[at:])
    return b"".join(pieces)
