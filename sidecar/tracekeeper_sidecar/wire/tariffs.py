# cython: annotation_typing=False, boundscheck=False, wraparound=False, initializedcheck=False, language_level=3
"""What calls of models cost, without an object being made for each; compiled with the types in tariffs.pxd.

A price is asked for once for each pair of provider and model, and once for each quarter of an hour of the calls' own
time where prices have days and hours. What then costs is sums of tokens and amounts; calls that are not so simple
(longer ones that cost more, amounts with many digits) are asked for one by one. The outcome is the same to the
nanodollar.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from tracekeeper_sidecar.wire import native
from tracekeeper_sidecar.wire.rows import Index

MOST = 2000
"""Prices that are known: of pairs, and of quarters of an hour where they have hours. When it is full all are forgotten,
which is every other day with ten such models; and more often where somebody makes names up."""
KINDS = 7
"""Kinds of tokens, in the order input, output, cache read, cache write, reasoning, input audio, output audio."""

_UNKNOWN = 0xFFFFFFFFFFFFFFFF
_MOST_TOKENS = 1_000_000_000
_QUARTER = 900
_ROW = 16
_INPUT, _OUTPUT, _CACHE_READ, _CACHE_WRITE, _REASONING, _INPUT_AUDIO, _OUTPUT_AUDIO = range(KINDS)
_CALL = 7
"""Where the amount for the call itself is."""
_LIMIT = 8
"""Where it is up to how much input the amounts hold."""
_OWN = 9
"""Where there is a bit for each kind that has an amount."""
_WHEN = 10
"""Where the quarter of an hour is for which all this holds, and one; or _ALWAYS."""
_ALWAYS = 0xFFFFFFFFFFFFFFFF
_STATE = 11
_NOT_KNOWN, _SIMPLE, _ASKED = range(3)
_OVERRIDDEN = 12
"""Where it is whether the price is an override."""
_PLAIN = 13
"""Where it is whether it is one of the book, as that has it."""
_PAIR = 14
"""Where it is what stands for the provider and the model."""
_STIR = 0xD6E8FEB86659FD93
_ALL_64 = 0xFFFFFFFFFFFFFFFF
_PICO = 1000
_DEAREST = 1_000_000_000_000_000
"""Nanodollars; a call that would cost more than this million of dollars is a mistake, and has no price."""

Simple = tuple[Sequence[int | None], int, int]
"""Picodollars for each kind of token, None where it costs as what it is a part of; picodollars for the call itself; and
up to how much input this holds."""
Asked = Callable[[Sequence[int]], "int | None"]


class Answer(NamedTuple):
    """What calls cost."""

    simple: Simple | None
    """Amounts, where they are simple."""
    asked: Asked | None
    """Whom to ask for a call by its numbers of tokens, in nanodollars; None where nobody knows."""
    always: bool
    """Whether that holds at all times."""
    own: bool = False
    """It is an override."""
    text: str = ""
    """Which price it is, for people."""
    book: str = ""
    """The version of the book, where that alone says it."""


Ask = Callable[[str, "tuple[str, ...]", float, str], Answer]
"""What a call costs, by provider, names of the model (the best first), Unix time and tier of service."""


class Tariffs:
    """For one thread at a time."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self.asked = 0
        """How often: each time takes some hundred microseconds."""
        self._index = Index(MOST)
        self._names: list[tuple[str, tuple[str, ...], str]] = []
        self._callers: list[Asked | None] = []
        self._texts: list[str] = []
        self._notes: list[bytes | None] = []
        """What `pricing` has made of the texts, None where it has not yet."""
        self._buffer = bytearray(8 * _ROW * (MOST + 1) + 64)
        self._rows = native.words(self._buffer)
        self._tokens = [0] * 8
        self._book = b""
        """The version of the book, once a price of it has been asked for."""

    def forget(self, ask: Ask) -> None:
        """Ask for everything anew."""
        self._ask = ask
        self._clear()

    def _clear(self) -> int:
        self._index.clear()
        self._names.clear()
        self._callers.clear()
        self._texts.clear()
        self._notes.clear()
        return 0

    def _find(self, pair: int) -> int:
        """The number of a provider and a model, by what 64 bits stand for them; -1 for an unknown pair."""
        return self._index.get(pair)

    def _learn(self, pair: int, provider: str, models: tuple[str, ...], tier: str) -> int:
        """A number for a new pair; -1 if there is no room."""
        number = len(self._names)
        if self._index.put(pair, number) == 0:
            return -1
        self._names.append((provider, models, tier))
        self._callers.append(None)
        self._texts.append("")
        self._notes.append(None)
        self._rows[number * _ROW + _WHEN] = 0
        self._rows[number * _ROW + _PAIR] = pair
        return number

    def _current(self, number: int, seconds: int, may_ask: int) -> int:
        """The number under which the price of `number` at that Unix time is: each quarter of an hour has one of its own
        where prices have days or hours. -1 where it would have to be asked for, and must not be."""
        at = number * _ROW
        when = seconds // _QUARTER + 1
        known = self._rows[at + _WHEN]
        if known == when or known == _ALWAYS:
            return number
        if known != 0:
            pair = self._rows[at + _PAIR] ^ ((when * _STIR) & _ALL_64)
            other = self._index.get(pair)
            if other >= 0:
                return other
            if not may_ask:
                return -1
            if self._index.count < self._index.most:
                provider, models, tier = self._names[number]
                number = self._learn(pair, provider, models, tier)
        self._refresh(number, seconds, when)
        return number

    def _cost(self, number: int) -> int:
        """Nanodollars for a call with `_tokens`; _UNKNOWN if nobody knows. The number is of `_current`."""
        at = number * _ROW
        state = self._rows[at + _STATE]
        if state == _NOT_KNOWN:
            return _UNKNOWN
        if state == _ASKED or self._tokens[_INPUT] > self._rows[at + _LIMIT]:
            return self._asked(number)
        kind = 0
        while kind < KINDS:
            if self._tokens[kind] > _MOST_TOKENS:
                return _UNKNOWN
            kind += 1
        own = self._rows[at + _OWN]
        total = self._rows[at + _CALL]
        inner = 0
        kind = _CACHE_READ
        while kind < KINDS:
            if kind == _CACHE_READ or kind == _CACHE_WRITE or kind == _INPUT_AUDIO:
                if self._tokens[kind] > self._tokens[_INPUT]:
                    return _UNKNOWN
                if own >> kind & 1:
                    inner += self._tokens[kind]
            if own >> kind & 1:
                total += self._tokens[kind] * self._rows[at + kind]
            kind += 1
        outer = 0
        if self._tokens[_REASONING] > self._tokens[_OUTPUT] or self._tokens[_OUTPUT_AUDIO] > self._tokens[_OUTPUT]:
            return _UNKNOWN
        if own >> _REASONING & 1:
            outer += self._tokens[_REASONING]
        if own >> _OUTPUT_AUDIO & 1:
            outer += self._tokens[_OUTPUT_AUDIO]
        if inner > self._tokens[_INPUT] or outer > self._tokens[_OUTPUT]:
            return _UNKNOWN
        inner = self._tokens[_INPUT] - inner
        outer = self._tokens[_OUTPUT] - outer
        if (inner > 0 and not own & 1) or (outer > 0 and not own & 2):
            return _UNKNOWN
        if own & 1:
            total += inner * self._rows[at + _INPUT]
        if own & 2:
            total += outer * self._rows[at + _OUTPUT]
        total = (total + _PICO // 2) // _PICO
        if total > _DEAREST:
            return _UNKNOWN
        return total

    def _own_price(self, number: int) -> int:
        """Whether it is an override; after `_cost`."""
        return self._rows[number * _ROW + _OVERRIDDEN] != 0

    def _is_plain(self, number: int) -> int:
        """Whether it is a price of the book, as that has it."""
        return self._rows[number * _ROW + _PLAIN] != 0

    def _asked(self, number: int) -> int:
        caller = self._callers[number]
        cost = caller([self._tokens[kind] for kind in range(KINDS)]) if caller is not None else None
        return _UNKNOWN if cost is None or cost > _DEAREST else cost

    def _refresh(self, number: int, seconds: int, when: int) -> int:
        at = number * _ROW
        provider, models, tier = self._names[number]
        self.asked += 1
        simple, caller, always, own_price, text, book = self._ask(provider, models, float(seconds), tier)
        self._rows[at + _OVERRIDDEN] = own_price
        self._rows[at + _PLAIN] = bool(book)
        if book:
            self._book = book.encode()
        self._texts[number] = text
        self._notes[number] = None
        self._callers[number] = caller
        self._rows[at + _WHEN] = when
        if always:
            self._rows[at + _WHEN] = _ALWAYS
        self._rows[at + _STATE] = _NOT_KNOWN if caller is None else _ASKED if simple is None else _SIMPLE
        if simple is not None:
            amounts, call, limit = simple
            own = 0
            for kind, amount in enumerate(amounts):
                self._rows[at + kind] = amount or 0
                own |= (amount is not None) << kind
            self._rows[at + _CALL] = call
            self._rows[at + _LIMIT] = limit
            self._rows[at + _OWN] = own
        return 0
