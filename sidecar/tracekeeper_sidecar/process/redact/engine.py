"""Redacts whole requests: finds what must be looked at, looks, and writes the request anew."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Final

from tracekeeper_sidecar.process.redact.exact import TooLongError
from tracekeeper_sidecar.process.redact.matcher import UNKNOWN_LABEL, Matcher, Note, Report
from tracekeeper_sidecar.process.redact.prefilter import Aim, Prefilter, Suspicion
from tracekeeper_sidecar.process.redact.texts import DroppedError, Texts, TooDeepError
from tracekeeper_sidecar.process.redact.values import Values
from tracekeeper_sidecar.wire.redact import LINK_ID, PLACES, UNKNOWN, Edit, Finder, Part
from tracekeeper_sidecar.wire.scan import count_spans
from tracekeeper_spec.redact import MessageContent, Redact

_ATTRIBUTES: Final = range(1, 6)
_OF_EVENTS: Final = PLACES.index("events.attributes")
MOST_SECONDS: Final = 2.0
"""For one request: what has not been looked at by then is refused. Linear work on the largest request takes less."""
_REMEMBERED: Final = 4096
_MOST_REMEMBERED: Final = 512


@dataclass(slots=True)
class Outcome:
    """What became of a request."""

    body: bytes
    """The same object, if nothing was hidden."""
    gone: int = 0
    """Spans that could not be redacted: they are not in the body."""
    problem: str = ""
    """Why, if there are such."""
    values: Counter[str] = field(default_factory=Counter)
    """What was hidden, by label."""
    spans: int = 0
    """Spans in which something was."""


Tell = Callable[[Part, Note], None]


class Engine:
    """For one thread at a time. `hash_key`: for the action Hash."""

    def __init__(self, wish: Redact, hash_key: bytes | None = None) -> None:
        self.prefilter = Prefilter(wish)
        self._aims = self.prefilter.aims
        self._matcher = Matcher(wish, hash_key)
        self._texts = Texts(self._matcher)
        self._values = Values(self._matcher, self._texts, wish.message_content)
        self._finder = Finder(self._values.is_wanted)
        self._all_keys = wish.message_content is not MessageContent.KEEP
        self._remembered: dict[tuple[bytes, Collection[Aim] | None, bool], tuple[bytes | None, Counter[str]]] = {}

    def redact(self, body: bytes, tell: Tell | None = None) -> Outcome:
        """What becomes of a serialised request that the scanner has accepted. `tell` hears of each finding."""
        suspicion = self.prefilter.suspect(body)
        by_key = suspicion.by_key or self._all_keys
        if not (suspicion.hits or by_key or suspicion.every):
            return Outcome(body)
        parts = self._finder.find(body, suspicion.hits, by_key, suspicion.every)
        if not parts:
            return Outcome(body)
        return self._changed(body, suspicion, parts, tell)

    def forget(self) -> None:
        """Look anew at what has been seen before."""
        self._remembered.clear()

    def text(self, text: bytes) -> bytes:
        """A text, looked at for everything."""
        try:
            return self._texts.redact(text, None, Report())
        except (DroppedError, TooDeepError):
            return self._matcher.mask(text)

    def _changed(self, body: bytes, suspicion: Suspicion, parts: list[Part], tell: Tell | None) -> Outcome:
        outcome = Outcome(body)
        edits: list[Edit] = []
        gone: set[tuple[int, int]] = set()
        spans: set[int] = set()
        until = self._matcher.until = time.thread_time() + MOST_SECONDS
        for part in parts:
            owner = part[5], part[6]
            if owner in gone:
                continue
            begin, end = part[1], part[2]
            was = body[begin:end]
            try:
                if time.thread_time() > until:
                    raise TooLongError
                found = self._part(part, was, suspicion, outcome, tell)
            except Exception as error:
                # Whatever it is: what has not been looked at is not stored.
                gone.add(owner)
                outcome.problem = outcome.problem or f"{PLACES[part[0]]}: {error or type(error).__name__}"
                continue
            if found != was:
                edits.append((begin, end, found))
                spans.add(part[8])
        if gone:
            edits = _without(edits, gone)
        if edits:
            outcome.body = self._finder.rebuild(body, edits)
            outcome.spans = len(spans - {-1})
        if gone:
            outcome.gone = count_spans(body) - count_spans(outcome.body)
        return outcome

    def _part(self, part: Part, was: bytes, suspicion: Suspicion, outcome: Outcome, tell: Tell | None) -> bytes | None:
        aims: frozenset[Aim] | None
        if suspicion.every:
            aims = None
        elif part[4] - part[3] == 1:
            aims = self._aims[suspicion.hits[part[3]] & 1023]
        else:
            aims = frozenset().union(*(self._aims[hit & 1023] for hit in suspicion.hits[part[3] : part[4]]))
        place = part[0]
        if place == UNKNOWN or place == LINK_ID:
            return self._unknown(was, part, aims, outcome, tell)
        of_event = place == _OF_EVENTS
        remember = tell is None and len(was) <= _MOST_REMEMBERED
        if remember and (known := self._remembered.get((was, aims, of_event))) is not None:
            outcome.values += known[1]
            return known[0]
        report = Report(None if tell is None else lambda note: tell(part, note))
        found: bytes | None
        if place in _ATTRIBUTES:
            found = self._values.attribute(was, aims, report, of_event)
        else:
            try:
                found = self._texts.redact(was, aims, report)
            except DroppedError:
                found = self._matcher.mask(was)
        if remember:
            if len(self._remembered) >= _REMEMBERED:
                self._remembered.clear()
            self._remembered[was, aims, of_event] = found, report.values
        if report.values:
            outcome.values.update(report.values)
        return found

    def _unknown(
        self, was: bytes, part: Part, aims: frozenset[Aim] | None, outcome: Outcome, tell: Tell | None
    ) -> bytes | None:
        """A field that OTLP does not know goes where it may hold something: nobody knows what its bytes mean."""
        if not aims and aims is not None and not self._matcher.holds_key(was):
            return was
        if aims is None and not self._matcher.findings(was, None) and not self._matcher.holds_key(was):
            return was
        outcome.values[UNKNOWN_LABEL] += 1
        if tell is not None:
            tell(part, Note(UNKNOWN_LABEL, "", len(was)))
        return None


def _without(edits: list[Edit], gone: set[tuple[int, int]]) -> list[Edit]:
    """The edits, without those inside of what goes as a whole, and with that."""
    whole: list[tuple[int, int]] = []
    for owner in sorted(gone, key=lambda one: (one[0], -one[1])):
        if not whole or owner[0] >= whole[-1][1]:
            whole.append(owner)
    kept = [edit for edit in edits if not any(begin <= edit[0] and edit[1] <= end for begin, end in whole)]
    return sorted([*kept, *((begin, end, None) for begin, end in whole)], key=lambda edit: edit[0])
