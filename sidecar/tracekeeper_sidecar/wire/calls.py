# cython: annotation_typing=False, boundscheck=False, wraparound=False, initializedcheck=False, language_level=3
"""What a span that calls a model says of tokens, models and money; compiled with the types in calls.pxd.

The step that writes prices into spans and the meter that counts them both go by this, so that they have one number.
"""

from __future__ import annotations

import json
import re
from math import isfinite
from typing import cast

from tracekeeper_sidecar.wire import component, labels, native
from tracekeeper_sidecar.wire.component import Component
from tracekeeper_sidecar.wire.tariffs import Tariffs

SILENT, OWN, REPORTED, COMPUTED, UNKNOWN = range(5)
"""Where a span says that its price comes from; SILENT where it says nothing that can be."""
_SILENT, _OWN, _UNKNOWN_SOURCE = SILENT, OWN, UNKNOWN
SOURCES = (b"", b"own", b"reported", b"computed", b"unknown")
"""The same as `tracekeeper.cost.source` says it."""
MOST_DOLLARS = 1e6
"""What no call costs more than: a greater number is a mistake, and is no price."""
_MOST_DOLLARS = MOST_DOLLARS
_NANO = 1e9
_LONGEST_TEXT = 4096
"""Bytes of a text that is read as a number, or as numbers."""
_LONGEST_PRICED = 256
"""Bytes of names that prices are looked up by."""
_LONGEST_TIER = 64
_DECIMAL = re.compile(r"[0-9]{0,12}(\.[0-9]{0,30})?([eE]-?[0-9]{1,3})?")
MOST_TOKENS = 1_000_000_000
"""What no call uses more of: a greater number is a mistake."""
_MOST_TOKENS = MOST_TOKENS
_NONE = -1
_NUMBERLESS = -2
_MOST_WHOLE = 1_000_000
_PER_DOLLAR = _NANOSECONDS = 1_000_000_000

_ANSWERED, _MODEL, _PROVIDER = component.ANSWERED, component.MODEL, component.PROVIDER
_TIER, _TIER_ANSWERED, _TIER_ASKED = component.TIER, component.TIER_ANSWERED, component.TIER_ASKED
_COST, _COST_SOURCE, _COST_PRICE = component.COST, component.COST_SOURCE, component.COST_PRICE
_COST_OF_LLM, _COST_DETAILS, _COST_OF_OPERATION = (
    component.COST_OF_LLM, component.COST_DETAILS, component.COST_OF_OPERATION
)  # fmt: skip
_INPUT, _OUTPUT, _CACHE_READ, _CACHE_WRITE, _REASONING, _INPUT_AUDIO, _OUTPUT_AUDIO = (
    component.INPUT, component.OUTPUT, component.CACHE_READ, component.CACHE_WRITE, component.REASONING,
    component.INPUT_AUDIO, component.OUTPUT_AUDIO,
)  # fmt: skip
_SOURCES = [*SOURCES]
_FIRST_SOURCE = OWN
_DAY = 86_400
NOT_NOW, NEVER = -1, -2
"""In place of the number of a provider and a model: it is to be asked for later; there is none."""
_NOT_NOW, _NEVER = NOT_NOW, NEVER


class Calls(Component):
    """For one thread at a time. `_tariffs` and `_seed` are set by what extends it."""

    def __init__(self) -> None:
        Component.__init__(self)
        self._tariffs = cast("Tariffs", None)
        self._seed = 0
        """One that nobody knows, for marks of names; each has its own place in the lowest bits."""
        self._nano = 0
        """Nanodollars that the span says."""
        self._forgotten = 0
        """When prices were last forgotten for want of room."""
        self.ignored = 0
        """Costs that cannot be: negative, no number, or beyond a million dollars."""

    def _said_price(self, data: bytes) -> int:
        """Where the price comes from that a price step has written before, with the number in `_nano` where there is
        one; SILENT where none has, or the number cannot be."""
        if self._value[_COST_SOURCE] < 0 or not self._text(data, _COST_SOURCE):
            return _SILENT
        size = self._until - self._said
        number = _FIRST_SOURCE
        while number <= _UNKNOWN_SOURCE:
            text = _SOURCES[number]
            if len(text) == size and native.same(data, self._said, text, size):
                if number == _UNKNOWN_SOURCE:
                    return number
                if not self._is_double(data, _COST):
                    return _SILENT
                found = self._dollars(data, _COST)
                if found < 0:
                    return _SILENT
                self._nano = found
                return number
            number += 1
        return _SILENT

    def _is_silent(self, said: int) -> int:
        """Whether a price of zero that comes from `said` is none: of tokens, which have been taken, only an override
        says that they cost nothing, and it says so beside."""
        if self._tariffs._tokens[0] + self._tariffs._tokens[1] == 0:
            return 0
        return said != _OWN or self._value[_COST_PRICE] < 0

    def _reported(self, data: bytes, tokens: int) -> int:
        """Nanodollars that the application says the call has cost, in whichever dialect; _NONE where it says nothing,
        or nothing that can be. A zero for `tokens` is nothing: some libraries write it where they know no price."""
        if (
            self._value[_COST] < 0
            and self._value[_COST_OF_LLM] < 0
            and self._value[_COST_DETAILS] < 0
            and self._value[_COST_OF_OPERATION] < 0
        ):
            return _NONE
        least = 0
        if tokens > 0:
            least = 1
        found = self._dollars(data, _COST)
        if found == _NUMBERLESS:
            self.ignored += 1
        if found < least:
            found = self._dollars(data, _COST_OF_LLM)
            if found == _NUMBERLESS:
                self.ignored += 1
        if found < least and self._text(data, _COST_DETAILS):
            found = _NUMBERLESS
            if self._until - self._said <= _LONGEST_TEXT:
                found = read_details(bytes(data[self._said : self._until]))
            if found == _NUMBERLESS:
                self.ignored += 1
        if found < least:
            found = self._dollars(data, _COST_OF_OPERATION)
            if found == _NUMBERLESS:
                self.ignored += 1
        if found < least:
            return _NONE
        return found

    def _is_double(self, data: bytes, slot: int) -> int:
        """Whether the slot has a double, as every library writes it."""
        pos = self._value[slot]
        return pos >= 0 and self._value_end[slot] - pos == 9 and data[pos] == 33

    def _dollars(self, data: bytes, slot: int) -> int:
        """The slot's dollars as nanodollars, rounded half up; _NONE if there is nothing, _NUMBERLESS for what cannot
        be."""
        pos = self._value[slot]
        if pos < 0:
            return _NONE
        end = self._value_end[slot]
        if end - pos == 9 and data[pos] == 33:  # A double, nearly always.
            return nanodollars(native.real(data, pos + 1))
        while pos < end:
            stop = self.next(data, pos, end)
            if stop < 0:
                break
            if self.wire == 1 and self.number == 4:
                return nanodollars(native.real(data, self.value))
            if self.wire == 0 and self.number == 3:
                if self.read > _MOST_WHOLE:
                    return _NUMBERLESS
                return self.read * _PER_DOLLAR
            if self.wire == 2 and self.number == 1:
                if stop - self.value > _LONGEST_TIER:
                    return _NUMBERLESS
                return read_dollars(bytes(data[self.value : stop]))
            pos = stop
        return _NUMBERLESS

    def _usage(self, data: bytes) -> int:
        """Takes the numbers of tokens; whether they are there, and can be."""
        told = self._sum(data, _INPUT, 0) | self._sum(data, _OUTPUT, 1)
        parts = self._sum(data, _CACHE_READ, 2) | self._sum(data, _CACHE_WRITE, 3) | self._sum(data, _REASONING, 4)
        parts |= self._sum(data, _INPUT_AUDIO, 5) | self._sum(data, _OUTPUT_AUDIO, 6)
        return told == 1 and parts < 2

    def _sum(self, data: bytes, slot: int, kind: int) -> int:
        """Takes a number of tokens; 1 if it is there, 2 if it is there and none."""
        self._tariffs._tokens[kind] = 0
        if self._value[slot] < 0:
            return 0
        found = self._number(data, slot)
        if found < 0 or found > _MOST_TOKENS:
            return 2
        self._tariffs._tokens[kind] = found
        return 1

    def _tier_slot(self, data: bytes) -> int:
        """Where the tier of service is told, which is at [_said, _until) then; _NONE where it is not."""
        if self._value[_TIER] < 0 and self._value[_TIER_ANSWERED] < 0 and self._value[_TIER_ASKED] < 0:
            return _NONE
        if self._text(data, _TIER):
            return _TIER
        if self._text(data, _TIER_ANSWERED):
            return _TIER_ANSWERED
        if self._text(data, _TIER_ASKED):
            return _TIER_ASKED
        return _NONE

    def _tier_mark(self, data: bytes) -> int:
        """64 bits for the tier of service; 0 where none is told."""
        if self._tier_slot(data) < 0:
            return 0
        return labels.marked(data, self._said, self._until, self._seed ^ 4)

    def _moment(self, now: int) -> int:
        """When the call was done, in Unix time: when its span has ended, or `now` where that cannot be."""
        end = self._end // _NANOSECONDS
        if end == 0 or end > now + _DAY:
            return now
        return end

    def _has_room(self, tick: int, minute: int) -> int:
        """Whether there is room for one more price; where there is none all are forgotten, once in a `minute` of ticks.
        Numbers that are known then are none any more."""
        if self._tariffs._index.count >= self._tariffs._index.most:
            if tick >= self._forgotten and tick - self._forgotten < minute:
                return 0
            self._forgotten = tick
            self._tariffs._clear()
        return 1

    def _introduce(self, data: bytes, pair: int, tick: int, minute: int) -> int:
        """A number for a provider and a model that were not seen together yet; NOT_NOW if there are too many, NEVER
        where the provider's name is too long. A `minute` is so many ticks."""
        if self._text(data, _PROVIDER) and self._until - self._said > _LONGEST_PRICED:
            return _NEVER
        if not self._has_room(tick, minute):
            return _NOT_NOW
        tier = ""
        if self._tier_slot(data) >= 0:
            tier = (
                bytes(data[self._said : min(self._until, self._said + _LONGEST_TIER)]).decode(errors="replace").lower()
            )
        return self._tariffs._learn(
            pair, self._decoded(data, _PROVIDER), (self._priced(data, _ANSWERED), self._priced(data, _MODEL)), tier
        )

    def _priced(self, data: bytes, slot: int) -> str:
        """A model's name; empty where it is too long for any."""
        if self._text(data, slot) and self._until - self._said > _LONGEST_PRICED:
            return ""
        return self._decoded(data, slot)

    def _decoded(self, data: bytes, slot: int) -> str:
        if not self._text(data, slot):
            return ""
        return bytes(data[self._said : self._until]).decode(errors="replace")


def nanodollars(dollars: float) -> int:
    """Nanodollars, rounded half up; _NUMBERLESS for what is no price."""
    if dollars >= 0.0 and dollars <= _MOST_DOLLARS:  # Which NaN is neither.
        return native.whole(dollars * _NANO + 0.5)
    return _NUMBERLESS


def read_dollars(text: bytes) -> int:
    """Nanodollars of a decimal number such as `0.0023` or `2e-05`, rounded half up; -2 for what is none."""
    found = text.decode(errors="replace").strip()
    if not any(char.isdigit() for char in found) or _DECIMAL.fullmatch(found) is None:
        return _NUMBERLESS
    try:
        return nanodollars(float(found))
    except ValueError:
        return _NUMBERLESS


def read_details(text: bytes) -> int:
    """Nanodollars of Langfuse's `cost_details`, a JSON object of dollars by kind: its `total`, else the sum; -2 for
    what is no such thing."""
    try:
        details = json.loads(text)
    except (ValueError, RecursionError):
        return _NUMBERLESS
    if not isinstance(details, dict):
        return _NUMBERLESS
    costs = [details["total"]] if "total" in details else list(details.values())
    if not costs or not all(isinstance(cost, (int, float)) and not isinstance(cost, bool) for cost in costs):
        return _NUMBERLESS
    try:
        total = float(sum(costs))
    except OverflowError:
        return _NUMBERLESS
    return nanodollars(total) if isfinite(total) else _NUMBERLESS
