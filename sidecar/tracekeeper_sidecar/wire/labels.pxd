# C types for labels.py.
cimport cython

from tracekeeper_sidecar.wire cimport native
from tracekeeper_sidecar.wire.rows cimport Index

cdef unsigned long long _ALL_64, _BASIS, _PRIME
cdef int _LONGEST, _NOTHING, _OTHER, _FIRST

@cython.locals(mixed=cython.ulonglong, rest=cython.ulonglong)
cpdef unsigned long long hashed(const unsigned char* data, Py_ssize_t pos, Py_ssize_t end, unsigned long long seed) noexcept

@cython.locals(key=cython.ulonglong, mixed=cython.ulonglong, rest=cython.ulonglong, last=Py_ssize_t)
cpdef unsigned long long marked(const unsigned char* data, Py_ssize_t pos, Py_ssize_t end, unsigned long long seed) noexcept

@cython.final
cdef class Labels:
    cdef readonly list texts
    cdef unsigned long long _seed, _last
    cdef int _last_number
    cdef Index _index

    @cython.locals(mixed=cython.ulonglong, number=int)
    cdef int _number(self, const unsigned char* data, Py_ssize_t pos, Py_ssize_t end) except -1

    @cython.locals(at=Py_ssize_t, shown=bytes)
    cdef int _new(self, const unsigned char* data, Py_ssize_t pos, Py_ssize_t end) except -1
