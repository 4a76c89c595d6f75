# C types for table.py. Words are unsigned and have 64 bits, halves 32; slots are Py_ssize_t.
cimport cython

from tracekeeper_sidecar.wire cimport native
from tracekeeper_sidecar.wire.native cimport Halves, Words
from tracekeeper_sidecar.wire.slabs cimport Slabs

cdef Py_ssize_t _SLAB, _DUE, _NONE, _LOOKED_AT
cdef int _SLAB_BITS
cdef unsigned int _NEVER

@cython.final
cdef class Table(Slabs):
    cdef readonly Py_ssize_t limit
    cdef Py_ssize_t _hand, _at

    cdef unsigned long long _get(self, Py_ssize_t slot, int word) noexcept

    cdef void _set(self, Py_ssize_t slot, int word, unsigned long long value) noexcept

    cdef unsigned int _when(self, Py_ssize_t slot) noexcept

    cdef void _look_at(self, Py_ssize_t slot, unsigned int tick) noexcept

    @cython.locals(slot=Py_ssize_t, words=Words, at=Py_ssize_t)
    cdef Py_ssize_t _add(self, unsigned long long hi, unsigned long long lo, unsigned int tick) except -1

    @cython.locals(found=Py_ssize_t, soonest=cython.uint, looked_at=Py_ssize_t, slab=Py_ssize_t, at=Py_ssize_t,
                   due=cython.uint)
    cdef Py_ssize_t _victim(self) noexcept

    cdef void _begin(self) noexcept

    @cython.locals(slab=Py_ssize_t, at=Py_ssize_t, halves=Halves, used=Py_ssize_t, due=cython.uint)
    cdef Py_ssize_t _next(self, unsigned int tick) noexcept

    @cython.locals(words=Words, place=Py_ssize_t, word=int)
    cdef Py_ssize_t _pack(self, Py_ssize_t slot, unsigned char* out, Py_ssize_t at) noexcept

    @cython.locals(slot=Py_ssize_t, word=int)
    cdef Py_ssize_t _unpack(self, bytes record) except -2

cpdef Py_ssize_t put_word(unsigned char* out, Py_ssize_t at, unsigned long long value, int size) noexcept
