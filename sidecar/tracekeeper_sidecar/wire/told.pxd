# C types for told.py.
cimport cython

from tracekeeper_sidecar.wire cimport native
from tracekeeper_sidecar.wire.remembered cimport Remembered
from tracekeeper_sidecar.wire.traces cimport Traces

cdef Py_ssize_t _ID
cdef unsigned long long _KEEP, _THRESHOLD

cdef class Met:
    cdef readonly Py_ssize_t unknown, kept
    cdef readonly bytes open_ids, overturned, passed

cdef class Told:
    cdef readonly bint any
    cdef Remembered _known

    cpdef unsigned long long get(self, bytes trace_id) except? 0

    @cython.locals(size=Py_ssize_t, at=Py_ssize_t, open_ids=bytearray, overturned=bytearray, passed=bytearray,
                   packed=bytes, unknown=Py_ssize_t, kept=Py_ssize_t, slot=Py_ssize_t, known=cython.ulonglong,
                   decided=bint)
    cpdef Met take(self, bytes ids, unsigned long long verdict, Traces table, Remembered remembered)
