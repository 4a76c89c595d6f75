# C types for normalize_usage.py.
cimport cython

cdef class Usage:
    cdef readonly int known
    cdef Py_ssize_t _most, _count, _young_mask, _old_mask
    cdef unsigned long long _lasts, _since
    cdef unsigned long long[::1] _young, _old

    @cython.locals(now=cython.ulonglong)
    cpdef age(self, unsigned long long now)
    cpdef unsigned long long get(self, unsigned long long mark) except? 0
    cpdef int add(self, unsigned long long mark, unsigned long long bits) except -1

    @cython.locals(at=Py_ssize_t)
    cdef unsigned long long _get(self, unsigned long long mark) noexcept

    @cython.locals(at=Py_ssize_t, before=cython.ulonglong)
    cdef int _add(self, unsigned long long mark, unsigned long long bits) except -1

    cdef void _turn(self) except *

    @cython.locals(known="unsigned long long[::1]", size=Py_ssize_t, index=Py_ssize_t, at=Py_ssize_t, mark=cython.ulonglong)
    cdef void _grow(self) except *

    cdef void _set_young(self, Py_ssize_t size) except *
    cdef void _set_old(self, Py_ssize_t size) except *
