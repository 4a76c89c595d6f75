# C types for fold.py.
cimport cython

from tracekeeper_sidecar.wire cimport native
from tracekeeper_sidecar.wire.calls cimport Calls
from tracekeeper_sidecar.wire.detected cimport Detected
from tracekeeper_sidecar.wire.keys cimport Keys
from tracekeeper_sidecar.wire.match cimport Matcher
from tracekeeper_sidecar.wire.probability cimport Tracestate
from tracekeeper_sidecar.wire.traces cimport Traces
from tracekeeper_sidecar.wire.walker cimport Walker

cdef int _COST, _INPUT, _OUTPUT, _LLM, _EMBEDDING, _SILENT, _UNKNOWN_SOURCE
cdef int _ATTRIBUTE, _SERVER, _CONSUMER, _REMOTE, _NONE
cdef unsigned long long _ERROR, _LOW_32
cdef long long _MOST_TOKENS
cdef bytes _CRITICAL
cdef Py_ssize_t _CRITICAL_SIZE, _DETECTED_SIZE
cdef bytes _DETECTED
cdef int _IS_CRITICAL, _IS_DETECTED

@cython.final
cdef class Spent(Calls):
    cdef long long _cost, _tokens

    @cython.locals(kind=int, said=int, came=cython.longlong, went=cython.longlong)
    cdef int _is_call(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end) except -1

cdef class Folder(Walker):
    cdef Spent _spender
    cdef Detected _named_by
    cdef bint _sums
    cdef readonly Py_ssize_t refused
    cdef Traces _table
    cdef list _span_tests, _root_tests
    cdef int _spans_tested, _roots_tested, _keyed
    cdef Keys _keys
    cdef Tracestate _tracestate
    cdef long long _now
    cdef unsigned long long _hi, _lo
    cdef Py_ssize_t _slot, _begin, _end, _name, _name_size, _message, _message_size
    cdef unsigned long long _sizes, _code
    cdef int _skipped

    @cython.locals(test=int, matcher=Matcher)
    cdef void _note_sizes(self) noexcept

    @cython.locals(size=Py_ssize_t, total=Py_ssize_t, pos=Py_ssize_t, stop=Py_ssize_t)
    cpdef Py_ssize_t fold(self, bytes body, long long time_ms) except -1

    @cython.locals(test=int, matcher=Matcher, pos=Py_ssize_t, stop=Py_ssize_t)
    cdef void _resource(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end) except *

    @cython.locals(stop=Py_ssize_t)
    cdef void _scope(self, const unsigned char* data, Py_ssize_t pos, Py_ssize_t end) except *

    @cython.locals(trace=Py_ssize_t, start=cython.ulonglong, finish=cython.ulonglong, kind=cython.ulonglong,
                   status=cython.ulonglong, flags=int, root=int, test=int, matcher=Matcher, marks=int, state=Py_ssize_t, state_end=Py_ssize_t, found=Py_ssize_t, found_end=Py_ssize_t,
                   pos=Py_ssize_t, stop=Py_ssize_t, number=cython.ulonglong, slot=Py_ssize_t, rank=int, known=int, came=cython.longlong,
                   key=cython.uint, tests=cython.uint)
    cdef void _span(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end) except *

    cdef int _is_detected(self, const unsigned char* data, Py_ssize_t pos, Py_ssize_t end) noexcept

    @cython.locals(slot=Py_ssize_t)
    cdef Py_ssize_t _open(self, unsigned long long hi, unsigned long long lo) except -2

    @cython.locals(stop=Py_ssize_t)
    cdef void _status(self, const unsigned char* data, Py_ssize_t pos, Py_ssize_t end) noexcept

    @cython.locals(test=int, matcher=Matcher)
    cdef void _offer(self, const unsigned char* data, Py_ssize_t pos, Py_ssize_t end) noexcept

    @cython.locals(known=cython.uint, found=cython.uint, bit=cython.uint, test=int, matcher=Matcher)
    cdef unsigned int _tested(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t slot,
                              unsigned long long kind, unsigned long long start, unsigned long long finish,
                              int root) noexcept

    @cython.locals(found=cython.uint, bit=cython.uint, test=int, matcher=Matcher)
    cdef unsigned int _root_tested(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end) noexcept
