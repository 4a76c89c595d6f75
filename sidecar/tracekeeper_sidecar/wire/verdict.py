# cython: annotation_typing=False, boundscheck=False, wraparound=False, initializedcheck=False, language_level=3
"""Judges traces by the conditions of sampling rules; compiled with the types in verdict.pxd.

A condition is run once for each trace, on its summary; what it asks of spans and of the root was tested when they came.
"""

from __future__ import annotations

from collections.abc import Sequence

from tracekeeper_sidecar.wire.program import Program
from tracekeeper_sidecar.wire.traces import Traces
from tracekeeper_spec.condition.code import Code, Kind
from tracekeeper_spec.condition.names import KINDS, STATUSES, Place

_MISSING = int(Kind.MISSING)
_TRUTH = int(Kind.TRUTH)
_INTEGER = int(Kind.INTEGER)
_DECIMAL = int(Kind.DECIMAL)
_DURATION = int(Kind.DURATION)

_TRACE_STATUS = int(Place.TRACE_STATUS)
_TRACE_ERRORS = int(Place.TRACE_ERRORS)
_TRACE_DURATION = int(Place.TRACE_DURATION)
_TRACE_SPANS = int(Place.TRACE_SPANS)
_TRACE_PRIORITY = int(Place.TRACE_PRIORITY)
_TRACE_COST = int(Place.TRACE_COST)
_TRACE_TOKENS = int(Place.TRACE_TOKENS)
_TRACE_DETECTED = int(Place.TRACE_DETECTED)
_SPAN_TEST = int(Place.SPAN_TEST)

_KINDS = len(KINDS)
_STATUSES = len(STATUSES)
_NONE = -1
_NANO = 1e9


class _Whole(Program):
    """A condition about a trace as a whole."""

    def __init__(self, code: Code) -> None:
        Program.__init__(self, code)
        self._tests = [0] * 256
        for number, slot in enumerate(code.slots):
            self._tests[number] = int(slot.key) if slot.key.isdigit() else 0

    def judge(self, table: Traces, slot: int) -> int:
        """Whether it holds for the trace."""
        number = 0
        while number < self._slots:
            place = self._places[number]
            cell = self._first_slot + number
            if place == _TRACE_STATUS:
                self._set_word(cell, table._status_of(slot), _KINDS, _STATUSES)
            elif place == _TRACE_ERRORS:
                self._kinds[cell] = _INTEGER
                self._numbers[cell] = table._errors(slot)
            elif place == _TRACE_DURATION:
                self._kinds[cell] = _DURATION
                self._numbers[cell] = table._duration(slot)
            elif place == _TRACE_SPANS:
                self._kinds[cell] = _INTEGER
                self._numbers[cell] = table._spans(slot)
            elif place == _TRACE_COST:
                spent = table._spent(slot, 0)
                self._kinds[cell] = _MISSING
                if spent >= 0:
                    self._kinds[cell] = _DECIMAL
                    self._decimals[cell] = spent / _NANO
            elif place == _TRACE_TOKENS:
                spent = table._spent(slot, 1)
                self._kinds[cell] = _MISSING
                if spent >= 0:
                    self._kinds[cell] = _INTEGER
                    self._numbers[cell] = spent
            elif place == _TRACE_DETECTED:
                self._kinds[cell] = _TRUTH
                self._numbers[cell] = table._is_detected(slot)
            elif place == _TRACE_PRIORITY:
                if table._is_critical(slot):
                    text = _KINDS + _STATUSES + number
                    self._set_text(cell, self._text_at[text], self._text_size[text], 0)
                else:
                    self._kinds[cell] = _MISSING
            else:
                self._kinds[cell] = _TRUTH
                if place == _SPAN_TEST:
                    self._numbers[cell] = table._tests(slot) >> self._tests[number] & 1
                else:
                    self._numbers[cell] = table._root_tests(slot) >> self._tests[number] & 1
            number += 1
        return self._holds(b"")


class Judge:
    """The conditions of rules, in their order. For one thread at a time."""

    def __init__(self, codes: Sequence[Code]) -> None:
        """`codes` are those of TraceCodes, which say what the folder's tests must be."""
        self._rules = [_Whole(code) for code in codes]
        self._count = len(self._rules)

    def first(self, table: Traces, slot: int) -> int:
        """The number of the first one that holds for the open trace, or -1."""
        table._checked(slot)
        number = 0
        while number < self._count:
            rule = self._rules[number]
            if rule.judge(table, slot):
                return number
            number += 1
        return _NONE
