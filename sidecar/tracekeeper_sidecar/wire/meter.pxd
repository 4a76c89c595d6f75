# C types for meter.py.
cimport cython

cdef long long _NANOSECONDS[14]
cdef int _BUCKETS

cdef class Sight:
    cdef readonly bint critical
    cdef readonly Py_ssize_t spans, requests, errors
    cdef readonly unsigned long long nanoseconds
    cdef int _counts[16]

    @cython.locals(bucket=int)
    cdef void note(self, long long nanoseconds, int error) noexcept

cdef class Meter:
    cdef readonly Py_ssize_t requests, errors
    cdef readonly unsigned long long nanoseconds
    cdef long long _counts[16]

    @cython.locals(bucket=int)
    cpdef void add(self, Sight sight) noexcept
