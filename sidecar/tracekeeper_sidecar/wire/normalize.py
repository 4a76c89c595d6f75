# cython: annotation_typing=False, boundscheck=False, wraparound=False, initializedcheck=False, language_level=3
"""Finds the spans of a request that do not speak the canonical names yet, and those whose usage repeats what is below
them; compiled with the types in normalize.pxd.

One pass, and no object for a span that needs nothing. Each distinct key is judged once: its hash, with a seed of this
process, leads to the verdict. What to do with the spans that are found is said in `process.normalize`.

The request has passed the scanner. Should it all the same be cut off somewhere, no byte outside of it is read.
"""

from __future__ import annotations

from collections.abc import Callable

from tracekeeper_sidecar.wire import labels, native, normalize_repeats
from tracekeeper_sidecar.wire.normalize_repeats import Repeats
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

_LLM, _EMBEDDING = normalize_repeats.LLM, normalize_repeats.EMBEDDING
_STOP, _SAID = normalize_repeats.STOP, normalize_repeats.SAID
_USED, _ANSWERED = normalize_repeats.USED, normalize_repeats.ANSWERED

_KNOWN = 2048
"""Keys whose verdict is remembered."""
_PLACES = 4096
_TURNS = 32
"""Attributes of a span that are guessed from those of the one before."""
_MOST_TOKENS = 1_000_000_000
_PEEK = 512
"""Bytes of messages that are looked at for parts."""


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

    def __init__(self, judge: Callable[[bytes], int], repeats: Repeats) -> None:
        """`judge` says the verdict on a key, or, with b"event:" before it, on an event's name."""
        Walker.__init__(self)
        self._repeats = repeats
        self._judge = judge
        self._seed = repeats.seed
        self._marks = [0] * 4096
        self._verdicts = [0] * 4096
        self._once = self._learned = self._cut = self._keys = 0
        self._were = [0] * 32
        self._sizes = [0] * 32
        self._likely = [0] * 32
        self._why = self._foreign = self._told = self._parts = self._is_tool = self._odd = self._flat = 0
        self._kinds = self._operation = self._names_messages = self._event = self._done = self._strange = 0
        self._trace = self._span_id = self._parent = self._response = self._response_end = -1
        self._inputs = self._outputs = self._start = self._end = 0
        self._resource = self._resource_end = self._scope = self._scope_end = -1

    def look(self, body: bytes) -> list[Work]:
        """The spans that need work, in their order; what they say of usage is noted for `repeated`.

        Raises ValueError when the body is not protobuf.
        """
        size = len(body)
        self._repeats._begin()
        self._cut = self._keys = 0
        found: list[Work] = []
        pos = 0
        while pos < size:
            stop = self.next(body, pos, size)
            if stop < 0:
                self._cut = 1
                break
            if self.number == 1 and self.wire == 2:
                self._resource_spans(body, self.value, stop, found)
            pos = stop
        if self._cut:
            raise ValueError("the body is not a request: a message in it is cut off")
        return found

    def repeated(self, now: int) -> list[tuple[int, int]]:
        """Where the spans of the request that `look` saw last begin and end whose usage is that of others once more.
        What they have used is known for later requests from now on, `now` in Unix nanoseconds."""
        return self._repeats.repeated(now)

    def _resource_spans(self, data: bytes, begin: int, end: int, found: list[Work]) -> None:
        self._own(data, begin, end)
        self._resource = self._scope
        self._resource_end = self._scope_end
        pos = begin
        while pos < end:
            stop = self.next(data, pos, end)
            if stop < 0:
                self._cut = 1
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
                self._cut = 1
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

    def _span(self, data: bytes, begin: int, end: int) -> int:
        """Notes what is said of the span at [begin, end), and why it needs work."""
        self._trace = self._span_id = self._parent = self._response = -1
        self._inputs = self._outputs = self._start = self._end = 0
        self._foreign = self._told = self._parts = self._is_tool = self._odd = self._flat = self._done = 0
        self._kinds = self._operation = self._names_messages = self._event = self._strange = 0
        self._once = 0
        pos = begin
        turn = 0
        while pos < end:
            tag = data[pos]
            if tag == 74 and pos + 1 < end and data[pos + 1] < 128:  # An attribute of less than 128 bytes.
                stop = pos + 2 + data[pos + 1]
                if stop <= end and pos + 3 < stop and data[pos + 2] == 10 and data[pos + 3] < 128:
                    key = pos + 4
                    key_end = key + data[pos + 3]
                    if key_end + 1 < stop and data[key_end] == 18 and key_end + 2 + data[key_end + 1] == stop:
                        if turn < self._keys and data[pos + 3] == self._sizes[turn] and self._is_same(data, key, turn):
                            verdict = self._likely[turn]
                        else:
                            verdict = self._verdict_of(data, key, key_end, 0)
                            if turn < _TURNS:
                                self._were[turn] = key
                                self._sizes[turn] = data[pos + 3]
                                self._likely[turn] = verdict
                                if turn == self._keys:
                                    self._keys += 1
                        turn += 1
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
                if tag == 48 and size < 128:  # Its kind; name and status say nothing here either.
                    pos += 2
                    continue
                if (tag == 42 or tag == 122) and size < 128 and pos + 2 + size <= end:
                    pos += 2 + size
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
        return self._keep(data, begin, end)

    def _is_same(self, data: bytes, key: int, turn: int) -> int:
        """Whether the key is the one that was there in the span before, which is as long."""
        was = self._were[turn]
        last = self._sizes[turn] - 8
        if last < 0:
            return 0
        pos = 0
        while pos < last:
            if native.fixed(data, key + pos) != native.fixed(data, was + pos):
                return 0
            pos += 8
        return native.fixed(data, key + last) == native.fixed(data, was + last)

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

    def _keep(self, data: bytes, begin: int, end: int) -> int:
        """Keeps what is to be known of the span for `repeated`."""
        answer = 0
        if self._response >= 0 and self._kinds & (_LLM | _EMBEDDING):
            answer = labels.marked(data, self._response, self._response_end, self._seed)
        return self._repeats._note(
            data, begin, end, self._trace, self._span_id, self._parent, self._kinds, self._inputs, self._outputs,
            answer, self._start, self._end,
        )  # fmt: skip

    def _attribute(self, data: bytes, pos: int, end: int) -> int:
        """The same of the KeyValue at [pos, end), however it is written."""
        if self._key_value(data, pos, end) < 0 or self._pair_key_end == self._pair_key or self._pair_value == 0:
            return 0
        value = self._pair_value
        value_end = self._pair_value_end
        verdict = self._verdict_of(data, self._pair_key, self._pair_key_end, 0)
        if verdict:
            self._note(data, verdict, value, value_end)
        return 0

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
        if verdict != _PART and verdict != _MESSAGES:  # Which have several keys. Of two of one key the first counts.
            if self._once >> verdict & 1:
                return
            self._once |= 1 << verdict
        if verdict == _INPUT or verdict == _OUTPUT:
            if self._is_plain(data, value, end):
                self._kinds |= _USED
                if verdict == _INPUT:
                    self._inputs = self.read
                else:
                    self._kinds |= _ANSWERED
                    self._outputs = self.read
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
            if end - value == 2 and data[value] == 16 and data[value + 1] == 1:
                self._kinds |= _SAID

    def _is_plain(self, data: bytes, value: int, end: int) -> int:
        """Whether the AnyValue is a number of tokens that can be."""
        if end - value < 2 or end - value > 6 or data[value] != 24:
            return 0
        if end - value == 2 and data[value + 1] < 128:
            self.read = data[value + 1]
            return 1
        if end - value == 3 and data[value + 1] > 127 and data[value + 2] < 128:
            self.read = data[value + 1] & 127 | data[value + 2] << 7
            return 1
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

    def _note_event(self, data: bytes, pos: int, end: int) -> int:
        while pos < end:
            stop = self.next(data, pos, end)
            if stop < 0:
                return 0
            if self.number == 2 and self.wire == 2:
                if stop - self.value > 6 and native.same(data, self.value, b"gen_ai", 6):
                    if self._verdict_of(data, self.value, stop, 1):
                        self._event = 1
                return 0
            pos = stop
        return 0

    def _verdict_of(self, data: bytes, key: int, end: int, event: int) -> int:
        """The verdict on the key at [key, end), or on an event's name."""
        mark = labels.marked(data, key, end, self._seed) ^ event
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
