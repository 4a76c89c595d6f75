# C types for pricing.py. Edits are words of 64 bits; a body's offsets and lengths are never more than fit.
cimport cython

from tracekeeper_sidecar.wire cimport labels, native
from tracekeeper_sidecar.wire.calls cimport Calls
from tracekeeper_sidecar.wire.native cimport Words
from tracekeeper_sidecar.wire.rows cimport Index
from tracekeeper_sidecar.wire.table cimport Table
from tracekeeper_sidecar.wire.tariffs cimport Tariffs

cdef Py_ssize_t _MOST_TRACES, _ASKS, _SEEN, _NONE
cdef unsigned int _IDLE, _SWEEP, _MINUTE
cdef int _OPERATION, _PROVIDER, _MODEL, _ANSWERED, _KIND_SLOT, _LLM, _EMBEDDING, _SERVER, _CONSUMER, _REMOTE
cdef int _COST, _COST_SOURCE, _COST_REPORTED, _COST_PRICE, _TRACE_COST, _TRACE_UNKNOWN
cdef unsigned long long _UNKNOWN, _LOW_32
cdef long long _NANOSECONDS
cdef double _NANO
cdef int _NOT_KNOWN, _NEW, _AGAIN
cdef int _INPUT_TOKENS, _OUTPUT_TOKENS, _PRICED, _UNPRICED, _SOURCE_OWN, _SOURCE_REPORTED, _SOURCE_COMPUTED, _SOURCE_UNKNOWN
cdef int _EDIT, _BEGIN, _END, _FROM, _TO, _AROUND, _COME, _GO, _SORT
cdef int _TEXT, _HEAD, _ROOT, _NOTHING
cdef Py_ssize_t _FIRST_EDITS, _KEPT_EDITS, _ROOM, _LONGEST_KEPT
cdef int _RESOURCE_TAG, _SCOPE_TAG, _SPAN_TAG, _SUM, _CALLS
cdef bytes _COST_HEAD, _TRACE_HEAD, _REPORTED_HEAD, _REPORTED_KEY
cdef Py_ssize_t _COST_SIZE, _TRACE_SIZE, _REPORTED_SIZE, _REPORTED_KEY_SIZE
cdef list _TOLD

@cython.final
cdef class Pricer(Calls):
    cdef unsigned long long _seed
    cdef Table _sums
    cdef Index _seen, _seen_before
    cdef bytearray _edits_buffer, _scratch
    cdef Words _edits
    cdef Py_ssize_t _most_edits, _count, _filled, _around, _grown, _last_ask, _row
    cdef unsigned int _tick, _swept
    cdef unsigned long long _size
    cdef int _again
    cdef readonly Py_ssize_t own, reported, computed, unknown, before, left, forgotten

    cpdef keep(self, Pricer older)

    @cython.locals(size=Py_ssize_t, pos=Py_ssize_t, stop=Py_ssize_t, grown=Py_ssize_t)
    cpdef bytes price(self, bytes body, long long now)

    @cython.locals(around=Py_ssize_t, own=Py_ssize_t, pos=Py_ssize_t, stop=Py_ssize_t)
    cdef int _resource(self, const unsigned char* data, Py_ssize_t head, Py_ssize_t begin, Py_ssize_t end) except -1

    @cython.locals(around=Py_ssize_t, own=Py_ssize_t, pos=Py_ssize_t, stop=Py_ssize_t)
    cdef int _scope(self, const unsigned char* data, Py_ssize_t head, Py_ssize_t begin, Py_ssize_t end) except -1

    @cython.locals(kind=int, call=int, root=int, around=Py_ssize_t, own=Py_ssize_t, trace=Py_ssize_t, wants=int)
    cdef int _span(self, const unsigned char* data, Py_ssize_t head, Py_ssize_t begin, Py_ssize_t end) except -1

    @cython.locals(said=int, cost=cython.ulonglong, own=int, tokens=cython.ulonglong, pair=cython.ulonglong, number=Py_ssize_t, reported=cython.longlong,
                   source=int)
    cdef int _call(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end) except -1

    @cython.locals(pair=cython.ulonglong)
    cdef unsigned long long _pair(self, const unsigned char* data) noexcept

    @cython.locals(written=int, keeps=int, kept=Py_ssize_t, kept_end=Py_ssize_t, scratch=bytearray, start=Py_ssize_t,
                   at=Py_ssize_t, note=bytes, inner=Py_ssize_t, told=bytes)
    cdef int _say(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end, int source, unsigned long long cost,
                  long long reported) except -1

    @cython.locals(pos=Py_ssize_t, stop=Py_ssize_t, key=Py_ssize_t, key_end=Py_ssize_t, at=Py_ssize_t, after=Py_ssize_t, slot=int)
    cdef int _drop(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end, int cost) except -1

    cdef bytes _note(self, Py_ssize_t number)

    cdef int _came(self, unsigned long long mark) except -1

    @cython.locals(hi=cython.ulonglong, lo=cython.ulonglong, slot=Py_ssize_t, known=cython.ulonglong)
    cdef int _add_up(self, const unsigned char* data, int priced, unsigned long long cost) except -1

    @cython.locals(slot=Py_ssize_t)
    cdef int _sweep(self) except -1

    @cython.locals(place=Py_ssize_t, trace=Py_ssize_t, slot=Py_ssize_t, known=cython.ulonglong, scratch=bytearray, at=Py_ssize_t,
                   note=bytes)
    cdef int _tell(self, const unsigned char* data, Py_ssize_t edit) except -1

    @cython.locals(edits=Words, place=Py_ssize_t)
    cdef Py_ssize_t _push(self, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t first, Py_ssize_t second, int sort) except -1

    @cython.locals(old=Words, before=bytearray, words=Py_ssize_t, at=Py_ssize_t)
    cdef int _grow(self) except -1

    cdef int _begin_anew(self) except -1

    @cython.locals(larger=bytearray)
    cdef bytearray _room(self, Py_ssize_t size)

    @cython.locals(come=Py_ssize_t, go=Py_ssize_t, edits=Words, edit=Py_ssize_t, place=Py_ssize_t, around=Py_ssize_t)
    cdef int _measure(self, const unsigned char* data) except -1

    @cython.locals(out=bytes, scratch=bytearray, edits=Words, at=Py_ssize_t, last=Py_ssize_t, edit=Py_ssize_t, place=Py_ssize_t)
    cdef bytes _written(self, bytes data, Py_ssize_t size)
