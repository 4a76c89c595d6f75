# C types for verdict.py.
cimport cython

from tracekeeper_sidecar.wire.program cimport Program
from tracekeeper_sidecar.wire.traces cimport Traces

cdef int _MISSING, _TRUTH, _INTEGER, _DURATION
cdef int _TRACE_STATUS, _TRACE_ERRORS, _TRACE_DURATION, _TRACE_SPANS, _TRACE_PRIORITY, _SPAN_TEST
cdef int _KINDS, _STATUSES, _NONE, _RULE
cdef unsigned long long _NEVER, _KEEP

cdef class _Whole(Program):
    cdef int _tests[256]

    @cython.locals(number=int, place=int, cell=int, text=int)
    cdef int judge(self, Traces table, Py_ssize_t slot) noexcept

cdef class Judge:
    cdef list _rules
    cdef Py_ssize_t _count

    cpdef Py_ssize_t first(self, Traces table, Py_ssize_t slot) except -2

    @cython.locals(counts=dict, keys=Py_ssize_t, slot=Py_ssize_t, rule=Py_ssize_t, threshold=cython.ulonglong,
                   key=Py_ssize_t, verdict=cython.ulonglong)
    cpdef dict decide(self, Traces table, list slots, list thresholds, list by_key)

    @cython.locals(number=Py_ssize_t, rule=_Whole)
    cdef Py_ssize_t _first(self, Traces table, Py_ssize_t slot) except -2
