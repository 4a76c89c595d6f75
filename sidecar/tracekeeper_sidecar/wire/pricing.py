# cython: annotation_typing=False, boundscheck=False, wraparound=False, initializedcheck=False, language_level=3
"""Writes prices into requests: on spans that call a model what the call has cost, and on local roots what their trace
has; compiled with the types in pricing.pxd.

One pass reads the spans and notes edits: places in the body, and what comes there instead. Then the lengths of what is
around them are worked out, from the last to the first, and one more pass copies what is between the edits. No object is
made for a span. What needs nothing is given back as it came.
"""

from __future__ import annotations

from tracekeeper_sidecar.wire import calls, component, labels, native, price_texts
from tracekeeper_sidecar.wire.calls import Calls
from tracekeeper_sidecar.wire.rows import Index
from tracekeeper_sidecar.wire.table import Table
from tracekeeper_sidecar.wire.tariffs import Tariffs

MOST_TRACES = 20_000
"""Traces whose calls are added up at a time."""
IDLE = 3600
"""Seconds after its last call for which the sum of a trace is remembered."""
ASKS = 64
"""Questions for prices in one request, each of some hundred microseconds: what is beyond waits for the next one."""
_MOST_TRACES, _IDLE, _ASKS = MOST_TRACES, IDLE, ASKS
_SWEEP, _MINUTE = 60, 60
_SEEN = 32_768
"""Requests by which those that come again are known, twice: one that was refused comes again as it was."""

_OPERATION, _PROVIDER, _MODEL, _ANSWERED = (
    component.OPERATION, component.PROVIDER, component.MODEL, component.ANSWERED
)  # fmt: skip
_COST, _COST_SOURCE, _COST_REPORTED, _COST_PRICE = (
    component.COST, component.COST_SOURCE, component.COST_REPORTED, component.COST_PRICE
)  # fmt: skip
_TRACE_COST, _TRACE_UNKNOWN = component.TRACE_COST, component.TRACE_UNKNOWN
_KIND_SLOT = component.KIND
_LLM, _EMBEDDING = component.LLM, component.EMBEDDING
_SERVER, _CONSUMER = 2, 5
_REMOTE = 0x300
_NONE = -1
_UNKNOWN = 0xFFFFFFFFFFFFFFFF
_LOW_32 = 0xFFFFFFFF
_NANOSECONDS = 1_000_000_000
_NANO = 1e9
_PRICED, _UNPRICED = calls.PRICED, calls.UNPRICED
_INPUT_TOKENS, _OUTPUT_TOKENS = 0, 1
_NOT_KNOWN, _NEW, _AGAIN = range(3)
_SOURCE_OWN, _SOURCE_REPORTED, _SOURCE_COMPUTED, _SOURCE_UNKNOWN = 1, 2, 3, 4

# An edit has eight words: where it begins and ends in the body, and two more by its sort; the number of the edit that
# it is in, and one; the bytes that come and go below it; its sort.
_EDIT = 8
_BEGIN, _END, _FROM, _TO, _AROUND, _COME, _GO, _SORT = range(_EDIT)
_TEXT, _HEAD, _ROOT, _NOTHING = range(4)
"""Sorts: text of the scratch at [_FROM, _TO) instead; a head, which has the tag _TO and a content up to _FROM; the
place on a root for its trace's cost, whose id begins at _FROM; nothing at all."""
_FIRST_EDITS, _KEPT_EDITS = 256, 16384
_RESOURCE_TAG, _SCOPE_TAG, _SPAN_TAG = 10, 18, 18
_ROOM = 1024
"""Bytes of scratch that one span takes at the most."""
_LONGEST_KEPT = 256
"""Bytes of a reported cost that is kept as it came."""

# Words of a trace.
_SUM = 2
"""Nanodollars."""
_CALLS = 3
"""Calls with a price, and from bit 32 on those without."""

_COST_HEAD, _TRACE_HEAD, _REPORTED_HEAD = price_texts.COST, price_texts.TRACE_COST, price_texts.REPORTED
_COST_SIZE, _TRACE_SIZE, _REPORTED_SIZE = len(_COST_HEAD), len(_TRACE_HEAD), len(_REPORTED_HEAD)
_REPORTED_KEY = price_texts.REPORTED_KEY
_REPORTED_KEY_SIZE = len(_REPORTED_KEY)
_TOLD = price_texts.SOURCES


class Pricer(Calls):
    """For one thread at a time."""

    def __init__(self, tariffs: Tariffs, seed: int) -> None:
        """With a `seed` that nobody knows, no choice of ids makes it slow."""
        Calls.__init__(self)
        self._tariffs = tariffs
        self._seed = seed
        self._sums = Table(_MOST_TRACES, seed)
        self._seen = Index(_SEEN, seed ^ 1)
        self._seen_before = Index(_SEEN, seed ^ 1)
        self._begin_anew()
        self._count = 0
        self._scratch = bytearray(4 * _ROOM)
        self._filled = self._around = self._grown = self._size = 0
        self._again = _NOT_KNOWN
        self._tick = self._swept = 0
        self._last_ask = 0
        self._row = _NONE
        self.own = 0
        """Calls by where their price comes from. So are `reported`, `computed` and `unknown`."""
        self.reported = self.computed = self.unknown = 0
        self.before = 0
        """Calls that a sidecar had priced before."""
        self.left = 0
        """Calls that were left as they are, because too many new names of models came at once."""
        self.forgotten = 0
        """Traces whose sum went for want of room."""

    @property
    def traces(self) -> int:
        """Whose sums are remembered."""
        return int(self._sums.count)

    def keep(self, older: Pricer) -> None:
        """Go on with the sums and counts of another, which is not used any more."""
        self._sums = older._sums
        self._seen = older._seen
        self._seen_before = older._seen_before
        self._swept = older._swept
        self.own, self.reported, self.computed, self.unknown = older.own, older.reported, older.computed, older.unknown
        self.before, self.left, self.forgotten, self.ignored = (
            older.before, older.left, older.forgotten, older.ignored
        )  # fmt: skip

    def price(self, body: bytes, now: int) -> bytes:
        """The request that came at `now` (Unix nanoseconds) with prices; the same object where there are none."""
        if self._most_edits > _KEPT_EDITS:  # The last request wanted room for many, which is rare.
            self._begin_anew()
        self._size = size = len(body)
        self._count = self._filled = self._around = 0
        self._again = _NOT_KNOWN
        self._tick = min(now // _NANOSECONDS, _LOW_32 - _IDLE - 1)
        if self._tick > self._swept + _SWEEP or self._tick < self._swept:
            self._sweep()
        self._last_ask = self._tariffs.asked + _ASKS
        pos = 0
        while pos < size:
            stop = self.next(body, pos, size)
            if stop < 0:
                return body
            if self.number == 1 and self.wire == 2:
                self._resource(body, pos, self.value, stop)
            pos = stop
        if self._count == 0 or not self._measure(body):
            return body
        return self._written(body, size + self._grown)

    def _begin_anew(self) -> int:
        self._edits_buffer = bytearray(8 * _EDIT * _FIRST_EDITS + 64)
        self._edits = native.words(self._edits_buffer)
        self._most_edits = _FIRST_EDITS
        return 0

    # Reading, and noting edits.

    def _resource(self, data: bytes, head: int, begin: int, end: int) -> int:
        around = self._around
        own = self._push(head, begin, end, _RESOURCE_TAG, _HEAD)
        self._around = own + 1
        pos = begin
        while pos < end:
            stop = self.next(data, pos, end)
            if stop < 0:
                break
            if self.number == 2 and self.wire == 2:
                self._scope(data, pos, self.value, stop)
            pos = stop
        self._around = around
        if self._count == own + 1:
            self._count = own
        return 0

    def _scope(self, data: bytes, head: int, begin: int, end: int) -> int:
        around = self._around
        own = self._push(head, begin, end, _SCOPE_TAG, _HEAD)
        self._around = own + 1
        pos = begin
        while pos < end:
            stop = self.next(data, pos, end)
            if stop < 0:
                break
            if self.number == 2 and self.wire == 2:
                self._span(data, pos, self.value, stop)
            pos = stop
        self._around = around
        if self._count == own + 1:
            self._count = own
        return 0

    def _span(self, data: bytes, head: int, begin: int, end: int) -> int:
        if not self._read(data, begin, end):
            return 0
        kind = 0
        if self._value[_OPERATION] >= 0 or self._value[_KIND_SLOT] >= 0:
            kind = self._kind_by(data, self._operation_kind(data))
        call = kind == _LLM or kind == _EMBEDDING
        root = self._root or self._kind == _SERVER or self._kind == _CONSUMER or self._flags & _REMOTE == _REMOTE
        if not call and not root:
            return 0
        around = self._around
        own = self._push(head, begin, end, _SPAN_TAG, _HEAD)
        self._around = own + 1
        trace = self._trace
        wants = root and self._value[_TRACE_COST] < 0 and self._value[_TRACE_UNKNOWN] < 0
        if call:
            self._call(data, begin, end)
        if wants:
            self._push(end, end, trace, 0, _ROOT)
        self._around = around
        if self._count == own + 1:
            self._count = own
        return 0

    def _call(self, data: bytes, begin: int, end: int) -> int:
        """Prices a call of a model, and adds it to its trace."""
        said = self._said_price(data)
        if said == _PRICED or said == _UNPRICED:
            self.before += 1
            self._add_up(data, said == _PRICED, self._nano)
            return 0
        cost = _UNKNOWN
        own = tokens = 0
        self._row = _NONE
        if self._usage(data):
            tokens = self._tariffs._tokens[_INPUT_TOKENS] + self._tariffs._tokens[_OUTPUT_TOKENS]
            pair = self._pair(data)
            number = self._tariffs._find(pair)
            if number < 0 and self._tariffs.asked < self._last_ask:
                number = self._introduce(data, pair, self._tick, _MINUTE)
            if number < 0:
                self.left += 1
                return 0
            cost = self._tariffs._cost(number, self._end // _NANOSECONDS)
            own = self._tariffs._own_price(number)
            self._row = number
        reported = self._reported(data)
        if reported == 0 and tokens > 0:
            reported = _NONE  # Some libraries write a zero where they know no price.
        source = _SOURCE_UNKNOWN
        if cost != _UNKNOWN and (own or reported < 0):
            source = _SOURCE_COMPUTED
            if own:
                source = _SOURCE_OWN
        elif reported >= 0:
            source = _SOURCE_REPORTED
            cost = reported
        self._add_up(data, source != _SOURCE_UNKNOWN, cost)
        self._say(data, begin, end, source, cost, reported)
        return 0

    def _pair(self, data: bytes) -> int:
        """What stands for the provider, the model, who has answered, and the tier of service."""
        pair = self._tier_mark(data)
        if self._text(data, _PROVIDER):
            pair ^= labels.hashed(data, self._said, self._until, self._seed)
        if self._text(data, _MODEL):
            pair ^= labels.hashed(data, self._said, self._until, self._seed ^ 1)
        if self._text(data, _ANSWERED):
            pair ^= labels.hashed(data, self._said, self._until, self._seed ^ 2)
        return pair

    def _say(self, data: bytes, begin: int, end: int, source: int, cost: int, reported: int) -> int:
        """Notes the edits that tell the price of the span at [begin, end)."""
        written = self._value[_COST] >= 0
        keeps = 0
        if written and source == _SOURCE_REPORTED and self._is_double(data, _COST):
            keeps = self._dollars(data, _COST) == reported
        kept = kept_end = 0
        if written and not keeps and source != _SOURCE_REPORTED:
            kept = self._value[_COST]
            kept_end = self._value_end[_COST]
        if (written and not keeps) or self._value[_COST_SOURCE] >= 0 or self._value[_COST_PRICE] >= 0:
            self._drop(data, begin, end, not keeps)
        scratch = self._room(_ROOM)
        start = self._filled
        at = start
        if source != _SOURCE_UNKNOWN and not keeps:
            at = native.copy(scratch, at, _COST_HEAD, 0, _COST_SIZE)
            at = native.put_double(scratch, at, cost / _NANO)
        told = _TOLD[source]
        at = native.copy(scratch, at, told, 0, len(told))
        if source == _SOURCE_OWN:
            self.own += 1
        elif source == _SOURCE_REPORTED:
            self.reported += 1
        elif source == _SOURCE_COMPUTED:
            self.computed += 1
        else:
            self.unknown += 1
        if source == _SOURCE_OWN or source == _SOURCE_COMPUTED:
            note = self._note(self._row)
            at = native.copy(scratch, at, note, 0, len(note))
        if self._value[_COST_REPORTED] < 0:
            if kept_end > kept and kept_end - kept <= _LONGEST_KEPT:
                inner = native.varint_size(kept_end - kept) + 1 + kept_end - kept
                at = native.put_head(scratch, at, 74, _REPORTED_KEY_SIZE + inner)
                at = native.copy(scratch, at, _REPORTED_KEY, 0, _REPORTED_KEY_SIZE)
                at = native.put_head(scratch, at, 18, kept_end - kept)
                at = native.copy(scratch, at, data, kept, kept_end)
            elif source == _SOURCE_OWN and reported >= 0:
                at = native.copy(scratch, at, _REPORTED_HEAD, 0, _REPORTED_SIZE)
                at = native.put_double(scratch, at, reported / _NANO)
        self._filled = at
        self._push(end, end, start, at, _TEXT)
        return 0

    def _drop(self, data: bytes, begin: int, end: int, cost: int) -> int:
        """Notes that what earlier steps have said of the price goes, each time that it is there, and with `cost` the
        cost."""
        pos = begin
        while pos < end:
            stop = self.next(data, pos, end)
            if stop < 0:
                return 0
            if self.number == 9 and self.wire == 2:
                key = key_end = 0
                at = self.value
                while at < stop:
                    after = self.next(data, at, stop)
                    if after < 0:
                        break
                    if self.number == 1 and self.wire == 2:
                        key = self.value
                        key_end = after
                    at = after
                slot = _NONE
                if key_end > key:
                    slot = self._slot_for(data, key, key_end)
                if slot == _COST_SOURCE or slot == _COST_PRICE or (slot == _COST and cost):
                    self._push(pos, stop, 0, 0, _TEXT)
            pos = stop
        return 0

    def _note(self, number: int) -> bytes:
        """The attribute that says which price it is."""
        found = self._tariffs._notes[number]
        if found is None:
            text = self._tariffs._texts[number].encode()[:_LONGEST_KEPT]
            found = self._tariffs._notes[number] = price_texts.price(text)
        return found

    # Sums of traces.

    def _came(self, mark: int) -> int:
        """Whether a request has come before, by its first call and its size; it has from now on."""
        if self._seen.get(mark) >= 0 or self._seen_before.get(mark) >= 0:
            return _AGAIN
        if self._seen.put(mark, 0) == 0:
            self._seen, self._seen_before = self._seen_before, self._seen
            self._seen.clear()
            self._seen.put(mark, 0)
        return _NEW

    def _add_up(self, data: bytes, priced: int, cost: int) -> int:
        """Adds a call to its trace, unless its request has come before."""
        hi = native.word(data, self._trace)
        lo = native.word(data, self._trace + 8)
        if self._again == _NOT_KNOWN:
            self._again = self._came(self._sums._hash(hi, lo) ^ native.word(data, self._span_id) ^ self._size << 32)
        if self._again == _AGAIN:
            return 0
        slot = self._sums._locate(hi, lo)
        if slot < 0:
            if self._sums.count >= self._sums.limit:
                self._sums._leave(self._sums._victim())
                self.forgotten += 1
            slot = self._sums._add(hi, lo, self._tick + _IDLE)
        self._sums._look_at(slot, self._tick + _IDLE)
        known = self._sums._get(slot, _CALLS)
        if priced:
            self._sums._set(slot, _SUM, self._sums._get(slot, _SUM) + cost)
            self._sums._set(slot, _CALLS, known + 1)
        else:
            self._sums._set(slot, _CALLS, known + (1 << 32))
        return 0

    def _sweep(self) -> int:
        """Forgets the traces of which nothing has come for long."""
        self._swept = self._tick
        self._sums._begin()
        slot = self._sums._next(self._tick)
        while slot >= 0:
            self._sums._leave(slot)
            slot = self._sums._next(self._tick)
        return 0

    def _tell(self, data: bytes, edit: int) -> int:
        """Makes a text of the place on a root, where its trace has called a model."""
        place = edit * _EDIT
        self._edits[place + _SORT] = _NOTHING
        if self._sums.count == 0:
            return 0
        trace = self._edits[place + _FROM]
        slot = self._sums._locate(native.word(data, trace), native.word(data, trace + 8))
        if slot < 0:
            return 0
        known = self._sums._get(slot, _CALLS)
        scratch = self._room(_ROOM)
        at = self._filled
        self._edits[place + _FROM] = at
        if known & _LOW_32:
            at = native.copy(scratch, at, _TRACE_HEAD, 0, _TRACE_SIZE)
            at = native.put_double(scratch, at, self._sums._get(slot, _SUM) / _NANO)
        if known >> 32:
            note = price_texts.unknown_calls(known >> 32)
            at = native.copy(scratch, at, note, 0, len(note))
        self._edits[place + _TO] = at
        self._edits[place + _SORT] = _TEXT
        self._filled = at
        return 0

    # Edits.

    def _push(self, begin: int, end: int, first: int, second: int, sort: int) -> int:
        """Notes an edit, and returns its number."""
        if self._count == self._most_edits:
            self._grow()
        edits = self._edits
        place = self._count * _EDIT
        edits[place + _BEGIN] = begin
        edits[place + _END] = end
        edits[place + _FROM] = first
        edits[place + _TO] = second
        edits[place + _AROUND] = self._around
        edits[place + _COME] = edits[place + _GO] = 0
        edits[place + _SORT] = sort
        self._count += 1
        return self._count - 1

    def _grow(self) -> int:
        old = self._edits
        before = self._edits_buffer  # Which must not go before it is copied.
        words = self._most_edits * _EDIT
        self._most_edits *= 2
        self._edits_buffer = bytearray(16 * words + 64)
        self._edits = native.words(self._edits_buffer)
        at = 0
        while at < words:
            self._edits[at] = old[at]
            at += 1
        return len(before)

    def _room(self, size: int) -> bytearray:
        """The scratch, with room for so many bytes more."""
        if self._filled + size > len(self._scratch):
            larger = bytearray(2 * len(self._scratch) + size)
            native.copy(larger, 0, self._scratch, 0, self._filled)
            self._scratch = larger
        return self._scratch

    def _measure(self, data: bytes) -> int:
        """Works out new lengths, from the inside out, and by how much the body grows. Whether anything changes."""
        come = go = 0
        edits = self._edits
        edit = self._count - 1
        while edit >= 0:
            place = edit * _EDIT
            if edits[place + _SORT] == _ROOT:
                self._tell(data, edit)
            if edits[place + _SORT] == _TEXT:
                edits[place + _COME] = edits[place + _TO] - edits[place + _FROM]
                edits[place + _GO] = edits[place + _END] - edits[place + _BEGIN]
            elif edits[place + _SORT] == _HEAD:
                if edits[place + _COME] == 0 and edits[place + _GO] == 0:
                    edits[place + _SORT] = _NOTHING
                else:
                    # From here on it is the new length that stands where the end of the content was.
                    edits[place + _FROM] = (
                        edits[place + _FROM] - edits[place + _END] + edits[place + _COME] - edits[place + _GO]
                    )
                    edits[place + _COME] += 1 + native.varint_size(edits[place + _FROM])
                    edits[place + _GO] += edits[place + _END] - edits[place + _BEGIN]
            if edits[place + _SORT] != _NOTHING:
                around = edits[place + _AROUND]
                if around:
                    edits[(around - 1) * _EDIT + _COME] += edits[place + _COME]
                    edits[(around - 1) * _EDIT + _GO] += edits[place + _GO]
                else:
                    come += edits[place + _COME]
                    go += edits[place + _GO]
            edit -= 1
        self._grown = come - go
        return come != 0 or go != 0

    def _written(self, data: bytes, size: int) -> bytes:
        """The body of that size, with the edits in it."""
        out = native.blank(size)
        scratch = self._scratch
        edits = self._edits
        at = last = 0
        edit = 0
        while edit < self._count:
            place = edit * _EDIT
            if edits[place + _SORT] != _NOTHING:
                at = native.copy(out, at, data, last, edits[place + _BEGIN])
                if edits[place + _SORT] == _HEAD:
                    at = native.put_head(out, at, edits[place + _TO], edits[place + _FROM])
                else:
                    at = native.copy(out, at, scratch, edits[place + _FROM], edits[place + _TO])
                last = edits[place + _END]
            edit += 1
        native.copy(out, at, data, last, len(data))
        return native.sealed(out)
