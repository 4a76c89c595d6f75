# cython: annotation_typing=False, boundscheck=False, wraparound=False, initializedcheck=False, language_level=3
"""Finds the spans of a request whose usage repeats that of others; compiled with the types in normalize_repeats.pxd.

Parents mostly come in the request of their children, or later: what was used below a span that has not come yet is
known for a while (see `normalize_usage`). Within a request the order does not matter. A span is known by 64 bits of its
trace's id and its own, with a seed of this process.
"""

from __future__ import annotations

from tracekeeper_sidecar.wire import native
from tracekeeper_sidecar.wire.normalize_usage import Usage

LLM, EMBEDDING = 1, 2
STOP = 16
"""A tool's span: what is called below it is its own."""
SAID = 32
"""Is marked already."""
USED = 64
"""Names tokens, whatever it is."""

_BOTH = 3
_STOP, _SAID, _USED = STOP, SAID, USED
_ROUNDS = 16
_WORDS = 10
_BELOW = 8
_ABOVE = 9
"""In a record, after the marks of span, parent and answer, what it is, begin and end of its bytes, and of its time:
what is used below it, and where its parent's record is."""
_OUTSIDE = 0xFFFFFFFFFFFFFFFF
_BESIDE = 1 << 40
_ALL_64 = 0xFFFFFFFFFFFFFFFF
_STIR = 0x9E3779B97F4A7C15
_STEP = 0xD1B54A32D192ED06
_STRIDE = 0xA24BAED4963EE407
_OWNER = 0xFFFF
_OWNED = 16
_MILLISECOND = 20
"""Bits of nanoseconds that make about a millisecond."""
_LOW_32 = 0xFFFFFFFF


class Repeats:
    """Takes the spans of one request after the other. For one thread at a time."""

    def __init__(self, usage: Usage, seed: int) -> None:
        self.usage = usage
        self.seed = seed
        self._room = self._places = bytearray(64)
        self._count = self._any = 0

    def _begin(self, spans: int) -> None:
        """A request of so many spans comes."""
        self._room = bytearray(8 * _WORDS * spans + 64)
        self._count = self._any = 0

    def _note(self, data: bytes, begin: int, end: int, trace: int, span: int, parent: int, kinds: int, answer: int,
              start: int, finish: int) -> None:  # fmt: skip
        """A span at [begin, end), with its ids' offsets, -1 where there is none; `answer` is 0 or 64 bits for what it
        was answered, and the times are in Unix nanoseconds."""
        words = native.words(self._room)
        at = self._count * _WORDS
        self._count += 1
        words[at] = words[at + 1] = words[at + 2] = words[at + 3] = words[at + 6] = words[at + 7] = 0
        words[at + 4] = begin
        words[at + 5] = end
        if trace < 0 or span < 0:
            return
        whose = _stirred(_stirred(native.word(data, trace) ^ self.seed) ^ native.word(data, trace + 8))
        words[at] = _marked(whose ^ native.word(data, span))
        if parent >= 0:
            words[at + 1] = _marked(whose ^ native.word(data, parent))
        words[at + 3] = kinds
        if kinds & _USED and kinds & _BOTH:
            self._any = 1
        if answer:
            words[at + 2] = _marked(whose ^ answer)
            words[at + 6] = start >> _MILLISECOND & _LOW_32
            words[at + 7] = finish >> _MILLISECOND & _LOW_32

    def repeated(self, now: int) -> list[tuple[int, int]]:
        """Where the spans begin and end whose usage is that of others once more. What they have used is known for later
        requests from now on, `now` in Unix nanoseconds."""
        self.usage.at(now)
        if not self._any and not self.usage.known:
            return []
        self._spread()
        return self._repeating()

    def _spread(self) -> None:
        """Tells parents what is used below them: over the request, one way and the other, until nothing is news, or it
        was tried often enough. Parents mostly come after their children."""
        words = native.words(self._room)
        self._find_parents()
        turn = 0
        news = 1
        while news and turn < _ROUNDS:
            news = 0
            place = 0
            while place < self._count:
                at = place * _WORDS
                if turn & 1:
                    at = (self._count - 1 - place) * _WORDS
                place += 1
                kinds = words[at + 3]
                rises = words[at + _BELOW]
                if kinds & (_USED | _SAID) == _USED:
                    rises |= kinds & _BOTH
                above = words[at + _ABOVE]
                if kinds & _STOP == 0 and above != _OUTSIDE and rises & ~words[above + _BELOW]:
                    words[above + _BELOW] |= rises
                    # One that is still to come in this turn will hear of it.
                    if (above < at) != (turn & 1):
                        news = 1
            turn += 1
        place = 0
        while place < self._count:
            at = place * _WORDS
            place += 1
            kinds = words[at + 3]
            rises = words[at + _BELOW]
            if kinds & (_USED | _SAID) == _USED:
                rises |= kinds & _BOTH
            if rises and kinds & _STOP == 0 and words[at + 1] and words[at + _ABOVE] == _OUTSIDE:
                self.usage._add(words[at + 1], rises)

    def _find_parents(self) -> None:
        """Notes of each span where its parent's record is, if that is in the request, and what was known of it
        before."""
        words = native.words(self._room)
        size = 16
        while size < 2 * self._count:
            size *= 2
        self._places = bytearray(4 * size + 64)
        table = native.halves(self._places)
        place = 0
        while place < self._count:
            mark = words[place * _WORDS]
            words[place * _WORDS + _BELOW] = 0
            if mark:
                words[place * _WORDS + _BELOW] = self.usage._get(mark) & _BOTH
                free = mark & (size - 1)
                while table[free]:
                    free = (free + 1) & (size - 1)
                table[free] = place + 1
            place += 1
        place = 0
        while place < self._count:
            at = place * _WORDS
            mark = words[at + 1]
            words[at + _ABOVE] = _OUTSIDE
            if mark:
                free = mark & (size - 1)
                while table[free]:
                    if words[(table[free] - 1) * _WORDS] == mark:
                        words[at + _ABOVE] = (table[free] - 1) * _WORDS
                        break
                    free = (free + 1) & (size - 1)
            place += 1

    def _repeating(self) -> list[tuple[int, int]]:
        words = native.words(self._room)
        found: list[tuple[int, int]] = []
        place = 0
        while place < self._count:
            at = place * _WORDS
            place += 1
            kinds = words[at + 3]
            if kinds & (_BOTH | _USED) == 0 or kinds & _SAID:
                continue
            # A call of a model repeats calls of its kind; what is none repeats any.
            alike = kinds & _BOTH
            if alike == 0:
                alike = _BOTH
            if words[at + _BELOW] & alike or (
                words[at + 2] and self._is_other(words[at + 2], words[at], words[at + 6], words[at + 7])
            ):
                found.append((words[at + 4], words[at + 5]))
        return found

    def _is_other(self, answer: int, span: int, start: int, end: int) -> int:
        """Whether another span at the same time had the same answer: in the same trace, by its id and its tokens. Else
        it is this one's from now on. Two instrumentations at once make such spans, one beside the other; servers that
        give all answers one id do not."""
        owner = self.usage._get(answer)
        if owner == 0:
            self.usage._add(answer, span & _OWNER | start << _OWNED | 1)
            self.usage._add(answer ^ _BESIDE, end + 1)
            return 0
        if owner & _OWNER | 1 == span & _OWNER | 1:
            return 0
        return owner >> _OWNED <= end and start < self.usage._get(answer ^ _BESIDE)


def hashed(data: bytes, pos: int, end: int, seed: int) -> int:
    """64 bits for the bytes at [pos, end)."""
    mixed = seed ^ (end - pos)
    if end - pos < 8:
        while pos < end:
            mixed = (mixed << 8 ^ mixed >> 56 ^ data[pos]) & _ALL_64
            pos += 1
        return _stirred(_stirred(mixed))
    # Products that do not wait for each other.
    last = end - 8
    mixed ^= ((native.fixed(data, pos) ^ seed) * _STIR) & _ALL_64
    mixed ^= ((native.fixed(data, last) + seed) * _STEP) & _ALL_64
    if end - pos <= 24:
        mixed ^= ((native.fixed(data, (pos + last) >> 1) ^ seed) * _STRIDE) & _ALL_64
        return _stirred(mixed)
    factor = _STRIDE
    pos += 8
    while pos < last:  # No two words have the same factor.
        mixed = (mixed + (native.fixed(data, pos) ^ seed) * factor) & _ALL_64
        factor = (factor + _STEP) & _ALL_64
        pos += 8
    return _stirred(mixed)


def _stirred(word: int) -> int:
    word = ((word ^ word >> 29) * _STIR) & _ALL_64
    return word ^ word >> 32


def _marked(word: int) -> int:
    """64 bits that stand for it; never 0, which is nothing."""
    mark = _stirred(word)
    if mark == 0:
        return 1
    return mark
