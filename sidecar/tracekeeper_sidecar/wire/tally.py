# cython: annotation_typing=False, boundscheck=False, wraparound=False, initializedcheck=False, language_level=3
"""Counts spans by their labels; compiled with the types in tally.pxd.

One pass over a body, and no object for a span. Times are those of the log: what is read again later is counted as it
was the first time. A request is a span of kind SERVER or CONSUMER, or a local root, as in `meter`.
"""

from __future__ import annotations

from collections.abc import Mapping

from tracekeeper_sidecar.wire import calls, component, detected, labels, layout, native
from tracekeeper_sidecar.wire.component import kind_of
from tracekeeper_sidecar.wire.detected import Detected
from tracekeeper_sidecar.wire.rows import Family
from tracekeeper_sidecar.wire.tariffs import Tariffs
from tracekeeper_sidecar.wire.waiting import MOST_TRACES, Waiting

_AGENT, _ANSWERED, _CONVERSATION, _ERROR_TYPE = (
    component.AGENT, component.ANSWERED, component.CONVERSATION, component.ERROR_TYPE
)  # fmt: skip
_MODEL, _OPERATION, _PROJECT, _PROVIDER, _REASONS = (
    component.MODEL, component.OPERATION, component.PROJECT, component.PROVIDER, component.REASONS
)  # fmt: skip
_SERVICE, _TOOL, _USER, _WORKFLOW, _MCP = (
    component.SERVICE, component.TOOL, component.USER, component.WORKFLOW, component.MCP
)  # fmt: skip
_SILENT, _UNKNOWN_SOURCE = calls.SILENT, calls.UNKNOWN
_DETECTED, _ENVIRONMENT = component.DETECTED, component.ENVIRONMENT
_DETECTORS = detected.NAMES
_OTHER, _LLM, _EMBEDDING, _TOOLS, _AGENTS = (
    component.OTHER, component.LLM, component.EMBEDDING, component.TOOLS, component.AGENTS
)  # fmt: skip
_SERVER, _CLIENT, _CONSUMER = 2, 3, 5
_REMOTE = 0x300
_ERROR_CODE = 2
_OK, _ERROR = 2, 3
_NONE = -1
_LOW_32 = 0xFFFFFFFF
_ALL_64 = 0xFFFFFFFFFFFFFFFF
_UNKNOWN = 0xFFFFFFFFFFFFFFFF
_MINUTE = 240
_NANOSECONDS = 1_000_000_000
_LONGEST = 2_592_000_000_000_000
"""Nanoseconds that anything takes: 30 days. What says that it took longer does not know, and has taken no time."""
_CHILDREN = 1
_LONGEST_NAME = 128
"""Bytes of the names that calls are noted by; `meter.spend` has the same."""
_SLAB = 4096
_SLAB_BITS = 12


class Tally(Waiting):
    """For one thread at a time."""

    def __init__(self, families: Mapping[str, Family], tariffs: Tariffs, seed: int) -> None:
        """As in Counts."""
        Waiting.__init__(self, families, seed)
        self._tariffs = tariffs
        self._seed = seed
        self._answers = Family(2, self._spans._births, 1000)
        """By service and model: a hash of the name of the model that has answered."""
        self._kinds = [0] * 128
        """By the operation's number."""
        self.know_operations()
        self._named_by = Detected()
        self._service_number = 0
        self._pair = 0
        """What stands for the provider and the model of the record; other hashes in every process."""
        self.left = 0
        """Spans that the last `take` has left out."""
        self._skip = 0
        self._last_ask = 0
        self._now = 0
        """When the request came, in Unix time."""

    @property
    def answers(self) -> Family:
        """By service and model: a hash of the name of the model that answered last."""
        return self._answers

    @property
    def born(self) -> int:
        """What no row has a higher number than, of those that there are."""
        return int(self._answers._births.count)

    def know_operations(self) -> None:
        """Tell kinds by the numbers of operations; again when these have been restored."""
        for operation in component.OPERATIONS:
            self._operations.number(operation)
        for number, text in enumerate(self._operations.texts):
            self._kinds[number] = kind_of(text) if text else 0

    def take(self, body: bytes, time_ms: int, skip: int = 0, asks: int = 1_152_921_504_606_846_976) -> int:
        """Count the spans of a request that came at that time, and return how many of them are counted by now.

        `skip` of them were counted before. After `asks` questions for prices the rest is left out, see `left`, so that
        nobody who makes up models' names keeps everybody waiting. Raises ValueError, before anything is counted, when
        the body is not protobuf.
        """
        size = len(body)
        total = self.count(body, size)
        if total < 0:
            raise ValueError("the body is not a request: a message in it is cut off")
        self._set_time(time_ms)
        self._now = time_ms // 1000
        self._has_room(self._tick, _MINUTE)
        self._slot = _NONE
        self.left = 0
        self._skip = skip
        self._last_ask = self._tariffs.asked + asks
        pos = 0
        while pos < size:
            stop = self.next(body, pos, size)
            if self.number == 1 and self.wire == 2:
                self._resource(body, self.value, stop)
            pos = stop
        return total - self.left

    def _resource(self, data: bytes, begin: int, end: int) -> None:
        self._enter(data, begin, end)
        self._service_number = 0
        if self._text(data, _SERVICE):
            self._service_number = self._services._number(data, self._said, self._until)
        pos = begin
        while pos < end:
            stop = self.next(data, pos, end)
            if self.number == 2 and self.wire == 2:
                self._scope(data, self.value, stop)
            pos = stop

    def _scope(self, data: bytes, pos: int, end: int) -> None:
        while pos < end:
            stop = self.next(data, pos, end)
            if self.number == 2 and self.wire == 2:
                if self._skip > 0:
                    self._skip -= 1
                elif self._tariffs.asked < self._last_ask:
                    self._span(data, self.value, stop)
                else:
                    self.left += 1
            pos = stop

    def _span(self, data: bytes, begin: int, end: int) -> None:
        if not self._read(data, begin, end):
            self._spans.add(self._service_number | _OTHER << 8, 1, self._tick)
            return
        operation = 0
        kind = 0
        if self._text(data, _OPERATION):
            operation = self._operations._number(data, self._said, self._until)
            kind = self._kinds[operation]
            if kind == 0:
                kind = self._kinds[operation] = _OTHER
        if kind <= _EMBEDDING:  # It may be something else, or call no model.
            kind = self._kind_by(data, kind)
        shown = kind
        if kind == 0:
            shown = _OTHER
        self._spans.add(self._service_number | shown << 8, 1, self._tick)
        request = self._root or self._kind == _SERVER or self._kind == _CONSUMER or self._flags & _REMOTE == _REMOTE
        slot = self._open(native.word(data, self._trace), native.word(data, self._trace + 8))
        words = self._traces._words[slot >> _SLAB_BITS]
        at = (slot & (_SLAB - 1)) * 8
        if self._start != 0 and (words[at + layout.START] == 0 or self._start < words[at + layout.START]):
            words[at + layout.START] = self._start
        if self._end > words[at + layout.END]:
            words[at + layout.END] = self._end
        words[at + layout.TIMES] = words[at + layout.TIMES] & _LOW_32 | self._tick << 32
        if kind != 0 or request:
            self._describe(data, slot, operation, kind)
            if kind != 0:
                self._operation(data, slot, kind)
            if request:
                self._request(slot)
        if self._value[_DETECTED] >= 0:
            self._detected(data, slot)
        self._plan(slot)

    def _open(self, hi: int, lo: int) -> int:
        """The slot of that trace. Spans of a trace often come one after another."""
        if self._slot >= 0 and hi == self._hi and lo == self._lo:
            return self._slot
        slot = self._traces._locate(hi, lo)
        if slot < 0:
            if self._traces.count >= MOST_TRACES:
                self._end_trace(self._traces._victim())
            slot = self._traces._add(hi, lo, self._tick)
            self._traces._set(slot, layout.WHO, self._service_number)
        self._hi = hi
        self._lo = lo
        self._slot = slot
        return slot

    def _detected(self, data: bytes, slot: int) -> None:
        """Counts what detectors have said of the span, each once."""
        agent = 0
        self._inherit(_AGENT)
        if self._text(data, _AGENT):
            agent = self._agents._number(data, self._said, self._until)
        if agent == 0:
            agent = self._traces._get(slot, layout.WHO) >> 8 & 255
        named = self._named_by._named(data, self._value[_DETECTED], self._value_end[_DETECTED])
        which = 0
        while named >> which:
            if named >> which & 1:
                name = _DETECTORS[which]
                detector = self._detectors._number(name, 0, len(name))
                self._detections.add(self._service_number | agent << 8 | detector << 16, 1, self._tick)
            which += 1

    def _describe(self, data: bytes, slot: int, operation: int, kind: int) -> None:
        """Fills the record with what operations and requests have in common."""
        record = self._record
        status = _OK
        if self._code == _ERROR_CODE:
            status = _ERROR
        failure = 0
        if self._text(data, _ERROR_TYPE):
            failure = self._error_types._number(data, self._said, self._until)
        agent = 0
        self._inherit(_AGENT)
        if self._text(data, _AGENT):
            agent = self._agents._number(data, self._said, self._until)
        workflow = 0
        who = self._traces._get(slot, layout.WHO)
        if self._text(data, _WORKFLOW):
            workflow = self._workflows._number(data, self._said, self._until)
            who = who & ~(255 << 16) | workflow << 16
            self._traces._set(slot, layout.WHO, who)
        record[layout.KEY] = (
            self._service_number | agent << 8 | kind << 16 | operation << 24 | status << 48 | failure << 56
        )
        record[layout.TOOK] = 0
        if self._start != 0 and self._end > self._start and self._end - self._start <= _LONGEST:
            record[layout.TOOK] = self._end - self._start
        record[layout.TOKENS_1] = record[layout.TOKENS_2] = record[layout.TOKENS_3] = record[layout.TALK] = 0
        record[layout.MORE] = workflow << 16
        record[layout.COST] = 0
        record[layout.SPAN] = native.word(data, self._span_id)
        record[layout.PARENT] = 0
        if self._parent >= 0:
            record[layout.PARENT] = native.word(data, self._parent)
        record[layout.ENDED] = self._end

    def _request(self, slot: int) -> None:
        """Hold a request until its trace is quiet."""
        record = self._record
        record[layout.KEY] &= ~(_LOW_32 << 16)
        record[layout.MORE] = record[layout.MORE] & 0xFF0000 | layout.IS_REQUEST
        who = self._traces._get(slot, layout.WHO) & ~255 | self._service_number | layout.REQUESTED << 24
        if who >> 8 & 255 == 0:
            who |= record[layout.KEY] & 0xFF00
        self._traces._set(slot, layout.WHO, who)
        self._hold(slot)

    def _operation(self, data: bytes, slot: int, kind: int) -> None:
        record = self._record
        agent = record[layout.KEY] >> 8 & 255
        if agent != 0:
            self._meet(slot, agent, kind == _AGENTS)
        if self._text(data, _CONVERSATION):
            record[layout.TALK] = labels.hashed(data, self._said, self._until, 0) | 1
        provider = model = 0
        self._pair = 0
        if self._text(data, _PROVIDER):
            provider = self._providers._number(data, self._said, self._until)
            self._pair = self._providers._last
            if self._until - self._said > _LONGEST_NAME:  # A label is cut there; a price is not that of a beginning.
                self._pair ^= labels.marked(data, self._said, self._until, self._seed ^ 5)
        if self._text(data, _MODEL) or self._text(data, _ANSWERED):
            model = self._models._number(data, self._said, self._until)
            self._pair ^= self._models._last
            if self._until - self._said > _LONGEST_NAME:
                self._pair ^= labels.marked(data, self._said, self._until, self._seed ^ 6)
        record[layout.KEY] |= provider << 32 | model << 40
        calls = 0
        if kind == _LLM or kind == _EMBEDDING:
            self._call(data, model)
            calls = 1
        elif kind == _TOOLS:
            calls = self._tool(data, slot)
        if calls:
            self._called(slot, agent)
        if (agent == 0 and kind != _AGENTS) or record[layout.MORE] & (layout.IS_MCP | layout.IS_TWICE) == layout.IS_MCP:
            self._hold(slot)
        else:
            self._count(agent, self._traces._get(slot, layout.WHO) >> 16 & 255, self._hi, self._lo)

    def _meet(self, slot: int, agent: int, whole: int) -> None:
        """An agent is named in the trace; if it is by its own span (`whole`), what was done for it is counted now."""
        who = self._traces._get(slot, layout.WHO)
        known = who >> 8 & 255
        if known != 0 and known != agent:
            who |= layout.SEVERAL << 24
        if known == 0 or whole:
            who = who & ~0xFF00 | agent << 8
        self._traces._set(slot, layout.WHO, who)
        if whole and self._traces._get(slot, layout.CHAIN) != 0:
            word = 0
            while word < layout.WIDTH:
                self._spare[word] = self._record[word]
                word += 1
            self._release(slot, _CHILDREN, agent)
            word = 0
            while word < layout.WIDTH:
                self._record[word] = self._spare[word]
                word += 1

    def _called(self, slot: int, agent: int) -> None:
        """A request has called a model or a tool once more."""
        calls = self._traces._get(slot, layout.CALLS) + 1
        self._traces._set(slot, layout.CALLS, calls)
        who = self._traces._get(slot, layout.WHO)
        if who >> 8 & 255:
            agent = who >> 8 & 255
        key = who & 255 | agent << 8 | (who >> 16 & 255) << 16
        self._calls_highest.raise_to(key, calls, self._tick // _MINUTE, self._tick)

    def _call(self, data: bytes, model: int) -> None:
        """Fills in what a call of a model has used, and what that costs."""
        record = self._record
        record[layout.MORE] |= layout.IS_CALL
        if self._first(data, _REASONS):
            record[layout.MORE] |= self._reasons._number(data, self._said, self._until) << 24
        answered = 0
        if self._text(data, _ANSWERED):
            answered = labels.marked(data, self._said, self._until, self._seed ^ 3)
            # This one is kept, and the next process compares it.
            self._answer(model, labels.hashed(data, self._said, self._until, 3))
        said = self._said_price(data)
        record[layout.COST] = _UNKNOWN
        if said != _SILENT and said != _UNKNOWN_SOURCE:
            record[layout.COST] = self._nano
        if self._usage(data):
            record[layout.TOKENS_1] = self._tariffs._tokens[0] | self._tariffs._tokens[1] << 32
            record[layout.TOKENS_2] = self._tariffs._tokens[2] | self._tariffs._tokens[3] << 32
            record[layout.TOKENS_3] = self._tariffs._tokens[4]
            if record[layout.COST] == _UNKNOWN or (
                record[layout.COST] == 0 and self._is_silent(said)
            ):  # What nobody is said to know, or to have paid, is looked up here too.
                record[layout.COST] = _UNKNOWN
                pair = self._pair ^ answered ^ self._tier_mark(data)
                number = self._tariffs._find(pair)
                if number < 0:
                    number = self._introduce(data, pair, self._tick, _MINUTE)
                if number >= 0:
                    number = self._tariffs._current(number, self._moment(self._now), 1)
                    record[layout.COST] = self._tariffs._cost(number)
        if self._note is not None:
            self._said_by = self._names_of(data)

    def _answer(self, model: int, answered: int) -> None:
        """Counts if another model has answered than before."""
        key = self._service_number | model << 8
        row = self._answers._row(key, self._tick)
        before = self._answers._values[row]
        if before != answered and self._answers._state[row] != 2:
            self._answers._values[row] = answered
            if before != 0:
                self._changes.add(key, 1, self._tick)

    def _names_of(self, data: bytes) -> tuple[str, ...]:
        self._inherit(_PROJECT)
        self._inherit(_ENVIRONMENT)
        return (
            self._name(data, _USER),
            self._name(data, _PROJECT),
            self._name(data, _CONVERSATION),
            self._name(data, _ENVIRONMENT),
        )

    def _name(self, data: bytes, slot: int) -> str:
        """As `_decoded`, cut after 128 bytes before anything is made of it."""
        if not self._text(data, slot):
            return ""
        end = self._until
        if end - self._said > _LONGEST_NAME:
            end = self._said + _LONGEST_NAME
            while end > self._said + _LONGEST_NAME - 4 and data[end] & 0xC0 == 0x80:
                end -= 1
        return bytes(data[self._said : end]).decode(errors="replace")

    def _tool(self, data: bytes, slot: int) -> int:
        """Whether it is a call that was not seen yet: an MCP client's span may stand below that of the agent's."""
        record = self._record
        if self._kind == _SERVER:
            return 0
        tool = 0
        if self._text(data, _TOOL):
            tool = self._tools._number(data, self._said, self._until)
        record[layout.MORE] |= layout.IS_TOOL | tool << 8
        who = self._traces._get(slot, layout.WHO)
        if self._value[_MCP] >= 0 and self._kind == _CLIENT:
            record[layout.MORE] |= layout.IS_MCP
            if who >> 32 != 0 and who >> 32 == record[layout.PARENT] & _LOW_32:
                record[layout.MORE] |= layout.IS_TWICE
                return 0
            return 1
        self._traces._set(slot, layout.WHO, who & _LOW_32 | (record[layout.SPAN] & _LOW_32) << 32)
        fresh = 1
        place = (self._traces._get(slot, layout.CHAIN) & _LOW_32) - 1
        while place >= 0:
            at = place * layout.WIDTH
            if (
                self._held._words[at + layout.MORE] & layout.IS_MCP
                and self._held._words[at + layout.PARENT] == record[layout.SPAN]
            ):
                self._held._words[at + layout.MORE] |= layout.IS_TWICE
                fresh = 0
            place = self._held._words[at] - 1
        return fresh
