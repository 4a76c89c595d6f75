# C types for pick.py.
cimport cython

from tracekeeper_sidecar.wire cimport native
from tracekeeper_sidecar.wire.keep cimport Cut, Keep
from tracekeeper_sidecar.wire.remembered cimport Remembered

cdef Py_ssize_t _RECORD

cdef class Pick(Keep):
    cdef Remembered _verdicts, _ends
    cdef unsigned long long _end

    @cython.locals(size=Py_ssize_t, at=Py_ssize_t)
    cpdef add(self, bytes records)

    cpdef Cut pick(self, bytes body, unsigned long long end)

    @cython.locals(trace=Py_ssize_t, hi=cython.ulonglong, lo=cython.ulonglong)
    cdef Py_ssize_t _span(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t run,
                          Py_ssize_t pos) except -2
