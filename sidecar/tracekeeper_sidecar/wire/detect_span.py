# cython: annotation_typing=False, boundscheck=False, wraparound=False, initializedcheck=False, language_level=3
"""What detectors read of a span: its fields, and where the attributes lie that they know; compiled with the types in
detect_span.pxd.

Attributes are known by OpenTelemetry's names for generative AI, and by those that other steps of ours write.
"""

from __future__ import annotations

from tracekeeper_sidecar.wire import native
from tracekeeper_sidecar.wire.walker import Walker

OPERATION = 0
AGENT = 1
TOOL = 2
ARGUMENTS = 3
CONVERSATION = 4
INPUT = 5
OUTPUT = 6
ASKED = 7
ANSWERED = 8
REASONS = 9
PROVIDER = 10
KIND = 11
REPEATED = 12
MCP = 13
MESSAGES = 14
FROM = 15
TO = 16
HANDOFFS = 17
DETECTED = 18
SERVICE = 19
_SLOTS = 20

NAMES = (
    (b"gen_ai.operation.name", OPERATION),
    (b"gen_ai.agent.name", AGENT),
    (b"gen_ai.tool.name", TOOL),
    (b"gen_ai.tool.call.arguments", ARGUMENTS),
    (b"gen_ai.conversation.id", CONVERSATION),
    (b"gen_ai.usage.input_tokens", INPUT),
    (b"gen_ai.usage.output_tokens", OUTPUT),
    (b"gen_ai.request.model", ASKED),
    (b"gen_ai.response.model", ANSWERED),
    (b"gen_ai.response.finish_reasons", REASONS),
    (b"gen_ai.provider.name", PROVIDER),
    (b"tracekeeper.kind", KIND),
    (b"tracekeeper.usage.repeated", REPEATED),
    (b"mcp.method.name", MCP),
    (b"gen_ai.input.messages", MESSAGES),
    (b"tracekeeper.handoff.from", FROM),
    (b"tracekeeper.handoff.to", TO),
    (b"openai.agents.from_agent", FROM),
    (b"openai.agents.to_agent", TO),
    (b"openai.agents.handoffs", HANDOFFS),
    (b"tracekeeper.detected", DETECTED),
    (b"service.name", SERVICE),
)
"""The attributes, and their slots."""

NO_KIND, LLM, EMBEDDING, TOOLS, AGENTS, HANDS_OVER = 0, 1, 2, 3, 4, 5
_LLM, _EMBEDDING, _TOOLS, _AGENTS, _HANDS_OVER = LLM, EMBEDDING, TOOLS, AGENTS, HANDS_OVER
_KINDS = {
    b"chat": LLM,
    b"text_completion": LLM,
    b"generate_content": LLM,
    b"llm": LLM,
    b"embeddings": EMBEDDING,
    b"embedding": EMBEDDING,
    b"execute_tool": TOOLS,
    b"tool": TOOLS,
    b"invoke_agent": AGENTS,
    b"agent": AGENTS,
    b"handoff": HANDS_OVER,
}
"""By `gen_ai.operation.name`, and by `tracekeeper.kind`."""

_OPERATION, _KIND, _SERVICE = OPERATION, KIND, SERVICE
_ABSENT = -1
_NONE = -1
_MOST_NUMBER = 1_000_000_000
_LOW_32 = 0xFFFFFFFF
_ALL_64 = 0xFFFFFFFFFFFFFFFF
_PLACES = 128
_PLACE_BITS = 57


def _mark(name: bytes) -> int:
    """What names differ in: the last eight bytes, the length and the byte in the middle."""
    size = len(name)
    return int.from_bytes(name[-8:]) ^ size << 56 ^ name[size >> 1] << 48


def _multiplier() -> int:
    """One that gives each name a place of its own."""
    found = 0x9E3779B97F4A7C15
    for _ in range(100_000):
        if len({(_mark(name) * found & _ALL_64) >> _PLACE_BITS for name, _ in NAMES}) == len(NAMES):
            return found
        found = (found * 0x5851F42D4C957F2D + 2) & _ALL_64 | 1
    raise AssertionError("two names differ in nothing that is looked at")


def _words(name: bytes) -> list[int]:
    """All of a name of 8 to 32 bytes, in words that may overlap: the first 8 bytes, those from 8 and from 16 on, if it
    has as many, and the last."""
    at = (0, min(8, len(name) - 8), min(16, len(name) - 8), len(name) - 8)
    return [int.from_bytes(name[begin : begin + 8]) for begin in at]


_FACTOR = _multiplier()
_LENGTHS = sum({1 << len(name) for name, _ in NAMES})


class Said(Walker):
    """Stands at one span at a time. For one thread at a time."""

    def __init__(self) -> None:
        Walker.__init__(self)
        self._value = [_ABSENT] * 24
        self._value_end = [0] * 24
        self._words_of = [0] * 512
        self._size_of = [0] * 128
        self._slot_of = [_NONE] * 128
        for name, slot in NAMES:
            place = (_mark(name) * _FACTOR & _ALL_64) >> _PLACE_BITS
            for at, word in enumerate(_words(name)):
                self._words_of[4 * place + at] = word
            self._size_of[place] = len(name)
            self._slot_of[place] = slot
        self._trace = self._span_id = self._parent = _NONE
        self._root = 1
        self._role = self._flags = self._code = 0
        self._start = self._end = 0
        self._said = self._until = 0

    def _enter(self, data: bytes, begin: int, end: int) -> None:
        """Notes what the service of the ResourceSpans at [begin, end) is called: at [_said, _until), or nothing."""
        self._clear()
        self._said = self._until = 0
        pos = begin
        while pos < end:
            stop = self.next(data, pos, end)
            if stop < 0:
                break
            if self.number == 1 and self.wire == 2:
                at = self.value
                while at < stop:
                    after = self.next(data, at, stop)
                    if after < 0:
                        break
                    if self.number == 1 and self.wire == 2:
                        self._attribute(data, self.value, after)
                    at = after
            pos = stop
        self._text(data, _SERVICE)

    def _clear(self) -> None:
        slot = 0
        while slot < _SLOTS:
            self._value[slot] = _ABSENT
            slot += 1

    def _read(self, data: bytes, begin: int, end: int) -> int:
        """Notes what the span at [begin, end) says; 0 if it has no ids."""
        self._trace = self._span_id = self._parent = _NONE
        self._root = 1
        self._role = self._flags = self._code = 0
        self._start = self._end = 0
        self._clear()
        pos = begin
        while pos < end:
            # Short attributes with short names, as every library writes them, most of which nobody knows.
            if data[pos] == 74 and pos + 3 < end and data[pos + 1] < 128 and data[pos + 2] == 10 and data[pos + 3] < 63:
                stop = pos + 2 + data[pos + 1]
                if stop <= end:
                    if _LENGTHS >> data[pos + 3] & 1:
                        at = pos + 4 + data[pos + 3]
                        if at + 1 < stop and data[at] == 18 and data[at + 1] < 128 and at + 2 + data[at + 1] == stop:
                            self._named(data, pos + 4, at, at + 2, stop)
                        else:
                            self._attribute(data, pos + 2, stop)
                    pos = stop
                    continue
            stop = self.next(data, pos, end)
            if stop < 0:
                break
            number = self.number
            if self.wire == 2:
                if number == 9:
                    self._attribute(data, self.value, stop)
                elif number == 1:
                    if stop - self.value == 16:
                        self._trace = self.value
                elif number == 2:
                    if stop - self.value == 8:
                        self._span_id = self.value
                elif number == 4:
                    self._root = self.value == stop
                    if stop - self.value == 8:
                        self._parent = self.value
                elif number == 15:
                    self._status(data, self.value, stop)
            elif self.wire == 1:
                if number == 7:
                    self._start = native.fixed(data, self.value)
                elif number == 8:
                    self._end = native.fixed(data, self.value)
            elif self.wire == 0:
                if number == 6:
                    self._role = self.read & _LOW_32
            elif number == 16:
                self._flags = data[self.value] | data[self.value + 1] << 8
            pos = stop
        return self._trace >= 0 and self._span_id >= 0

    def _status(self, data: bytes, pos: int, end: int) -> None:
        while pos < end:
            stop = self.next(data, pos, end)
            if stop < 0:
                break
            if self.number == 3 and self.wire == 0:
                self._code = self.read & _LOW_32
            pos = stop

    def _attribute(self, data: bytes, pos: int, end: int) -> None:
        """Notes where the value of the KeyValue at [pos, end) is, if its name is known. Of two the first counts."""
        if self._key_value(data, pos, end) < 0 or self._pair_value == 0:
            return
        if self._pair_key_end - self._pair_key > 7 and self._pair_key_end - self._pair_key < 63:
            self._named(data, self._pair_key, self._pair_key_end, self._pair_value, self._pair_value_end)

    def _named(self, data: bytes, key: int, key_end: int, value: int, value_end: int) -> None:
        """The same of a name of 8 bytes or more, and its value."""
        size = key_end - key
        last = native.word(data, key_end - 8)
        middle = data[key + (size >> 1)]
        mark = last ^ size << 56 ^ middle << 48
        place = ((mark * _FACTOR) & _ALL_64) >> _PLACE_BITS
        slot = self._slot_of[place]
        if slot < 0 or self._value[slot] >= 0 or self._size_of[place] != size:
            return
        place *= 4
        if last != self._words_of[place + 3] or native.word(data, key) != self._words_of[place]:
            return
        if size > 16:
            if native.word(data, key + 8) != self._words_of[place + 1]:
                return
            if size > 24 and native.word(data, key + 16) != self._words_of[place + 2]:
                return
        self._value[slot] = value
        self._value_end[slot] = value_end

    def _text(self, data: bytes, slot: int) -> int:
        """Whether the slot has a text that is not empty, which is then at [_said, _until)."""
        pos = self._value[slot]
        if pos < 0:
            return 0
        return self._string(data, pos, self._value_end[slot])

    def _string(self, data: bytes, pos: int, end: int) -> int:
        """The same of the AnyValue at [pos, end)."""
        if end - pos > 2 and data[pos] == 10 and data[pos + 1] < 128 and pos + 2 + data[pos + 1] == end:
            self._said = pos + 2
            self._until = end
            return 1
        found = 0
        while pos < end:
            stop = self.next(data, pos, end)
            if stop < 0:
                return 0
            if self.number == 1 and self.wire == 2:
                self._said = self.value
                self._until = stop
                found = stop > self.value
            pos = stop
        return found

    def _tokens(self, data: bytes, slot: int) -> int:
        """The slot's whole number; -1 if there is none, or one that no call can have used."""
        pos = self._value[slot]
        if pos < 0:
            return _NONE
        end = self._value_end[slot]
        if end - pos == 3 and data[pos] == 24 and data[pos + 1] >= 128 and data[pos + 2] < 128:
            return data[pos + 1] & 127 | data[pos + 2] << 7
        while pos < end:
            stop = self.next(data, pos, end)
            if stop < 0:
                break
            if self.number == 3 and self.wire == 0 and self.read <= _MOST_NUMBER:
                return self.read
            pos = stop
        return _NONE

    def _is(self, data: bytes, text: bytes, size: int) -> int:
        """Whether [_said, _until) is `text`."""
        return self._until - self._said == size and native.same(data, self._said, text, size)

    def _kind_of(self, data: bytes) -> int:
        """What kind of span it is: by its operation, else by what Normalize has made of it."""
        kind = 0
        if self._text(data, _OPERATION):
            if self._is(data, b"chat", 4):
                return _LLM
            if self._until - self._said <= 16:
                kind = self._kind_named(bytes(data[self._said : self._until]))
        if kind == 0 and self._value[_KIND] >= 0 and self._text(data, _KIND) and self._until - self._said <= 16:
            kind = self._kind_named(bytes(data[self._said : self._until]))
        return kind

    def _kind_named(self, name: bytes) -> int:
        kind: int = _KINDS.get(name, 0)
        return kind

    def _decoded(self, data: bytes, slot: int) -> str:
        """The slot's text, of 128 bytes at most; empty where there is none."""
        if not self._text(data, slot):
            return ""
        return bytes(data[self._said : min(self._until, self._said + 128)]).decode(errors="ignore")
