# cython: annotation_typing=False, boundscheck=False, wraparound=False, initializedcheck=False, language_level=3
"""Finds the spans of a request whose usage repeats that of others; compiled with the types in normalize_repeats.pxd.

A call of a model repeats another only where both say the same: one answer's id, or the same tokens, which may also be
the sum of all that was called below it. What is no call repeats any below it. Spans are settled from the deepest up.

Parents mostly come in the request of their children, or later: what was used below a span that has not come yet is
known for a while (see `normalize_usage`). A span is known by 64 bits of its trace's id and its own, with a seed of this
process; what a call has used by 64 bits, of which those of a sum are the sum of those of its parts.
"""

from __future__ import annotations

from tracekeeper_sidecar.wire import native
from tracekeeper_sidecar.wire.normalize_answers import Answers
from tracekeeper_sidecar.wire.normalize_usage import Usage

LLM, EMBEDDING = 1, 2
STOP = 16
"""A tool's span: what is called below it is its own."""
SAID = 32
"""Is marked already."""
USED = 64
"""Names tokens, whatever it is."""
ANSWERED = 128
"""Names tokens of output."""

_LLM = LLM
_BOTH = 3
_STOP, _SAID, _USED, _ANSWERED = STOP, SAID, USED, ANSWERED
_ID = 2
"""A kind's bit so much further on: such calls below say which answer it was."""
_BELOW_AT = 8
_LOW_8 = 0xFF
_SAME, _DONE, _FOUND = 1 << 16, 1 << 17, 1 << 18
"""Beside the kinds of a span, in its record: what is below it, from this bit on; a call below it is the same; it is
settled; it repeats others. From bit 32 on the answer's id, 0 for none."""

_WORDS = 9
_ANSWER, _KINDS, _WHERE, _USE, _TIME, _SUM, _LINK = 2, 3, 4, 5, 6, 7, 8
"""In a record, after the marks of the span and its parent: that of the answer, kinds, begin and end of its bytes, what
it has used, begin and end of its time, what those have used below it that count, and how many children it waits for,
with the place of its parent's record, from 1 on."""
_KEPT = 1 << 10
"""Records that memory is kept for, from one request to the next."""
_HIGH = 32
_ONE = 0x100000000
_MILLISECOND = 20
"""Bits of nanoseconds that make about one."""
_SPANS_UP = 64
"""Parents and theirs that are told of a call."""
_TOLD, _ENDS = 3, 8
_LOW_32 = 0xFFFFFFFF
_OWNER = 0xFFFF
_ALL_64 = 0xFFFFFFFFFFFFFFFF
_STIR = 0x9E3779B97F4A7C15
_STEP = 0xD1B54A32D192ED06
_STRIDE = 0xA24BAED4963EE407
_AGAIN = 0x8CB92BA72F3D8DD7


class Repeats:
    """Takes the spans of one request after the other. For one thread at a time."""

    def __init__(self, usage: Usage, answers: Answers, seed: int) -> None:
        self.usage = usage
        self.answers = answers
        self.seed = seed
        self._input_llm = _stirred(seed ^ _STIR) | 1
        self._output_llm = _stirred(seed ^ _STEP) | 1
        self._input_embedding = _stirred(seed ^ _STRIDE) | 1
        self._output_embedding = _stirred(seed ^ _AGAIN) | 1
        self._room = bytearray(64)
        self._words = native.words(self._room)
        self._count = self._spans = self._found = self._any = 0
        self._now = self._full = self._high = self._low = self._whose = 0

    @property
    def memory(self) -> int:
        """Bytes that what is known takes."""
        return self.usage.memory + self.answers.memory

    @property
    def room(self) -> int:
        """Bytes that spans of a request take."""
        return len(self._room)

    def _begin(self) -> int:
        """A request comes."""
        self._count = self._any = self._found = 0
        if self._spans != _KEPT:
            self._spans = 0
            self._grow(_KEPT)
        return 0

    def _grow(self, spans: int) -> int:
        """Makes room for so many, and keeps those that are there."""
        room = bytearray(8 * _WORDS * spans + 64)
        words = native.words(room)
        at = 0
        while at < self._count * _WORDS:
            words[at] = self._words[at]
            at += 1
        self._room = room
        self._words = words
        self._spans = spans
        return 0

    def _note(self, data: bytes, begin: int, end: int, trace: int, span: int, parent: int, kinds: int, inputs: int,
              outputs: int, answer: int, start: int, finish: int) -> int:  # fmt: skip
        """A span at [begin, end), with its ids' offsets, -1 where there is none, and the tokens that it names; `answer`
        is 0 or 64 bits for which it was, and the times are in Unix nanoseconds."""
        if self._count >= self._spans:
            self._grow(2 * self._spans)
        words = self._words
        at = self._count * _WORDS
        self._count += 1
        words[at] = words[at + 1] = words[at + _ANSWER] = words[at + _USE] = words[at + _TIME] = 0
        words[at + _SUM] = words[at + _LINK] = 0
        words[at + _KINDS] = _DONE
        words[at + _WHERE] = begin << _HIGH | end
        if trace < 0 or span < 0:
            return 0
        if native.word(data, trace) == self._high and native.word(data, trace + 8) == self._low:
            whose = self._whose
        else:
            self._high = native.word(data, trace)
            self._low = native.word(data, trace + 8)
            whose = self._whose = _stirred(_stirred(self._high ^ self.seed) ^ self._low)
        words[at] = _marked(whose ^ native.word(data, span))
        self.usage._fetch(words[at])
        if parent >= 0:
            words[at + 1] = _marked(whose ^ native.word(data, parent))
        id = 0
        if kinds & _BOTH:
            if kinds & _USED:
                self._any = 1
                if kinds & _LLM:
                    said = inputs * self._input_llm + outputs * self._output_llm
                else:
                    said = inputs * self._input_embedding + outputs * self._output_embedding
                words[at + _USE] = said & _ALL_64
            if answer:
                id = answer >> _HIGH | 1
                if kinds & (_ANSWERED | _SAID) == _ANSWERED:
                    words[at + _ANSWER] = _marked(whose ^ answer ^ (outputs * _STRIDE & _ALL_64))
                    self.answers._fetch(words[at + _ANSWER])
                    words[at + _TIME] = (start >> _MILLISECOND & _LOW_32) << _HIGH | finish >> _MILLISECOND & _LOW_32
        words[at + _KINDS] = kinds | id << _HIGH
        return 0

    def repeated(self, now: int) -> list[tuple[int, int]]:
        """Where the spans begin and end whose usage is that of others once more. What they have used is known for later
        requests from now on, `now` in Unix nanoseconds."""
        self.usage.at(now)
        self._now = now
        self._full = 0
        if not self._any and not self.usage.known:
            return []
        self._find_parents()
        self._climb(0)
        self._climb(1)
        return self._repeating() if self._found else []

    def _find_parents(self) -> int:
        """Notes of each span where its parent's record is, if that is in the request, and how many children wait for
        to be settled."""
        words = self._words
        size = 16
        while size < 2 * self._count:
            size *= 2
        places = bytearray(4 * size + 64)
        table = native.halves(places)
        place = 0
        while place < self._count:
            mark = words[place * _WORDS]
            place += 1
            if mark:
                free = mark & (size - 1)
                # Of spans of one id the first is the parent: they must not make a long run of places.
                while table[free] and words[(table[free] - 1) * _WORDS] != mark:
                    free = (free + 1) & (size - 1)
                if table[free] == 0:
                    table[free] = place
        last = above = 0
        place = 0
        while place < self._count:
            at = place * _WORDS
            place += 1
            mark = words[at + 1]
            if mark == 0:
                continue
            if mark != last:
                last = mark
                above = 0
                free = mark & (size - 1)
                while table[free]:
                    if words[(table[free] - 1) * _WORDS] == mark:
                        above = table[free]
                        break
                    free = (free + 1) & (size - 1)
            if above:
                words[at + _LINK] |= above
                words[(above - 1) * _WORDS + _LINK] += _ONE
        return 0

    def _climb(self, around: int) -> int:
        """Settles spans that wait for no child, and their parents when they wait for none any more. What is left then
        are spans of which each is above all others, which come `around`: one of them is taken for the first."""
        words = self._words
        at = 0
        end = self._count * _WORDS
        while at < end:
            if words[at + _KINDS] & _DONE == 0:
                if words[at + _LINK] >> _HIGH == 0:
                    self._up(at)
                elif around:
                    above = ((words[at + _LINK] & _LOW_32) - 1) * _WORDS
                    words[at + _LINK] &= _ALL_64 ^ _LOW_32
                    words[at + 1] = 0
                    words[above + _LINK] -= _ONE
                    if words[above + _LINK] >> _HIGH == 0:
                        self._up(above)
            at += _WORDS
        return 0

    def _up(self, at: int) -> int:
        """Settles the span, which waits for no child, and those above it that then wait for none."""
        words = self._words
        while True:
            self._settle(at)
            words[at + _KINDS] |= _DONE
            above = words[at + _LINK] & _LOW_32
            if above == 0:
                return 0
            at = (above - 1) * _WORDS
            words[at + _LINK] -= _ONE
            if words[at + _LINK] >> _HIGH:
                return 0

    def _settle(self, at: int) -> int:
        """Says whether the span repeats others, and tells those above it what it has used, and those below it."""
        words = self._words
        place = self.usage._find(words[at])
        if place >= 0:
            self._recall(at, place)
        kinds = words[at + _KINDS]
        own = kinds & _BOTH
        below = kinds >> _BELOW_AT & _LOW_8
        rises = below
        used = words[at + _SUM]
        other = 0
        if kinds & _SAME and kinds >> _HIGH:  # What is below it and the same has its answer.
            rises |= own << _ID
        if kinds & _SAID == 0 and kinds & (_BOTH | _USED):
            if own == 0:
                if below & _BOTH:
                    words[at + _KINDS] |= _FOUND
            elif kinds & _SAME or (
                below & own and not (kinds >> _HIGH and below & own << _ID) and self._adds_up(at, own, below)
            ):
                words[at + _KINDS] |= _FOUND
            elif words[at + _ANSWER]:
                time = words[at + _TIME]
                other = self.answers._claim(words[at + _ANSWER], words[at], time >> _HIGH, time & _LOW_32)
                if other:
                    words[at + _KINDS] |= _FOUND
            if words[at + _KINDS] & _FOUND:
                self._found += 1
            if own and kinds & _USED:
                rises |= own
                if kinds >> _HIGH:
                    rises |= own << _ID
                if words[at + _KINDS] & _FOUND == 0:
                    used = used + words[at + _USE] & _ALL_64
                if kinds & _STOP == 0:
                    self._tell(
                        words[at + _LINK] & _LOW_32,
                        words[at + 1],
                        words[at + _USE] >> _HIGH << _HIGH | kinds >> _HIGH,
                        other,
                    )
        if kinds & _STOP or rises == 0:
            return 0
        above = words[at + _LINK] & _LOW_32
        if above:
            above = (above - 1) * _WORDS
            words[above + _KINDS] |= rises << _BELOW_AT
            words[above + _SUM] = words[above + _SUM] + used & _ALL_64
        elif words[at + 1]:
            # What comes again, because its client was not sure, is not added again.
            if used and self.answers._again(words[at] ^ _AGAIN, self._now):
                used = 0
            self.usage._rise(words[at + 1], rises, used)
        return 0

    def _adds_up(self, at: int, own: int, below: int) -> int:
        """Whether the call has used what all calls below it have, or does not say it. None of them has another answer's
        id."""
        words = self._words
        if words[at + _KINDS] & _USED == 0:
            return 1
        return below & _BOTH == own and words[at + _SUM] == words[at + _USE]

    def _recall(self, at: int, place: int) -> int:
        """Takes what is known of calls below the span from requests before as if they came now."""
        words = self._words
        table = self.usage._table
        mark = words[at]
        words[at + _KINDS] |= (table[place + 1] & _LOW_8) << _BELOW_AT
        words[at + _SUM] = words[at + _SUM] + table[place + 2] & _ALL_64
        here = at // _WORDS + 1
        told = place + _TOLD
        # Its place may be taken on the way.
        while told < place + _ENDS and table[place] == mark and table[told]:
            self._tell(here, words[at + 1], table[told], 0)
            told += 1
        return 0

    def _tell(self, at: int, outside: int, told: int, other: int) -> int:
        """Tells all above a call what it has used: the spans from the record `at` on, counted from 1, and then the
        one that is not in the request. `other` says which of them it repeats, and must not be one of its own."""
        words = self._words
        turn = 0
        while at:
            if turn >= _SPANS_UP:
                return 0
            turn += 1
            at = (at - 1) * _WORDS
            kinds = words[at + _KINDS]
            if kinds & _BOTH and (other == 0 or words[at] & _OWNER | 1 != other):
                if told & _LOW_32 and kinds >> _HIGH:
                    if told & _LOW_32 == kinds >> _HIGH:
                        words[at + _KINDS] |= _SAME
                elif kinds & _USED and words[at + _USE] >> _HIGH == told >> _HIGH:
                    words[at + _KINDS] |= _SAME
                    told |= kinds >> _HIGH
            if kinds & _STOP:
                return 0
            outside = words[at + 1]
            at = words[at + _LINK] & _LOW_32
        if outside and told and (other == 0 or outside & _OWNER | 1 != other):
            if outside != self._full and self.usage._tell(outside, told):
                self._full = outside
        return 0

    def _repeating(self) -> list[tuple[int, int]]:
        words = self._words
        found: list[tuple[int, int]] = []
        at = 0
        end = self._count * _WORDS
        while at < end:
            if words[at + _KINDS] & _FOUND:
                found.append((words[at + _WHERE] >> _HIGH, words[at + _WHERE] & _LOW_32))
            at += _WORDS
        return found


def _stirred(word: int) -> int:
    word = ((word ^ word >> 29) * _STIR) & _ALL_64
    return word ^ word >> 32


def _marked(word: int) -> int:
    """64 bits that stand for it; never 0, which is nothing."""
    mark = _stirred(word)
    if mark == 0:
        return 1
    return mark
