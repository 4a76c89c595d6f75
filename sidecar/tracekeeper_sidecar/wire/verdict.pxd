# C types for verdict.py.
cimport cython

from tracekeeper_sidecar.wire.program cimport Program
from tracekeeper_sidecar.wire.traces cimport Traces

cdef int _MISSING, _TRUTH, _INTEGER, _DECIMAL, _DURATION
cdef double _NANO
cdef int _TRACE_STATUS, _TRACE_ERRORS, _TRACE_DURATION, _TRACE_SPANS, _TRACE_PRIORITY, _TRACE_DETECTED, _TRACE_COST, _TRACE_TOKENS, _SPAN_TEST
cdef int _KINDS, _STATUSES, _NONE

cdef class _Whole(Program):
    cdef int _tests[256]

    @cython.locals(number=int, place=int, cell=int, text=int, spent=cython.longlong)
    cdef int judge(self, Traces table, Py_ssize_t slot) noexcept

cdef class Judge:
    cdef list _rules
    cdef Py_ssize_t _count

    @cython.locals(number=Py_ssize_t, rule=_Whole)
    cpdef Py_ssize_t first(self, Traces table, Py_ssize_t slot) except -2
