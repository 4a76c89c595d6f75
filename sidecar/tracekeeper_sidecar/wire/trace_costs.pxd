# C types for trace_costs.py. Costs are unsigned and have 64 bits; a call costs far less than would not fit beside a sum.
cimport cython

from tracekeeper_sidecar.wire.table cimport Table

cdef Py_ssize_t _MOST, _NONE
cdef unsigned int _IDLE, _SWEEP
cdef int _SUM, _CALLS
cdef unsigned long long _GREATEST, _LOW_32

cdef class TraceCosts:
    cdef Table table
    cdef readonly Py_ssize_t forgotten
    cdef unsigned int _tick, _swept
    cdef unsigned long long _hi, _lo
    cdef Py_ssize_t _slot

    cdef int begin(self, unsigned long long second) except -1

    @cython.locals(slot=Py_ssize_t)
    cdef int add(self, unsigned long long hi, unsigned long long lo, int priced, unsigned long long cost) except -1

    cdef Py_ssize_t find(self, unsigned long long hi, unsigned long long lo) noexcept

    cdef unsigned long long sum_of(self, Py_ssize_t slot) noexcept

    cdef unsigned long long priced(self, Py_ssize_t slot) noexcept

    cdef unsigned long long unknown(self, Py_ssize_t slot) noexcept

    @cython.locals(slot=Py_ssize_t)
    cdef Py_ssize_t _open(self, unsigned long long hi, unsigned long long lo) except -1

    @cython.locals(slot=Py_ssize_t)
    cdef int _sweep(self) except -1
