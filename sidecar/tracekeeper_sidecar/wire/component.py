# cython: annotation_typing=False, boundscheck=False, wraparound=False, initializedcheck=False, language_level=3
"""What a span says of the component that made it: where its fields and known attributes lie; compiled with the types in
component.pxd.

Attributes are found by OpenTelemetry's names for generative AI (semantic-conventions-genai, attributes `gen_ai.*`).
What reads spans looks at slots, never at names: another dialect's names would lead to the same slots.
"""

from __future__ import annotations

from tracekeeper_sidecar.wire import native
from tracekeeper_sidecar.wire.walker import Walker

OPERATION = 0
PROVIDER = 1
MODEL = 2
ANSWERED = 3
"""The model that has answered."""
AGENT = 4
WORKFLOW = 5
TOOL = 6
ERROR_TYPE = 7
CONVERSATION = 8
REASONS = 9
INPUT = 10
OUTPUT = 11
CACHE_READ = 12
CACHE_WRITE = 13
REASONING = 14
INPUT_AUDIO = 15
OUTPUT_AUDIO = 16
MCP = 17
USER = 18
PROJECT = 19
SERVICE = 20
KIND = 21
"""What sort of component it is, where its operation does not tell."""
REPEATED = 22
"""Whether its tokens are those of spans below it once more."""
COST = 23
"""Dollars: what the price step has written, or before it what the application reports."""
COST_OF_LLM = 24
COST_DETAILS = 25
COST_OF_OPERATION = 26
"""The same as reported in other dialects; of the details, a JSON text."""
COST_SOURCE = 27
COST_REPORTED = 28
COST_PRICE = 29
TRACE_COST = 30
TRACE_UNKNOWN = 31
"""These five are of the price step."""
TIER = 32
"""The tier of service as the application says it itself, as the provider has answered, and as was asked for."""
TIER_ANSWERED = 33
TIER_ASKED = 34
ENVIRONMENT = 35
DETECTED = 36
"""What the step Detect has seen: a list of detectors' names."""
BOOK = 37
"""Of a resource: the book of prices by which calls that name no price of their own are priced."""
_SLOTS = 38

_NAMES = (
    (b"gen_ai.operation.name", OPERATION),
    (b"gen_ai.provider.name", PROVIDER),
    (b"gen_ai.request.model", MODEL),
    (b"gen_ai.response.model", ANSWERED),
    (b"gen_ai.agent.name", AGENT),
    (b"gen_ai.workflow.name", WORKFLOW),
    (b"gen_ai.tool.name", TOOL),
    (b"error.type", ERROR_TYPE),
    (b"gen_ai.conversation.id", CONVERSATION),
    (b"gen_ai.response.finish_reasons", REASONS),
    (b"gen_ai.usage.input_tokens", INPUT),
    (b"gen_ai.usage.output_tokens", OUTPUT),
    (b"gen_ai.usage.cache_read.input_tokens", CACHE_READ),
    (b"gen_ai.usage.cache_creation.input_tokens", CACHE_WRITE),
    (b"gen_ai.usage.cache_write.input_tokens", CACHE_WRITE),
    (b"gen_ai.usage.reasoning.output_tokens", REASONING),
    (b"gen_ai.usage.audio.input_tokens", INPUT_AUDIO),
    (b"gen_ai.usage.audio.output_tokens", OUTPUT_AUDIO),
    (b"mcp.method.name", MCP),
    (b"user.id", USER),
    (b"tracekeeper.project", PROJECT),
    (b"service.name", SERVICE),
    (b"tracekeeper.kind", KIND),
    (b"tracekeeper.usage.repeated", REPEATED),
    (b"gen_ai.usage.cost", COST),
    (b"llm.cost.total", COST_OF_LLM),
    (b"langfuse.observation.cost_details", COST_DETAILS),
    (b"operation.cost", COST_OF_OPERATION),
    (b"tracekeeper.cost.source", COST_SOURCE),
    (b"tracekeeper.cost.reported", COST_REPORTED),
    (b"tracekeeper.cost.price", COST_PRICE),
    (b"tracekeeper.trace.cost", TRACE_COST),
    (b"tracekeeper.trace.cost.unknown", TRACE_UNKNOWN),
    (b"tracekeeper.service_tier", TIER),
    (b"openai.response.service_tier", TIER_ANSWERED),
    (b"gen_ai.openai.response.service_tier", TIER_ANSWERED),
    (b"openai.request.service_tier", TIER_ASKED),
    (b"gen_ai.openai.request.service_tier", TIER_ASKED),
    (b"deployment.environment.name", ENVIRONMENT),
    (b"deployment.environment", ENVIRONMENT),
    (b"tracekeeper.detected", DETECTED),
    (b"tracekeeper.cost.book", BOOK),
)
_OF_RESOURCE = (AGENT, PROJECT, SERVICE, ENVIRONMENT)

KINDS = (
    "", "other", "llm", "embedding", "retriever", "tool", "agent", "workflow",
    "pipeline", "runner", "handoff", "guardrail",
)  # fmt: skip
"""Kinds of components, by their numbers, which are kept on disk: new ones come last."""
NO_KIND = 0
OTHER = 1
LLM = 2
EMBEDDING = 3
RETRIEVER = 4
TOOLS = 5
AGENTS = 6
WORKFLOWS = 7
PIPELINES = 8
RUNNERS = 9
HANDOFFS = 10
GUARDRAILS = 11

_KIND_OF = {
    "chat": LLM,
    "text_completion": LLM,
    "generate_content": LLM,
    "embeddings": EMBEDDING,
    "retrieval": RETRIEVER,
    "execute_tool": TOOLS,
    "invoke_agent": AGENTS,
    "create_agent": AGENTS,
    "invoke_workflow": WORKFLOWS,
}

_ABSENT = -1
_NONE = -1
_NUMBERLESS = -2
"""In place of a number: there is something else."""
_MOST_NUMBER = 1 << 62
_LOW_32 = 0xFFFFFFFF
_ALL_64 = 0xFFFFFFFFFFFFFFFF
_PROBES = 256
_PROBE_BITS = 56

OPERATIONS = tuple(_KIND_OF)
"""Those that are known."""
_OPERATION_TEXTS = [operation.encode() for operation in OPERATIONS]
_OPERATION_KINDS = [*_KIND_OF.values(), *[NO_KIND] * (16 - len(_KIND_OF))]
_OPERATION_COUNT = len(OPERATIONS)
_KIND_TEXTS = [kind.encode() for kind in KINDS]
_KIND_COUNT = len(KINDS)
_OPERATION = OPERATION
_KIND, _REPEATED = KIND, REPEATED
_CACHE_WRITE, _COST, _COST_SOURCE = CACHE_WRITE, COST, COST_SOURCE
_NO_KIND, _OTHER, _LLM, _EMBEDDING = NO_KIND, OTHER, LLM, EMBEDDING
_TRUE = b"\x10\x01"


def kind_of(operation: str) -> int:
    """The kind of the component that a span with this `gen_ai.operation.name` is of: its number in KINDS."""
    return _KIND_OF.get(operation, OTHER)


def _mark(name: bytes) -> int:
    """What the names differ in: the last eight bytes (before a shorter name its length stands on the wire), and the
    length and the byte in the middle."""
    size = len(name)
    before = bytes([size]) + name
    return int.from_bytes(before[size - 7 :]) ^ (size << 56) ^ (int(name[size >> 1]) << 48)


def _multiplier() -> int:
    """One that gives each name a place of its own."""
    found = 0x9E3779B97F4A7C15
    for _ in range(10_000):
        places = {(_mark(name) * found & _ALL_64) >> _PROBE_BITS for name, _ in _NAMES}
        if len(places) == len(_NAMES):
            return found
        found = (found * 0x5851F42D4C957F2D + 2) & _ALL_64 | 1
    raise AssertionError("two names differ in nothing that is looked at")


def _sizes() -> int:
    """A bit for each length that a name has."""
    return sum({pow(2, len(name)) for name, _ in _NAMES})


_FACTOR = _multiplier()
_LENGTHS = _sizes()


class Component(Walker):
    """Stands at one span at a time. For one thread at a time."""

    def __init__(self) -> None:
        Walker.__init__(self)
        self._value = [_ABSENT] * 40
        self._value_end = [0] * 40
        self._resource_value = [_ABSENT] * 40
        self._resource_end = [0] * 40
        self._slot_of = [_NONE] * 256
        self._slot_names = [b""] * 256
        self._slot_sizes = [0] * 256
        for name, slot in _NAMES:
            place = (_mark(name) * _FACTOR & _ALL_64) >> _PROBE_BITS
            self._slot_of[place] = slot
            self._slot_names[place] = name
            self._slot_sizes[place] = len(name)
        self._trace = self._span_id = self._parent = _NONE
        self._root = 1
        self._kind = self._flags = self._code = 0
        self._start = self._end = 0
        self._said = self._until = 0
        self._twice = 0
        """Whether the span says its cost more than once, or where that comes from."""

    def _enter(self, data: bytes, begin: int, end: int) -> None:
        """Notes what the resource of the ResourceSpans at [begin, end) says."""
        slot = 0
        while slot < _SLOTS:
            self._value[slot] = _ABSENT
            slot += 1
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
        slot = 0
        while slot < _SLOTS:
            self._resource_value[slot] = self._value[slot]
            self._resource_end[slot] = self._value_end[slot]
            slot += 1

    def _read(self, data: bytes, begin: int, end: int) -> int:
        """Notes what the span at [begin, end) says; 0 if it has no ids."""
        self._trace = self._span_id = self._parent = _NONE
        self._root = 1
        self._kind = self._flags = self._code = 0
        self._start = self._end = 0
        self._twice = 0
        slot = 0
        while slot < _SLOTS:
            self._value[slot] = _ABSENT
            slot += 1
        pos = begin
        while pos < end:
            if data[pos] == 74 and pos + 1 < end and data[pos + 1] < 128:  # An attribute of less than 128 bytes.
                stop = pos + 2 + data[pos + 1]
                if stop <= end and pos + 3 < stop and data[pos + 2] == 10 and data[pos + 3] < 63:
                    if _LENGTHS >> data[pos + 3] & 1:
                        value = pos + 6 + data[pos + 3]
                        if value <= stop and data[value - 2] == 18 and value + data[value - 1] == stop:
                            slot = self._slot_for(data, pos + 4, value - 2)
                            if slot >= 0:
                                self._store(data, slot, value, stop)
                        else:
                            self._attribute(data, pos + 2, stop)
                    pos = stop
                    continue
            elif pos + 18 <= end:  # The other fields as every library writes them; what is odd goes the long way.
                tag = data[pos]
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
                    self._root = 0
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
            number = self.number
            if self.wire == 2:
                if number == 9:
                    # Of a long one the name comes first, and is nearly always that of a prompt.
                    value = self.value
                    if (
                        stop - value < 64
                        or data[value] != 10
                        or data[value + 1] > 62
                        or _LENGTHS >> data[value + 1] & 1
                    ):
                        self._attribute(data, value, stop)
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
                    self._start = self.as_fixed(data, self.value)
                elif number == 8:
                    self._end = self.as_fixed(data, self.value)
            elif self.wire == 0:
                if number == 6:
                    self._kind = self.read & _LOW_32
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
        """Notes where the value of the KeyValue at [pos, end) is, if the name is known."""
        if self._key_value(data, pos, end) < 0 or self._pair_value == 0:
            return
        slot = self._slot_for(data, self._pair_key, self._pair_key_end)
        if slot >= 0:
            self._store(data, slot, self._pair_value, self._pair_value_end)

    def _store(self, data: bytes, slot: int, begin: int, end: int) -> None:
        """Notes where the value of a slot is. Of two the first counts, but for a zero of a slot that has two names."""
        known = self._value[slot]
        if known < 0 or (slot == _CACHE_WRITE and self._value_end[slot] - known == 2 and data[known + 1] == 0):
            self._value[slot] = begin
            self._value_end[slot] = end
        elif slot == _COST or slot == _COST_SOURCE:
            self._twice = 1

    def _slot_for(self, data: bytes, key: int, key_end: int) -> int:
        """The slot of the attribute whose name is at [key, key_end), which something stands before; _NONE for
        others."""
        size = key_end - key
        if size < 7 or size > 62:
            return _NONE
        middle = data[key + (size >> 1)]
        mark = native.word(data, key_end - 8) ^ size << 56 ^ middle << 48
        place = ((mark * _FACTOR) & _ALL_64) >> _PROBE_BITS
        slot = self._slot_of[place]
        if slot < 0:
            return _NONE
        if self._slot_sizes[place] == size and native.same(data, key, self._slot_names[place], size):
            return slot
        return _NONE

    def _inherit(self, slot: int) -> int:
        """Takes what the resource says where the span says nothing. Whether either does."""
        if self._value[slot] < 0:
            self._value[slot] = self._resource_value[slot]
            self._value_end[slot] = self._resource_end[slot]
        return self._value[slot] >= 0

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

    def _first(self, data: bytes, slot: int) -> int:
        """As `_text`, of the first in a list of texts."""
        pos = self._value[slot]
        if pos < 0:
            return 0
        end = self._value_end[slot]
        while pos < end:
            stop = self.next(data, pos, end)
            if stop < 0:
                return 0
            if self.number == 5 and self.wire == 2:
                at = self.value
                while at < stop:
                    after = self.next(data, at, stop)
                    if after < 0:
                        return 0
                    if self.number == 1 and self.wire == 2:
                        return self._string(data, self.value, after)
                    at = after
                return 0
            pos = stop
        return 0

    def _number(self, data: bytes, slot: int) -> int:
        """The slot's whole number; _NONE if there is nothing, _NUMBERLESS for what is none, or is negative."""
        pos = self._value[slot]
        if pos < 0:
            return _NONE
        end = self._value_end[slot]
        if end - pos == 3 and data[pos] == 24 and data[pos + 1] >= 128 and data[pos + 2] < 128:  # Very often.
            return data[pos + 1] & 127 | data[pos + 2] << 7
        if end - pos > 1 and data[pos] == 24:  # Nearly always.
            if self._varint(data, pos + 1, end) == 0 and self._at == end and self.read < _MOST_NUMBER:
                return self.read
            return _NUMBERLESS
        while pos < end:
            stop = self.next(data, pos, end)
            if stop < 0:
                break
            if self.number == 3 and self.wire == 0 and self.read < _MOST_NUMBER:
                return self.read
            pos = stop
        return _NUMBERLESS

    # What sort of component it is.

    def _operation_kind(self, data: bytes) -> int:
        """The kind by the span's operation: NO_KIND without one, OTHER for one that is not known."""
        if not self._text(data, _OPERATION):
            return _NO_KIND
        number = 0
        size = self._until - self._said
        while number < _OPERATION_COUNT:
            text = _OPERATION_TEXTS[number]
            if len(text) == size and native.same(data, self._said, text, size):
                return _OPERATION_KINDS[number]
            number += 1
        return _OTHER

    def _kind_by(self, data: bytes, kind: int) -> int:
        """The kind of the span, where `kind` is that by its operation: what does not tell goes by the span's own word
        for it, and what repeats the tokens of others is no call of a model."""
        if kind <= _OTHER and self._text(data, _KIND):
            number = _OTHER + 1
            size = self._until - self._said
            while number < _KIND_COUNT:
                text = _KIND_TEXTS[number]
                if len(text) == size and native.same(data, self._said, text, size):
                    kind = number
                    break
                number += 1
        if (kind == _LLM or kind == _EMBEDDING) and self._value[_REPEATED] >= 0:
            pos = self._value[_REPEATED]
            if self._value_end[_REPEATED] - pos == 2 and native.same(data, pos, _TRUE, 2):
                return _OTHER
        return kind
