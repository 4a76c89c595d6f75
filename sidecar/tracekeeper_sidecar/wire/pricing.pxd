# C types for pricing.py. Edits are words of 64 bits; a body's offsets and lengths are never more than fit.
cimport cython

from tracekeeper_sidecar.wire cimport labels, native
from tracekeeper_sidecar.wire.calls cimport Calls
from tracekeeper_sidecar.wire.came cimport Came
from tracekeeper_sidecar.wire.edits cimport Edits
from tracekeeper_sidecar.wire.native cimport Words
from tracekeeper_sidecar.wire.tariffs cimport Tariffs
from tracekeeper_sidecar.wire.trace_costs cimport TraceCosts

cdef Py_ssize_t _ASKS, _MOST_ASKS, _NONE, _ABSENT, _NO_PLACE, _NOT_NOW, _NEVER
cdef unsigned int _MINUTE
cdef int _OPERATION, _PROVIDER, _MODEL, _ANSWERED, _KIND_SLOT, _LLM, _EMBEDDING, _SERVER, _CONSUMER, _REMOTE
cdef int _COST, _COST_SOURCE, _COST_REPORTED, _COST_PRICE, _TRACE_COST, _TRACE_UNKNOWN, _BOOK
cdef unsigned long long _UNKNOWN
cdef long long _NANOSECONDS, _LATEST
cdef double _NANO
cdef int _NOT_KNOWN, _NEW, _AGAIN
cdef int _INPUT_TOKENS, _OUTPUT_TOKENS, _SILENT, _SOURCE_OWN, _SOURCE_REPORTED, _SOURCE_COMPUTED, _SOURCE_UNKNOWN
cdef int _EDIT, _FROM, _TO, _SORT, _TEXT, _HEAD, _PLACE
cdef Py_ssize_t _LONGEST_KEPT
cdef int _RESOURCE_TAG, _SCOPE_TAG, _SPAN_TAG, _ABOUT_TAG
cdef bytes _COST_HEAD, _TRACE_HEAD, _REPORTED_HEAD, _REPORTED_KEY
cdef Py_ssize_t _COST_SIZE, _TRACE_SIZE, _REPORTED_SIZE, _REPORTED_KEY_SIZE
cdef list _TOLD

@cython.final
cdef class Pricer(Calls):
    cdef TraceCosts _costs
    cdef Came _came
    cdef Edits _edits
    cdef Py_ssize_t _introduced, _last_ask, _roots, _row, _book, _book_end
    cdef bytes _said_book, _about_text, _alone_text
    cdef long long _now
    cdef unsigned long long _size
    cdef int _again, _plain
    cdef readonly Py_ssize_t own, reported, computed, unknown, before, left

    cpdef keep(self, Pricer older)

    @cython.locals(size=Py_ssize_t, pos=Py_ssize_t, stop=Py_ssize_t)
    cpdef bytes price(self, bytes body, long long now)

    @cython.locals(around=Py_ssize_t, own=Py_ssize_t, pos=Py_ssize_t, stop=Py_ssize_t, place=Py_ssize_t, about=Py_ssize_t,
                   value=Py_ssize_t)
    cdef int _resource(self, const unsigned char* data, Py_ssize_t head, Py_ssize_t begin, Py_ssize_t end) except -1

    @cython.locals(pos=Py_ssize_t, stop=Py_ssize_t)
    cdef int _about(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end) except -1

    @cython.locals(book=bytes, size=Py_ssize_t)
    cdef int _is_told(self, const unsigned char* data) except -1

    @cython.locals(text=bytes, scratch=bytearray, at=Py_ssize_t, words=Words)
    cdef int _tell_book(self, Py_ssize_t place, Py_ssize_t about) except -1

    @cython.locals(around=Py_ssize_t, own=Py_ssize_t, pos=Py_ssize_t, stop=Py_ssize_t)
    cdef int _scope(self, const unsigned char* data, Py_ssize_t head, Py_ssize_t begin, Py_ssize_t end) except -1

    @cython.locals(kind=int, call=int, root=int, around=Py_ssize_t, own=Py_ssize_t, trace=Py_ssize_t, wants=int)
    cdef int _span(self, const unsigned char* data, Py_ssize_t head, Py_ssize_t begin, Py_ssize_t end) except -1

    @cython.locals(came=int, cost=cython.ulonglong, own=int, tokens=cython.ulonglong, number=Py_ssize_t,
                   reported=cython.longlong, source=int)
    cdef int _call(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end) except -1

    @cython.locals(pair=cython.ulonglong, number=Py_ssize_t, may_ask=int)
    cdef Py_ssize_t _numbered(self, const unsigned char* data) except -9

    @cython.locals(pair=cython.ulonglong)
    cdef unsigned long long _pair(self, const unsigned char* data) noexcept

    @cython.locals(written=int, keeps=int, kept=Py_ssize_t, kept_end=Py_ssize_t, other=int, scratch=bytearray, start=Py_ssize_t,
                   at=Py_ssize_t, note=bytes, inner=Py_ssize_t, told=bytes)
    cdef int _say(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end, int came, int source,
                  unsigned long long cost, long long reported) except -1

    @cython.locals(pos=Py_ssize_t, stop=Py_ssize_t, key=Py_ssize_t, key_end=Py_ssize_t, at=Py_ssize_t, after=Py_ssize_t, slot=int)
    cdef int _drop(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end, int keeps) except -1

    cdef bytes _note(self, Py_ssize_t number)

    @cython.locals(hi=cython.ulonglong, lo=cython.ulonglong)
    cdef int _add_up(self, const unsigned char* data, int priced, unsigned long long cost) except -1

    @cython.locals(place=Py_ssize_t, at=Py_ssize_t, trace=Py_ssize_t, slot=Py_ssize_t, begin=Py_ssize_t)
    cdef int _tell(self, const unsigned char* data) except -1

    @cython.locals(scratch=bytearray, at=Py_ssize_t, note=bytes, unknown=cython.ulonglong)
    cdef int _tell_sum(self, Py_ssize_t slot) except -1
