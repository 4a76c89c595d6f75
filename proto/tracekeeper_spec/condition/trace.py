"""Conditions about a whole trace, taken apart: what is asked of each span, what of the root, and what of the whole.

Spans come one by one and are not kept, so what a condition asks of "some span" is tested when each comes, and leaves a
bit in the trace's summary. A part of a condition that speaks of spans alone is one test, as large a part as there is:
`span.kind == "client" && span.duration > 1s` asks for one span that is both. A `!` before such a part, and not in it,
turns the answer round: no span is like that. In a chain of && (or of ||) all parts about spans make one test,
wherever they stand in it.

What is asked of the root is tested likewise, but such a test has no `!` and no fixed condition in it: what a test says
without a root is false, and `!` of that must be true. A trace with several local roots is in this like one with several
spans.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import reduce

from tracekeeper_spec.condition import meaning
from tracekeeper_spec.condition.code import MAX_TESTS, Code, Slot, TraceCode, TraceCodes
from tracekeeper_spec.condition.emit import Emitter
from tracekeeper_spec.condition.names import Place, Subject, Type


class TooManyTests(ValueError):
    """Conditions ask for more tests than a trace's summary has bits."""

    def __init__(self, what: str, count: int) -> None:
        super().__init__(f"ask for {count} different tests of {what}, and there is room for {MAX_TESTS}")


class TooLarge(ValueError):
    """The evaluator has no room for a part of the condition."""


def trace_code(text: str, meant: meaning.Test) -> TraceCode:
    """The programs of the condition `text`, which means `meant`. Raises TooLarge and TooManyTests."""
    parts = _Parts()
    whole = _code(text, parts.of(meant))
    found = TraceCode(text, tuple(parts.span_tests), tuple(parts.root_tests), whole)
    combine([found])
    return found


def combine(codes: Sequence[TraceCode]) -> TraceCodes:
    """The conditions with one row of tests for all, in which equal ones are one. Raises TooManyTests."""
    span_tests = _once(test for code in codes for test in code.span_tests)
    root_tests = _once(test for code in codes for test in code.root_tests)
    for what, tests in (("spans", span_tests), ("roots", root_tests)):
        if len(tests) > MAX_TESTS:
            raise TooManyTests(what, len(tests))
    return TraceCodes(span_tests, root_tests, tuple(_renumbered(code, span_tests, root_tests) for code in codes))


def _once(tests: Iterable[Code]) -> tuple[Code, ...]:
    return tuple(dict.fromkeys(tests))


def _renumbered(code: TraceCode, span_tests: tuple[Code, ...], root_tests: tuple[Code, ...]) -> Code:
    def moved(slot: Slot) -> Slot:
        if slot.place is Place.SPAN_TEST:
            return replace(slot, key=str(span_tests.index(code.span_tests[int(slot.key)])))
        if slot.place is Place.ROOT_TEST:
            return replace(slot, key=str(root_tests.index(code.root_tests[int(slot.key)])))
        return slot

    return replace(code.code, slots=tuple(moved(slot) for slot in code.code.slots))


def _code(text: str, test: meaning.Test) -> Code:
    emitter = Emitter()
    emitter.test(test)
    if not emitter.fits:
        raise TooLarge
    return emitter.code(text)


class _Parts:
    """Takes one condition apart."""

    def __init__(self) -> None:
        self.span_tests: list[Code] = []
        self.root_tests: list[Code] = []

    def of(self, test: meaning.Test) -> meaning.Test:
        """`test` with the numbers of tests where it speaks of spans or of the root."""
        subject = _subject(test)
        if subject is Subject.SPAN:
            return self._of_spans(test)
        if subject is Subject.ROOT:
            return self._numbered(Place.ROOT_TEST, test)
        match test:
            case meaning.Not(test=inner):
                return meaning.Not(self.of(inner))
            case meaning.Logic(sign=sign):
                return self._of_chain(sign, list(_chain(sign, test)))
        return test

    def _of_chain(self, sign: str, chain: list[meaning.Test]) -> meaning.Test:
        parts: list[meaning.Test] = []
        for subject in (Subject.TRACE, Subject.ROOT, Subject.SPAN, None):
            those = [link for link in chain if _subject(link) is subject]
            if subject in (Subject.ROOT, Subject.SPAN) and those:
                parts.append(self.of(_joined(sign, those)))
            else:
                parts += [self.of(link) for link in those]
        return _joined(sign, parts)

    def _of_spans(self, test: meaning.Test) -> meaning.Test:
        if isinstance(test, meaning.Not):
            return meaning.Not(self._of_spans(test.test))
        if isinstance(test, meaning.Logic) and test.sign == "||":
            # A span without events is asked nothing about events, and yet the other side may hold for it.
            links = list(_chain("||", test))
            groups = [[link for link in links if _of_events(link) is wanted] for wanted in (False, True)]
            return _joined("||", [self._numbered(Place.SPAN_TEST, _joined("||", group)) for group in groups if group])
        return self._numbered(Place.SPAN_TEST, test)

    def _numbered(self, place: Place, test: meaning.Test) -> meaning.Test:
        tests = self.span_tests if place is Place.SPAN_TEST else self.root_tests
        code = _code("", test)
        if code not in tests:
            tests.append(code)
        slot = Slot(place, str(tests.index(code)))
        return meaning.Truth(meaning.Read(Type.TRUTH, slot, subject=Subject.TRACE))


def _of_events(test: meaning.Test) -> bool:
    return Subject.EVENT in meaning.subjects(test)


def _subject(test: meaning.Test) -> Subject | None:
    """SPAN or ROOT if `test` is one test of these, TRACE if it has none, and None if it must be taken apart."""
    subjects = meaning.subjects(test)
    if subjects <= {Subject.TRACE}:
        return Subject.TRACE
    if subjects <= {Subject.SPAN, Subject.EVENT}:
        return Subject.SPAN
    return Subject.ROOT if subjects == {Subject.ROOT} and _only_grows(test) else None


def _only_grows(test: meaning.Test) -> bool:
    """Whether it is made of && and || alone, and of conditions that are all false where there is no root."""
    match test:
        case meaning.Not():
            return False
        case meaning.Logic(left=left, right=right):
            return _only_grows(left) and _only_grows(right)
    return bool(meaning.subjects(test))


def _chain(sign: str, test: meaning.Test) -> Iterable[meaning.Test]:
    """a, b and c of `a && b && c`, however brackets are set."""
    if isinstance(test, meaning.Logic) and test.sign == sign:
        yield from _chain(sign, test.left)
        yield from _chain(sign, test.right)
    else:
        yield test


def _joined(sign: str, tests: list[meaning.Test]) -> meaning.Test:
    join: Callable[[meaning.Test, meaning.Test], meaning.Test] = lambda left, right: meaning.Logic(sign, left, right)  # noqa: E731
    return reduce(join, tests)
