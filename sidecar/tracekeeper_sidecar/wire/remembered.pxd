# C types for remembered.py.
cimport cython

cdef Py_ssize_t _RECORD
cdef unsigned long long _ALL_64, _STIR

cdef class Remembered:
    cdef Py_ssize_t _most, _count, _young_mask, _old_mask
    cdef readonly Py_ssize_t turns
    cdef unsigned long long[::1] _young, _old

    cpdef unsigned long long get(self, bytes trace_id) except? 0

    @cython.locals(size=Py_ssize_t, at=Py_ssize_t)
    cpdef add(self, bytes packed)

    cpdef turn(self)

    cdef unsigned long long _look(self, const unsigned char* data, Py_ssize_t at) except? 0

    cdef void _note(self, const unsigned char* data, Py_ssize_t at, unsigned long long verdict) except *

    @cython.locals(at=Py_ssize_t)
    cdef unsigned long long _get(self, unsigned long long mark) except? 0

    @cython.locals(at=Py_ssize_t)
    cdef void _put(self, unsigned long long mark, unsigned long long verdict) except *

    @cython.locals(known="unsigned long long[::1]", size=Py_ssize_t, index=Py_ssize_t, at=Py_ssize_t, mark=cython.ulonglong)
    cdef void _grow(self) except *

    cdef void _set_young(self, Py_ssize_t size) except *
    cdef void _set_old(self, Py_ssize_t size) except *

@cython.locals(mark=cython.ulonglong)
cdef unsigned long long _mark(const unsigned char* data, Py_ssize_t at) noexcept

cdef unsigned long long _stirred(unsigned long long word) noexcept

@cython.locals(value=cython.ulonglong, index=int)
cdef unsigned long long _word(const unsigned char* data, Py_ssize_t at) noexcept
