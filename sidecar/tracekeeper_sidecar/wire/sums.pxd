# C types for sums.py.
cimport cython

from tracekeeper_sidecar.wire cimport native
from tracekeeper_sidecar.wire.native cimport Words
from tracekeeper_sidecar.wire.slabs cimport Slabs

cdef Py_ssize_t _SLAB, _SLABS, _NONE
cdef int _SLAB_BITS
cdef unsigned long long _MOST, _TOLD

cdef class Sums(Slabs):
    cdef bytearray _spent_state, _spent_table
    cdef dict _spent_buffers
    cdef Words* _spent_words

    @cython.locals(slab=Py_ssize_t, at=Py_ssize_t, words=Words)
    cdef int _spend(self, Py_ssize_t slot, long long cost, long long tokens) except -1

    @cython.locals(slab=Py_ssize_t, word=cython.ulonglong)
    cdef long long _spent(self, Py_ssize_t slot, int which) noexcept

    @cython.locals(words=Words)
    cdef void _begin_sums(self, Py_ssize_t slot) noexcept

    @cython.locals(buffer=bytearray)
    cdef int _widen(self, Py_ssize_t slab) except -1

    cdef int _drop(self, Py_ssize_t slab) except -1
