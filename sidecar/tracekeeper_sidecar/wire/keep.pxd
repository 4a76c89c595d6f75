# C types for keep.py.
cimport cython

from tracekeeper_sidecar.wire cimport native
from tracekeeper_sidecar.wire.native cimport Halves
from tracekeeper_sidecar.wire.probability cimport Tracestate
from tracekeeper_sidecar.wire.traces cimport Traces
from tracekeeper_sidecar.wire.walker cimport Walker

cdef int _ATTRIBUTE, _RULES, _RULE, _NONE, _BLOCKED
cdef unsigned long long _KEEP, _ERASE, _THRESHOLD
cdef Py_ssize_t _GROWTH, _HELD

cdef class Cut:
    cdef readonly bytes body
    cdef readonly Py_ssize_t kept
    cdef readonly list left_out

cdef class Keep(Walker):
    cdef readonly bytes blocked_by
    cdef Traces _table
    cdef object _unknown
    cdef Tracestate _tracestate
    cdef bytearray _room, _seen
    cdef unsigned char* _out
    cdef Py_ssize_t _written, _count, _slot, _run
    cdef unsigned long long _hi, _lo, _verdict
    cdef int _has_last, _changed
    cdef Py_ssize_t _dropped[32]

    @cython.locals(size=Py_ssize_t, total=Py_ssize_t, kept=Py_ssize_t, written=bytes)
    cpdef Cut cut(self, bytes body)

    @cython.locals(seen=Halves, index=Py_ssize_t)
    cdef void _settle(self) except *

    @cython.locals(rule=int)
    cdef void _prepare(self, Py_ssize_t room, Py_ssize_t seen) except *

    @cython.locals(pos=Py_ssize_t, kept=Py_ssize_t, stop=Py_ssize_t, inner=Py_ssize_t)
    cdef Py_ssize_t _request(self, const unsigned char* data, Py_ssize_t end) except -2

    @cython.locals(head=Py_ssize_t, value=Py_ssize_t, run=Py_ssize_t, pos=Py_ssize_t, kept=Py_ssize_t, stop=Py_ssize_t,
                   inner=Py_ssize_t, done=Py_ssize_t, size=Py_ssize_t, actual=Py_ssize_t)
    cdef Py_ssize_t _part(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end, int tag,
                          int level) except -2

    @cython.locals(trace=Py_ssize_t, state=Py_ssize_t, state_end=Py_ssize_t, state_at=Py_ssize_t, inner=Py_ssize_t,
                   stop=Py_ssize_t, size=Py_ssize_t)
    cdef Py_ssize_t _span(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t run,
                          Py_ssize_t pos) except -2

    @cython.locals(room="unsigned char*", total=Py_ssize_t, at=Py_ssize_t)
    cdef void _rewrite(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t state_at,
                       Py_ssize_t state_end, Py_ssize_t size) noexcept

    @cython.locals(slot=Py_ssize_t)
    cdef int _judge(self, unsigned long long hi, unsigned long long lo) except -1

    @cython.locals(seen=Halves)
    cdef void _note(self) noexcept
