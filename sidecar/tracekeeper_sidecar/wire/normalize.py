# cython: annotation_typing=False, boundscheck=False, wraparound=False, initializedcheck=False, language_level=3
"""Finds the spans of a request that do not speak the canonical names yet, and those whose usage repeats what is below
them; compiled with the types in normalize.pxd.

One pass, and no object for a span that needs nothing. Each distinct key is judged once: its hash, with a seed of this
process, leads to the verdict. What to do with the spans that are found is said in `process.normalize`.

The request has passed the scanner. Should it all the same be cut off somewhere, no byte outside of it is read.
"""

from __future__ import annotations

from collections.abc import Callable

from tracekeeper_sidecar.wire import native
from tracekeeper_sidecar.wire.normalize_usage import Usage
from tracekeeper_sidecar.wire.walker import Walker

FOREIGN = 1
"""In a verdict: a dialect's table has this key. The rest of a verdict is one of these."""
OPERATION, INPUT, OUTPUT, PART, TOOL = 2, 4, 6, 8, 10
RESPONSE, BASIS, DIALECT, MESSAGES, REPEATED = 12, 14, 16, 18, 20

TRANSLATE, NUMBERS, WORK_OUT, NAME_KIND, FLAT, EVENTS = 1, 2, 4, 8, 16, 32
"""Why a span needs work: foreign keys; usage that is no plain number; parts of usage without a basis; an operation
that is not known, or none of a tool; messages without parts; events that tell messages."""

_FOREIGN, _OPERATION, _INPUT, _OUTPUT, _PART, _TOOL = FOREIGN, OPERATION, INPUT, OUTPUT, PART, TOOL
_RESPONSE, _BASIS, _DIALECT, _MESSAGES, _REPEATED = RESPONSE, BASIS, DIALECT, MESSAGES, REPEATED
_TRANSLATE, _NUMBERS, _WORK_OUT, _NAME_KIND, _FLAT, _EVENTS = TRANSLATE, NUMBERS, WORK_OUT, NAME_KIND, FLAT, EVENTS

_LLM, _EMBEDDING = 1, 2
_BOTH = 3
_STOP = 16
"""A tool's span: what is called below it is its own."""
_SAID = 32
"""Is marked already."""
_USED = 64
"""Names tokens, whatever it is."""

_KNOWN = 2048
"""Keys whose verdict is remembered."""
_PLACES = 4096
_MOST_TOKENS = 1_000_000_000
_PEEK = 512
"""Bytes of messages that are looked at for parts."""
_ROUNDS = 16
_WORDS = 10
_BELOW = 8
_ABOVE = 9
"""In a record, after the marks of span, parent and answer, what it is, begin and end of its bytes, and of its time: what is
used below it, and where its parent's record is."""
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


class Work:
    """A span that needs work."""

    def __init__(self, resource: int, resource_end: int, scope: int, scope_end: int, span: int, span_end: int,
                 why: int) -> None:  # fmt: skip
        self.resource = resource
        """Where its resource's content begins, -1 if there is none. So for the scope, and the span."""
        self.resource_end = resource_end
        self.scope = scope
        self.scope_end = scope_end
        self.span = span
        self.span_end = span_end
        self.why = why
        """Bits: TRANSLATE and so on."""


class Normalizer(Walker):
    """Looks through requests, one after the other. For one thread at a time."""

    def __init__(self, judge: Callable[[bytes], int], usage: Usage, seed: int) -> None:
        """`judge` says the verdict on a key, or, with b"event:" before it, on an event's name."""
        Walker.__init__(self)
        self.usage = usage
        self._judge = judge
        self._seed = seed
        self._marks = [0] * 4096
        self._verdicts = [0] * 4096
        self._learned = 0
        self._room = self._places = bytearray(64)
        self._count = self._any = 0
        self._why = self._foreign = self._told = self._parts = self._is_tool = self._odd = self._flat = 0
        self._kinds = self._used = self._operation = self._names_messages = self._event = self._done = self._strange = 0
        self._trace = self._span_id = self._parent = self._response = self._response_end = -1
        self._answer = self._answer_end = self._start = self._end = 0
        self._resource = self._resource_end = self._scope = self._scope_end = -1

    def take_over(self, older: Normalizer) -> None:
        """Go on with what `older` knows of usage, which is not used any more."""
        self.usage = older.usage
        self._seed = older._seed
        self._forget()

    def look(self, body: bytes) -> list[Work]:
        """The spans that need work, in their order; what they say of usage is noted for `repeated`.

        Raises ValueError when the body is not protobuf.
        """
        size = len(body)
        total = self.count(body, size)
        if total < 0:
            raise ValueError("the body is not a request: a message in it is cut off")
        self._room = bytearray(8 * _WORDS * total + 64)
        self._count = self._any = 0
        found: list[Work] = []
        pos = 0
        while pos < size:
            stop = self.next(body, pos, size)
            if self.number == 1 and self.wire == 2:
                self._resource_spans(body, self.value, stop, found)
            pos = stop
        return found

    def repeated(self, now: int) -> list[tuple[int, int]]:
        """Where the spans of the request that `look` saw last begin and end whose usage is that of others once more. What
        they and the others have used is known for later requests from now on, `now` in Unix nanoseconds."""
        self.usage.at(now)
        if not self._any and not self.usage.known:
            return []
        self._spread()
        return self._repeating()

    def _resource_spans(self, data: bytes, begin: int, end: int, found: list[Work]) -> None:
        self._own(data, begin, end)
        self._resource = self._scope
        self._resource_end = self._scope_end
        pos = begin
        while pos < end:
            stop = self.next(data, pos, end)
            if stop < 0:
                return
            if self.number == 2 and self.wire == 2:
                self._scope_spans(data, self.value, stop, found)
            pos = stop

    def _scope_spans(self, data: bytes, begin: int, end: int, found: list[Work]) -> None:
        self._own(data, begin, end)
        pos = begin
        while pos < end:
            stop = self.next(data, pos, end)
            if stop < 0:
                return
            if self.number == 2 and self.wire == 2:
                span = self.value
                self._span(data, span, stop)
                if self._why:
                    found.append(
                        Work(self._resource, self._resource_end, self._scope, self._scope_end, span, stop, self._why)
                    )
            pos = stop

    def _own(self, data: bytes, begin: int, end: int) -> None:
        """Notes as scope where field 1 of the message at [begin, end) is. Of two the last counts."""
        self._scope = self._scope_end = -1
        pos = begin
        while pos < end:
            stop = self.next(data, pos, end)
            if stop < 0:
                return
            if self.number == 1 and self.wire == 2:
                self._scope = self.value
                self._scope_end = stop
            pos = stop

    def _span(self, data: bytes, begin: int, end: int) -> None:
        """Notes what is said of the span at [begin, end), and why it needs work."""
        self._trace = self._span_id = self._parent = self._response = -1
        self._answer = self._answer_end = self._start = self._end = 0
        self._foreign = self._told = self._parts = self._is_tool = self._odd = self._flat = self._done = 0
        self._kinds = self._used = self._operation = self._names_messages = self._event = self._strange = 0
        pos = begin
        while pos < end:
            tag = data[pos]
            if tag == 74 and pos + 1 < end and data[pos + 1] < 128:  # An attribute of less than 128 bytes.
                stop = pos + 2 + data[pos + 1]
                if stop <= end and pos + 3 < stop and data[pos + 2] == 10 and data[pos + 3] < 128:
                    key = pos + 4
                    key_end = key + data[pos + 3]
                    if key_end + 1 < stop and data[key_end] == 18 and key_end + 2 + data[key_end + 1] == stop:
                        verdict = self._verdict_of(data, key, key_end, 0)
                        if verdict:
                            self._note(data, verdict, key_end + 2, stop)
                        pos = stop
                        continue
            elif pos + 18 <= end:  # The other fields as every library writes them; what is odd goes the long way.
                size = data[pos + 1]
                if tag == 10 and size == 16:
                    self._trace = pos + 2
                    pos += 18
                    continue
                if tag == 18 and size == 8:
                    self._span_id = pos + 2
                    pos += 10
                    continue
                if tag == 34 and size == 8:
                    self._parent = pos + 2
                    pos += 10
                    continue
                if tag == 57:
                    self._start = native.fixed(data, pos + 1)
                    pos += 9
                    continue
                if tag == 65:
                    self._end = native.fixed(data, pos + 1)
                    pos += 9
                    continue
            stop = self.next(data, pos, end)
            if stop < 0:
                break
            if self.wire == 2:
                number = self.number
                if number == 9:
                    self._attribute(data, self.value, stop)
                elif number == 1:
                    if stop - self.value == 16:
                        self._trace = self.value
                elif number == 2:
                    if stop - self.value == 8:
                        self._span_id = self.value
                elif number == 4:
                    if stop - self.value == 8:
                        self._parent = self.value
                elif number == 11:
                    self._note_event(data, self.value, stop)
            elif self.wire == 1:
                if self.number == 7:
                    self._start = native.fixed(data, self.value)
                elif self.number == 8:
                    self._end = native.fixed(data, self.value)
            pos = stop
        self._reason()
        self._keep(data, begin, end)

    def _reason(self) -> None:
        why = 0
        if not self._done:
            if self._foreign:
                why |= _TRANSLATE
            if self._event and not self._names_messages:
                why |= _EVENTS
        if self._odd:
            why |= _NUMBERS
        if self._parts and not self._told:
            why |= _WORK_OUT
        if self._strange or (self._is_tool and not self._operation):
            why |= _NAME_KIND
        if self._flat:
            why |= _FLAT
        self._why = why

    def _keep(self, data: bytes, begin: int, end: int) -> None:
        """Keeps what is to be known of the span for `repeated`."""
        words = native.words(self._room)
        at = self._count * _WORDS
        self._count += 1
        words[at] = words[at + 1] = words[at + 2] = words[at + 3] = words[at + 6] = words[at + 7] = 0
        words[at + 4] = begin
        words[at + 5] = end
        if self._trace < 0 or self._span_id < 0:
            return
        trace = _stirred(_stirred(native.word(data, self._trace) ^ self._seed) ^ native.word(data, self._trace + 8))
        words[at] = _marked(trace ^ native.word(data, self._span_id))
        if self._parent >= 0:
            words[at + 1] = _marked(trace ^ native.word(data, self._parent))
        words[at + 3] = self._kinds
        if self._used:
            words[at + 3] = self._kinds | _USED
        if self._used and self._kinds & _BOTH:
            self._any = 1
            if self._response >= 0 and self._answer > 0:
                words[at + 2] = _marked(
                    trace
                    ^ self._hash(data, self._response, self._response_end)
                    ^ self._hash(data, self._answer, self._answer_end) >> 1
                )
                words[at + 6] = self._start >> _MILLISECOND & _LOW_32
                words[at + 7] = self._end >> _MILLISECOND & _LOW_32

    def _attribute(self, data: bytes, pos: int, end: int) -> None:
        """The same of the KeyValue at [pos, end), however it is written."""
        key = key_end = value = value_end = 0
        while pos < end:
            stop = self.next(data, pos, end)
            if stop < 0:
                return
            if self.wire == 2:
                if self.number == 1:
                    key = self.value
                    key_end = stop
                elif self.number == 2:
                    value = self.value
                    value_end = stop
            pos = stop
        if key_end > key and value > 0:
            verdict = self._verdict_of(data, key, key_end, 0)
            if verdict:
                self._note(data, verdict, value, value_end)

    def _note(self, data: bytes, verdict: int, value: int, end: int) -> None:
        """Notes an attribute of that verdict whose AnyValue is at [value, end)."""
        if verdict & _FOREIGN:
            if verdict == _FOREIGN | _PART:
                if not self._is_plain(data, value, end) or self.read:
                    self._foreign = 1
                return
            self._foreign = 1
        verdict = verdict & ~_FOREIGN
        if verdict == 0:
            return
        if verdict == _INPUT or verdict == _OUTPUT:
            if self._is_plain(data, value, end):
                self._used = 1
                if verdict == _OUTPUT:
                    self._answer = value
                    self._answer_end = end
            else:
                self._odd = 1
        elif verdict == _PART:
            if not self._is_plain(data, value, end):
                self._odd = 1
                self._parts = 1
            elif self.read:
                self._parts = 1
        elif verdict == _OPERATION:
            self._operation = 1
            self._name(data, value, end)
        elif verdict == _TOOL:
            self._is_tool = 1
        elif verdict == _RESPONSE:
            self._response = value
            self._response_end = end
        elif verdict == _BASIS:
            self._told = 1
        elif verdict == _DIALECT:
            self._done = 1
        elif verdict == _MESSAGES:
            self._names_messages = 1
            if self._is_flat(data, value, end):
                self._flat = 1
        elif verdict == _REPEATED:
            self._kinds |= _SAID

    def _is_plain(self, data: bytes, value: int, end: int) -> int:
        """Whether the AnyValue is a number of tokens that can be."""
        if end - value < 2 or end - value > 6 or data[value] != 24:
            return 0
        return self._varint(data, value + 1, end) == 0 and self._at == end and self.read <= _MOST_TOKENS

    def _name(self, data: bytes, value: int, end: int) -> None:
        """Notes the kind of component that the operation's name says."""
        size = end - value - 2
        if size < 4 or data[value] != 10 or data[value + 1] != size:
            self._strange = 1
            return
        if (
            (size == 4 and native.same(data, value + 2, b"chat", 4))
            or (size == 15 and native.same(data, value + 2, b"text_completion", 15))
            or (size == 16 and native.same(data, value + 2, b"generate_content", 16))
        ):
            self._kinds |= _LLM
        elif size == 10 and native.same(data, value + 2, b"embeddings", 10):
            self._kinds |= _EMBEDDING
        elif size == 12 and native.same(data, value + 2, b"execute_tool", 12):
            self._kinds |= _STOP
        elif not (
            (size == 12 and native.same(data, value + 2, b"invoke_agent", 12))
            or (size == 12 and native.same(data, value + 2, b"create_agent", 12))
            or (size == 15 and native.same(data, value + 2, b"invoke_workflow", 15))
            or (size == 9 and native.same(data, value + 2, b"retrieval", 9))
        ):
            self._strange = 1

    def _is_flat(self, data: bytes, value: int, end: int) -> int:
        """Whether the AnyValue may be a list of messages without parts. Those that have any say so early."""
        pos = value
        if end - value < 5:
            return 0
        if data[value] == 10:
            pos = value + 1
            while pos < end and data[pos] > 127:
                pos += 1
            pos += 1
            while pos < end and (data[pos] == 32 or data[pos] == 10):
                pos += 1
            if pos >= end or data[pos] != 91 or end - pos < 5:
                return 0
        elif data[value] != 42:
            return 0
        if end - pos > _PEEK:
            end = pos + _PEEK
        end -= 5
        while pos < end:
            if data[pos] == 112 and native.same(data, pos, b"parts", 5):
                return 0
            pos += 1
        return 1

    def _note_event(self, data: bytes, pos: int, end: int) -> None:
        while pos < end:
            stop = self.next(data, pos, end)
            if stop < 0:
                return
            if self.number == 2 and self.wire == 2:
                if stop - self.value > 6 and native.same(data, self.value, b"gen_ai", 6):
                    if self._verdict_of(data, self.value, stop, 1):
                        self._event = 1
                return
            pos = stop

    def _verdict_of(self, data: bytes, key: int, end: int, event: int) -> int:
        """The verdict on the key at [key, end), or on an event's name."""
        mark = self._hash(data, key, end) ^ event
        if mark == 0:
            mark = 2
        place = mark >> 52
        while self._marks[place]:
            if self._marks[place] == mark:
                return self._verdicts[place]
            place = (place + 1) & (_PLACES - 1)
        return self._learn(data, key, end, event, mark)

    def _learn(self, data: bytes, key: int, end: int, event: int, mark: int) -> int:
        """Asks for the verdict on a key that is new. Whoever makes keys up has all forgotten now and then."""
        if self._learned >= _KNOWN:
            self._forget()
        text = bytes(data[key:end])
        verdict = self._judge(b"event:" + text if event else text)
        place = mark >> 52
        while self._marks[place]:
            place = (place + 1) & (_PLACES - 1)
        self._marks[place] = mark
        self._verdicts[place] = verdict
        self._learned += 1
        return verdict

    def _forget(self) -> None:
        place = 0
        while place < _PLACES:
            self._marks[place] = 0
            place += 1
        self._learned = 0

    def _hash(self, data: bytes, pos: int, end: int) -> int:
        """64 bits for the bytes at [pos, end)."""
        mixed = self._seed ^ (end - pos)
        if end - pos < 8:
            while pos < end:
                mixed = (mixed << 8 ^ mixed >> 56 ^ data[pos]) & _ALL_64
                pos += 1
            return _stirred(_stirred(mixed))
        # Products that do not wait for each other.
        last = end - 8
        mixed ^= ((native.fixed(data, pos) ^ self._seed) * _STIR) & _ALL_64
        mixed ^= ((native.fixed(data, last) + self._seed) * _STEP) & _ALL_64
        if end - pos <= 24:
            mixed ^= ((native.fixed(data, (pos + last) >> 1) ^ self._seed) * _STRIDE) & _ALL_64
            return _stirred(mixed)
        factor = _STRIDE
        pos += 8
        while pos < last:  # No two words have the same factor.
            mixed = (mixed + (native.fixed(data, pos) ^ self._seed) * factor) & _ALL_64
            factor = (factor + _STEP) & _ALL_64
            pos += 8
        return _stirred(mixed)

    def _spread(self) -> None:
        """Tells parents what is used below them: over the request, one way and the other, until nothing is news, or it was
        tried often enough. Parents mostly come after their children."""
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
        """Notes of each span where its parent's record is, if that is in the request, and what was known of it before."""
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
        """Whether another span at the same time had the same answer: in the same trace, by its id and its tokens. Else it is
        this one's from now on. Two instrumentations at once make such spans, one beside the other; servers that give all
        answers one id do not."""
        owner = self.usage._get(answer)
        if owner == 0:
            self.usage._add(answer, span & _OWNER | start << _OWNED | 1)
            self.usage._add(answer ^ _BESIDE, end + 1)
            return 0
        if owner & _OWNER | 1 == span & _OWNER | 1:
            return 0
        return owner >> _OWNED <= end and start < self.usage._get(answer ^ _BESIDE)


def _stirred(word: int) -> int:
    word = ((word ^ word >> 29) * _STIR) & _ALL_64
    return word ^ word >> 32


def _marked(word: int) -> int:
    """64 bits that stand for it; never 0, which is nothing."""
    mark = _stirred(word)
    if mark == 0:
        return 1
    return mark
