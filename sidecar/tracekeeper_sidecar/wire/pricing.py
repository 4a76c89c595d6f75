# cython: annotation_typing=False, boundscheck=False, wraparound=False, initializedcheck=False, language_level=3
"""Writes prices into requests: on spans that call a model what the call has cost, and on local roots what their trace
has; compiled with the types in pricing.pxd.

One pass reads the spans and notes edits, and another makes the body from them: see `edits`. No object is made for a
span. What needs nothing is given back as it came.
"""

from __future__ import annotations

from tracekeeper_sidecar.wire import calls, component, edits, labels, native, price_texts, trace_costs
from tracekeeper_sidecar.wire.calls import Calls
from tracekeeper_sidecar.wire.came import Came
from tracekeeper_sidecar.wire.edits import Edits
from tracekeeper_sidecar.wire.tariffs import Tariffs
from tracekeeper_sidecar.wire.trace_costs import TraceCosts

MOST_TRACES, IDLE = trace_costs.MOST, trace_costs.IDLE
ASKS = 64
"""New names of models in one request, each of some hundred microseconds: what is beyond waits for the next one."""
MOST_ASKS = 4 * ASKS
"""The same for all questions: where prices have hours, known models are asked for at each quarter of one."""
_ASKS, _MOST_ASKS = ASKS, MOST_ASKS
_MINUTE = 60

_OPERATION, _PROVIDER, _MODEL, _ANSWERED = (
    component.OPERATION, component.PROVIDER, component.MODEL, component.ANSWERED
)  # fmt: skip
_COST, _COST_SOURCE, _COST_REPORTED, _COST_PRICE = (
    component.COST, component.COST_SOURCE, component.COST_REPORTED, component.COST_PRICE
)  # fmt: skip
_TRACE_COST, _TRACE_UNKNOWN, _BOOK = component.TRACE_COST, component.TRACE_UNKNOWN, component.BOOK
_KIND_SLOT = component.KIND
_LLM, _EMBEDDING = component.LLM, component.EMBEDDING
_SERVER, _CONSUMER = 2, 5
_REMOTE = 0x300
_ABSENT = -1
_NONE = -1
_NO_PLACE = -1
_UNKNOWN = 0xFFFFFFFFFFFFFFFF
_NANOSECONDS = 1_000_000_000
_LATEST = 0xFFFFFFFF
_NANO = 1e9
_INPUT_TOKENS, _OUTPUT_TOKENS = 0, 1
_NOT_KNOWN, _NEW, _AGAIN = range(3)
_SILENT, _SOURCE_OWN, _SOURCE_REPORTED, _SOURCE_COMPUTED, _SOURCE_UNKNOWN = (
    calls.SILENT, calls.OWN, calls.REPORTED, calls.COMPUTED, calls.UNKNOWN
)  # fmt: skip
_NOT_NOW, _NEVER = calls.NOT_NOW, calls.NEVER

_EDIT, _FROM, _TO, _SORT = edits.EDIT, edits.FROM, edits.TO, edits.SORT
_TEXT, _HEAD, _PLACE = edits.TEXT, edits.HEAD, edits.PLACE
_RESOURCE_TAG, _SCOPE_TAG, _SPAN_TAG, _ABOUT_TAG = 10, 18, 18, 10
_LONGEST_KEPT = 256
"""Bytes of a reported cost that is kept as it came."""

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
        self._costs = TraceCosts(seed)
        self._came = Came(seed ^ 1)
        self._edits = Edits()
        self._size = 0
        self._again = _NOT_KNOWN
        self._now = self._introduced = self._last_ask = 0
        self._roots = 0
        """The last place for the sum of a trace, and one; each has that of the one before it."""
        self._row = _NONE
        self._plain = 0
        """Whether a span of the resource leaves it to that to say which book it is priced by."""
        self._said_book = self._about_text = self._alone_text = b""
        """The book as it is written into a Resource, and as a Resource of its own."""
        self._book = self._book_end = _NONE
        """Where the resource says a book already."""
        self.own = 0
        """Calls by where their price comes from. So are `reported`, `computed` and `unknown`."""
        self.reported = self.computed = self.unknown = 0
        self.before = 0
        """Calls that a sidecar had priced before."""
        self.left = 0
        """Calls that were left as they are, because too many new names of models came at once, or too many times."""

    @property
    def traces(self) -> int:
        """Whose sums are remembered."""
        return self._costs.count

    @property
    def forgotten(self) -> int:
        """Traces whose sum went for want of room."""
        return self._costs.forgotten

    def keep(self, older: Pricer) -> None:
        """Go on with the sums and counts of another, which is not used any more."""
        self._costs = older._costs
        self._came = older._came
        self.own, self.reported, self.computed, self.unknown = older.own, older.reported, older.computed, older.unknown
        self.before, self.left, self.ignored = older.before, older.left, older.ignored

    def price(self, body: bytes, now: int) -> bytes:
        """The request that came at `now` (Unix nanoseconds) with prices; the same object where there are none."""
        self._size = size = len(body)
        self._edits.begin()
        self._again = _NOT_KNOWN
        self._now = now // _NANOSECONDS
        self._costs.begin(self._now)
        self._introduced = self._roots = 0
        self._has_room(min(self._now, _LATEST), _MINUTE)
        self._last_ask = self._tariffs.asked + _MOST_ASKS
        pos = 0
        while pos < size:
            stop = self.next(body, pos, size)
            if stop < 0:
                return body
            if self.number == 1 and self.wire == 2:
                self._resource(body, pos, self.value, stop)
            pos = stop
        if self._edits.count == 0:
            return body
        self._tell(body)
        if not self._edits.measure():
            return body
        return self._edits.written(body, size + self._edits.grown)

    # Reading, and noting edits.

    def _resource(self, data: bytes, head: int, begin: int, end: int) -> int:
        around = self._edits.around
        own = self._edits.push(head, begin, end, _RESOURCE_TAG, _HEAD)
        self._edits.around = own + 1
        place = _NO_PLACE
        about = self._plain = 0
        self._book = _NONE
        self._value[_BOOK] = _ABSENT
        pos = begin
        while pos < end:
            stop = self.next(data, pos, end)
            if stop < 0:
                break
            if self.number == 1 and self.wire == 2:
                value = self.value
                self._about(data, value, stop)
                if place == _NO_PLACE:
                    about = self._edits.push(pos, value, stop, _ABOUT_TAG, _HEAD) + 1
                    self._edits.around = about
                    place = self._edits.push(stop, stop, 0, 0, _PLACE)
                    self._edits.around = own + 1
            elif self.number == 2 and self.wire == 2:
                value = self.value
                if place == _NO_PLACE:
                    place = self._edits.push(pos, pos, 0, 0, _PLACE)
                self._scope(data, pos, value, stop)
            pos = stop
        self._edits.around = around
        if self._plain and self._book < 0:
            self._tell_book(place, about)
        elif self._edits.count == own + 2 + (about > 0):
            self._edits.count = own
        return 0

    def _about(self, data: bytes, begin: int, end: int) -> int:
        """Notes whether the Resource at [begin, end) says by which book prices are."""
        pos = begin
        while pos < end:
            stop = self.next(data, pos, end)
            if stop < 0:
                return 0
            if self.number == 1 and self.wire == 2:
                self._attribute(data, self.value, stop)
            pos = stop
        if self._value[_BOOK] >= 0:
            self._book = self._book_end = self._value[_BOOK]
            if self._text(data, _BOOK):
                self._book = self._said
                self._book_end = self._until
        return 0

    def _is_told(self, data: bytes) -> int:
        """Whether the resource says, or can say, that the price is of our book."""
        book = self._tariffs._book
        size = len(book)
        return self._book < 0 or (
            self._book_end - self._book == size and native.same(data, self._book, book, size) != 0
        )

    def _tell_book(self, place: int, about: int) -> int:
        """Makes the attribute that says the book, at that place: `about` whether it is within a Resource."""
        if self._said_book != self._tariffs._book:
            self._said_book = self._tariffs._book
            self._about_text = price_texts.book(self._said_book.decode())
            self._alone_text = price_texts.resource(self._about_text)
        text = self._alone_text
        if about:
            text = self._about_text
        scratch = self._edits.room()
        at = self._edits.filled
        self._edits.filled = native.copy(scratch, at, text, 0, len(text))
        words = self._edits.words
        words[place * _EDIT + _FROM] = at
        words[place * _EDIT + _TO] = self._edits.filled
        words[place * _EDIT + _SORT] = _TEXT
        return 0

    def _scope(self, data: bytes, head: int, begin: int, end: int) -> int:
        around = self._edits.around
        own = self._edits.push(head, begin, end, _SCOPE_TAG, _HEAD)
        self._edits.around = own + 1
        pos = begin
        while pos < end:
            stop = self.next(data, pos, end)
            if stop < 0:
                break
            if self.number == 2 and self.wire == 2:
                self._span(data, pos, self.value, stop)
            pos = stop
        self._edits.around = around
        if self._edits.count == own + 1:
            self._edits.count = own
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
        around = self._edits.around
        own = self._edits.push(head, begin, end, _SPAN_TAG, _HEAD)
        self._edits.around = own + 1
        trace = self._trace
        wants = root and self._value[_TRACE_COST] < 0 and self._value[_TRACE_UNKNOWN] < 0
        if call:
            self._call(data, begin, end)
        if wants:
            self._roots = self._edits.push(end, end, trace, self._roots, _PLACE) + 1
        self._edits.around = around
        if self._edits.count == own + 1:
            self._edits.count = own
        return 0

    def _call(self, data: bytes, begin: int, end: int) -> int:
        """Prices a call of a model, and adds it to its trace."""
        came = _SILENT
        if self._value[_COST_SOURCE] >= 0 and not self._twice:
            came = self._said_price(data)
        cost = _UNKNOWN
        own = tokens = 0
        self._row = _NONE
        if self._usage(data):
            tokens = self._tariffs._tokens[_INPUT_TOKENS] + self._tariffs._tokens[_OUTPUT_TOKENS]
            number = self._numbered(data)
            if number >= 0:
                cost = self._tariffs._cost(number)
                own = cost != _UNKNOWN and self._tariffs._own_price(number)
                self._row = number
            elif number == _NOT_NOW and (came == _SILENT or came == _SOURCE_UNKNOWN):
                self.left += 1
                self._add_up(data, 0, 0)
                return 0
        if came != _SILENT and came != _SOURCE_UNKNOWN and not own and (self._nano > 0 or not self._is_silent(came)):
            self.before += 1
            self._add_up(data, 1, self._nano)
            return 0
        reported = self._reported(data, tokens)
        source = _SOURCE_UNKNOWN
        if cost != _UNKNOWN and (own or reported < 0):
            source = _SOURCE_COMPUTED
            if own:
                source = _SOURCE_OWN
        elif reported >= 0:
            source = _SOURCE_REPORTED
            cost = reported
        self._add_up(data, source != _SOURCE_UNKNOWN, cost)
        if came == source:
            if (source == _SOURCE_UNKNOWN and self._value[_COST] < 0) or (
                source != _SOURCE_UNKNOWN and cost == self._nano
            ):
                self.before += 1
                return 0
        self._say(data, begin, end, came, source, cost, reported)
        return 0

    def _numbered(self, data: bytes) -> int:
        """The number of the provider and model of the call, NOT_NOW or NEVER."""
        pair = self._pair(data)
        number = self._tariffs._find(pair)
        if number < 0:
            number = _NOT_NOW
            if self._introduced < _ASKS:
                number = self._introduce(data, pair, min(self._now, _LATEST), _MINUTE)
                if number >= 0:
                    self._introduced += 1
        if number >= 0:
            may_ask = self._tariffs.asked < self._last_ask
            number = self._tariffs._current(number, self._moment(self._now), may_ask)
        return number

    def _pair(self, data: bytes) -> int:
        """What stands for the provider, the model, who has answered, and the tier of service."""
        pair = self._tier_mark(data)
        if self._text(data, _PROVIDER):
            pair ^= labels.marked(data, self._said, self._until, self._seed)
        if self._text(data, _MODEL):
            pair ^= labels.marked(data, self._said, self._until, self._seed ^ 1)
        if self._text(data, _ANSWERED):
            pair ^= labels.marked(data, self._said, self._until, self._seed ^ 2)
        return pair

    def _say(self, data: bytes, begin: int, end: int, came: int, source: int, cost: int, reported: int) -> int:
        """Notes the edits that tell the price of the span at [begin, end), which `came` with one."""
        written = self._value[_COST] >= 0
        keeps = 0
        if written and source == _SOURCE_REPORTED and self._is_double(data, _COST):
            keeps = self._dollars(data, _COST) == reported
        kept = kept_end = other = 0
        if written and not keeps and source != _SOURCE_REPORTED and came != _SOURCE_OWN and came != _SOURCE_COMPUTED:
            kept = self._value[_COST]
            kept_end = self._value_end[_COST]
            if reported >= 0 and self._dollars(data, _COST) != reported:  # It says so by another name.
                kept_end = kept
                other = 1
        if (written and not keeps) or self._twice or self._value[_COST_SOURCE] >= 0 or self._value[_COST_PRICE] >= 0:
            self._drop(data, begin, end, keeps)
        scratch = self._edits.room()
        start = self._edits.filled
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
        if source == _SOURCE_COMPUTED and self._tariffs._is_plain(self._row) and self._is_told(data):
            self._plain = 1
        elif source == _SOURCE_OWN or source == _SOURCE_COMPUTED:
            note = self._note(self._row)
            at = native.copy(scratch, at, note, 0, len(note))
        if self._value[_COST_REPORTED] < 0:
            if kept_end > kept and kept_end - kept <= _LONGEST_KEPT:
                inner = native.varint_size(kept_end - kept) + 1 + kept_end - kept
                at = native.put_head(scratch, at, 74, _REPORTED_KEY_SIZE + inner)
                at = native.copy(scratch, at, _REPORTED_KEY, 0, _REPORTED_KEY_SIZE)
                at = native.put_head(scratch, at, 18, kept_end - kept)
                at = native.copy(scratch, at, data, kept, kept_end)
            elif source == _SOURCE_OWN and reported >= 0 and (other or not written):
                at = native.copy(scratch, at, _REPORTED_HEAD, 0, _REPORTED_SIZE)
                at = native.put_double(scratch, at, reported / _NANO)
        self._edits.filled = at
        self._edits.push(end, end, start, at, _TEXT)
        return 0

    def _drop(self, data: bytes, begin: int, end: int, keeps: int) -> int:
        """Notes that what is said of the price goes, each time that it is there; where it `keeps` the cost, all but the
        first."""
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
                if slot == _COST and keeps:
                    keeps = 0
                elif slot == _COST_SOURCE or slot == _COST_PRICE or slot == _COST:
                    self._edits.push(pos, stop, 0, 0, _TEXT)
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

    def _add_up(self, data: bytes, priced: int, cost: int) -> int:
        """Adds a call to its trace, unless its request has come before."""
        hi = native.word(data, self._trace)
        lo = native.word(data, self._trace + 8)
        if self._again == _NOT_KNOWN:
            # A request that was refused comes again as it was: it is known by its first call and its size.
            self._again = _NEW
            if self._came.again(self._costs.table._hash(hi, lo) ^ native.word(data, self._span_id) ^ self._size << 32):
                self._again = _AGAIN
        if self._again == _NEW:
            self._costs.add(hi, lo, priced, cost)
        return 0

    def _tell(self, data: bytes) -> int:
        """Makes texts of the places on roots whose traces have called a model."""
        place = self._roots
        while place > 0:
            at = (place - 1) * _EDIT
            place = self._edits.words[at + _TO]
            trace = self._edits.words[at + _FROM]
            slot = self._costs.find(native.word(data, trace), native.word(data, trace + 8))
            if slot >= 0:
                begin = self._edits.filled
                self._tell_sum(slot)
                self._edits.words[at + _FROM] = begin
                self._edits.words[at + _TO] = self._edits.filled
                self._edits.words[at + _SORT] = _TEXT
        return 0

    def _tell_sum(self, slot: int) -> int:
        scratch = self._edits.room()
        at = self._edits.filled
        if self._costs.priced(slot):
            at = native.copy(scratch, at, _TRACE_HEAD, 0, _TRACE_SIZE)
            at = native.put_double(scratch, at, self._costs.sum_of(slot) / _NANO)
        unknown = self._costs.unknown(slot)
        if unknown:
            note = price_texts.unknown_calls(unknown)
            at = native.copy(scratch, at, note, 0, len(note))
        self._edits.filled = at
        return 0
