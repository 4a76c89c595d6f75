# C types for rows.py. Keys and values are unsigned and have 64 bits.
cimport cython

from tracekeeper_sidecar.wire cimport native
from tracekeeper_sidecar.wire.native cimport Halves, Words

cdef unsigned long long _ALL_64, _STIR
cdef Py_ssize_t _NONE, _EXEMPLAR

@cython.final
cdef class Index:
    cdef readonly Py_ssize_t most, count
    cdef unsigned long long _seed
    cdef Py_ssize_t _mask
    cdef int _shift
    cdef list _buffers
    cdef Words _keys
    cdef Halves _numbers

    @cython.locals(at=Py_ssize_t)
    cpdef Py_ssize_t get(self, unsigned long long key) noexcept

    @cython.locals(at=Py_ssize_t)
    cpdef int put(self, unsigned long long key, Py_ssize_t number) noexcept

    @cython.locals(at=Py_ssize_t)
    cpdef void clear(self) noexcept

@cython.final
cdef class Births:
    cdef readonly unsigned long long count

@cython.final
cdef class Family:
    cdef readonly Py_ssize_t most, width
    cdef readonly unsigned long long overflow
    cdef Births _births
    cdef Py_ssize_t _buckets, _used, _last
    cdef unsigned long long _bounds[32]
    cdef unsigned long long _all_other, _fixed, _last_key
    cdef int _labels
    cdef bint _recent
    cdef Index _index
    cdef list _buffers, _columns, _free
    cdef Words _keys
    cdef Words _born
    cdef Words _values
    cdef Words _exemplars
    cdef Halves _stamps
    cdef Halves _state

    @cython.locals(row=Py_ssize_t)
    cpdef int add(self, unsigned long long key, unsigned long long amount, unsigned int tick) except -1

    @cython.locals(row=Py_ssize_t, low=Py_ssize_t, high=Py_ssize_t, middle=Py_ssize_t, at=Py_ssize_t)
    cpdef int observe(self, unsigned long long key, unsigned long long value, unsigned long long hi,
                      unsigned long long lo, unsigned long long span, unsigned long long time_ms,
                      unsigned int tick) except -1

    @cython.locals(at=Py_ssize_t)
    cpdef int raise_to(self, unsigned long long key, unsigned long long value, unsigned long long minute,
                       unsigned int tick) except -1

    @cython.locals(row=Py_ssize_t)
    cdef Py_ssize_t _row(self, unsigned long long key, unsigned int tick) except -1

    @cython.locals(row=Py_ssize_t)
    cdef Py_ssize_t _new(self, unsigned long long key) except -1

    @cython.locals(at=Py_ssize_t, place=int)
    cdef int _begin(self, Py_ssize_t row, unsigned long long key) except -1

    @cython.locals(made=Family)
    cpdef Family copy(self)

    @cython.locals(row=Py_ssize_t, at=Py_ssize_t)
    cdef void _copy_to(self, Family made) noexcept

    @cython.locals(found=Py_ssize_t, row=Py_ssize_t)
    cpdef Py_ssize_t oldest(self) noexcept
