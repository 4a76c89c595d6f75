# C types for normalize_usage.py.
cimport cython

from tracekeeper_sidecar.wire cimport native
from tracekeeper_sidecar.wire.native cimport Words

cdef Py_ssize_t _LINE
cdef int _TICK
cdef unsigned long long _TOLD, _TICKS, _SECOND

cdef class Usage:
    cdef readonly int known
    cdef Py_ssize_t _rows
    cdef unsigned long long _lasts, _tick
    cdef bytearray _room
    cdef Words _table

    cpdef at(self, unsigned long long now)
    cpdef unsigned long long get(self, unsigned long long mark) except? 0
    cpdef int add(self, unsigned long long mark, unsigned long long bits) except -1

    @cython.locals(table=Words, at=Py_ssize_t, end=Py_ssize_t)
    cdef unsigned long long _get(self, unsigned long long mark) noexcept

    @cython.locals(since=cython.ulonglong)
    cdef int _is_old(self, unsigned long long word) noexcept

    @cython.locals(table=Words, first=Py_ssize_t, at=Py_ssize_t, end=Py_ssize_t, before=cython.ulonglong)
    cdef int _add(self, unsigned long long mark, unsigned long long bits) except -1

    cdef void _begin(self) except *
