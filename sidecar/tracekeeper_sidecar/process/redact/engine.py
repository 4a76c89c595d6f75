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
from tracekeeper_sidecar.raised import raised
from tracekeeper_sidecar.wire.redact import LINK_ID, PLACES, UNKNOWN, Edit, Finder, Part
from tracekeeper_sidecar.wire.scan import count_spans
from tracekeeper_spec.redact import MessageContent, Redact

_ATTRIBUTES: Final = range(1, 6)
_OF_EVENTS: Final = PLACES.index("events.attributes")
_TEXT, _ATTRIBUTE, _EVENT = range(3)
"""What may be remembered: the same bytes may be a text and an attribute, and mean two things."""
LEAST_SECONDS: Final = 0.5
"""CPU time for any request: what has not been looked at by then is refused."""
SECONDS_PER_BYTE: Final = 4e-6
"""And so much more for each byte: small spans with several findings each take some two millionths on a busy core."""
MOST_SECONDS: Final = 1.0
"""Never more: nobody else is served meanwhile."""
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
    """What was hidden, by label. To be read."""
    spans: int = 0
    """Spans in which something was."""


_NO_VALUES: Final[Counter[str]] = Counter()
"""Stays empty: nothing is hidden in most requests, and to make one takes half a microsecond."""
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
        self._remembered: dict[tuple[bytes, Collection[Aim] | None, int], tuple[bytes | None, Counter[str]]] = {}

    def redact(self, body: bytes, tell: Tell | None = None) -> Outcome:
        """What becomes of a serialised request that the scanner has accepted. `tell` hears of each finding."""
        suspicion = self.prefilter.suspect(body)
        by_key = suspicion.by_key or self._all_keys
        if not (suspicion.hits or by_key or suspicion.every):
            return Outcome(body, values=_NO_VALUES)
        limit = min(LEAST_SECONDS + len(body) * SECONDS_PER_BYTE, MOST_SECONDS)
        until = self._matcher.until = time.thread_time() + limit
        work = _Work(self, body, suspicion, until, tell)
        try:
            self._finder.find(body, suspicion.hits, by_key, suspicion.every, work.take)
        except TooLongError as error:
            # While it judged keys: what is behind them has not been looked at, whoever owns it.
            return Outcome(b"", count_spans(body), f"keys of attributes: {error}")
        return work.outcome(self._finder)

    def forget(self) -> None:
        """Look anew at what has been seen before."""
        self._remembered.clear()

    def text(self, text: bytes) -> bytes:
        """A text, looked at for everything."""
        self._matcher.until = time.thread_time() + LEAST_SECONDS
        try:
            return self._texts.redact(text, None, Report())
        except (DroppedError, TooDeepError, TooLongError):
            return self._matcher.mask(text)

    def part(self, part: Part, was: bytes, suspicion: Suspicion, outcome: Outcome, tell: Tell | None) -> bytes | None:
        """What a part that was `was` is to be; None: it goes. Counts it in `outcome`. Raises whatever goes wrong."""
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
        kind = _EVENT if place == _OF_EVENTS else _ATTRIBUTE if place in _ATTRIBUTES else _TEXT
        remember = tell is None and len(was) <= _MOST_REMEMBERED
        if remember and (known := self._remembered.get((was, aims, kind))) is not None:
            outcome.values += known[1]
            return known[0]
        report = Report(None if tell is None else lambda note: tell(part, note))
        found: bytes | None
        if kind != _TEXT:
            found = self._values.attribute(was, aims, report, kind == _EVENT)
        else:
            try:
                found = self._texts.redact(was, aims, report)
            except DroppedError:
                found = self._matcher.mask(was)
        if remember:
            if len(self._remembered) >= _REMEMBERED:
                self._remembered.clear()
            self._remembered[was, aims, kind] = found, report.values
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


class _Work:
    """What is done to one request, part by part."""

    def __init__(self, engine: Engine, body: bytes, suspicion: Suspicion, until: float, tell: Tell | None) -> None:
        self._engine, self._body, self._suspicion, self._until, self._tell = engine, body, suspicion, until, tell
        self._outcome = Outcome(body)
        self._edits: list[Edit] = []
        self._gone: set[tuple[int, int]] = set()
        self._spans: set[int] = set()

    def take(self, part: Part) -> None:
        """Look at the next part."""
        begin, end = part[1], part[2]
        # What nobody owns, a field of the request that OTLP does not know, goes by itself.
        owner = (part[5], part[6]) if part[5] >= 0 else (begin, end)
        if owner in self._gone:
            return
        was = self._body[begin:end]
        outcome = self._outcome
        try:
            if time.thread_time() > self._until:
                raise TooLongError
            found = self._engine.part(part, was, self._suspicion, outcome, self._tell)
        except Exception as error:
            # Whatever it is: what has not been looked at is not stored.
            self._gone.add(owner)
            why = error if isinstance(error, TooLongError | TooDeepError) else raised(error)
            outcome.problem = outcome.problem or f"{PLACES[part[0]]}: {why}"
            return
        if found != was:
            self._edits.append((begin, end, found))
            self._spans.add(part[8])

    def outcome(self, finder: Finder) -> Outcome:
        """What has become of the request, now that all of its parts were taken."""
        outcome = self._outcome
        edits = _without(self._edits, self._gone) if self._gone else self._edits
        if edits:
            outcome.body = finder.rebuild(self._body, edits)
            outcome.spans = len(self._spans - {-1})
        if self._gone:
            outcome.gone = count_spans(self._body) - count_spans(outcome.body)
        return outcome


def _without(edits: list[Edit], gone: set[tuple[int, int]]) -> list[Edit]:
    """The edits, without those inside of what goes as a whole, and with that."""
    found: list[Edit] = []
    at = last = 0
    for begin, end in sorted(gone, key=lambda one: (one[0], -one[1])):
        if begin < last:
            continue  # Within what goes already.
        last = end
        while at < len(edits) and edits[at][0] < begin:
            found.append(edits[at])
            at += 1
        while at < len(edits) and edits[at][1] <= end:
            at += 1
        found.append((begin, end, None))
    return found + edits[at:]
