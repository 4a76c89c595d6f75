# C types for slabs.py. Words are unsigned and have 64 bits, halves 32; slots are Py_ssize_t.
cimport cython

from tracekeeper_sidecar.wire cimport native
from tracekeeper_sidecar.wire.native cimport Halves, Words

cdef Py_ssize_t _SLAB, _SLABS, _DUE, _NONE, _FIRST_SHARD
cdef int _SLAB_BITS, _SHARDS, _FREE
cdef long long _NEVER
cdef unsigned long long _ALL_64, _MIX, _STIR

cdef class Slabs:
    cdef readonly Py_ssize_t count
    cdef Py_ssize_t _top, _spare
    cdef unsigned long long _seed
    cdef list _buffers, _tables, _columns, _shards
    cdef bytearray _state, _index_table
    cdef Words* _words
    cdef Halves* _halves
    cdef Halves* _index
    cdef Halves _used
    cdef Halves _live
    cdef Halves _head
    cdef Py_ssize_t _mask[64]
    cdef Py_ssize_t _filled[64]

    @cython.locals(slab=Py_ssize_t, at=Py_ssize_t, halves=Halves)
    cdef Py_ssize_t _take(self) except -1

    @cython.locals(slab=Py_ssize_t, at=Py_ssize_t, words=Words, halves=Halves)
    cdef int _give_back(self, Py_ssize_t slot) except -1

    @cython.locals(slab=Py_ssize_t, buffer=bytearray)
    cdef Py_ssize_t _new_slab(self) except -1

    cdef int _drop(self, Py_ssize_t slab) except -1

    @cython.locals(mixed=cython.ulonglong)
    cdef unsigned long long _hash(self, unsigned long long hi, unsigned long long lo) noexcept

    @cython.locals(key=cython.ulonglong, shard=Py_ssize_t, tag=cython.uint, index=Halves, mask=Py_ssize_t,
                   at=Py_ssize_t, entry=cython.uint, slot=Py_ssize_t, words=Words, place=Py_ssize_t)
    cdef Py_ssize_t _locate(self, unsigned long long hi, unsigned long long lo) noexcept

    @cython.locals(index=Halves, mask=Py_ssize_t, at=Py_ssize_t)
    cdef void _place(self, Py_ssize_t shard, unsigned long long key, Py_ssize_t slot) noexcept

    @cython.locals(words=Words, at=Py_ssize_t)
    cdef unsigned long long _home(self, Py_ssize_t slot) noexcept

    @cython.locals(old=Halves, before=bytearray, count=Py_ssize_t, buffer=bytearray, at=Py_ssize_t, entry=cython.uint,
                   slot=Py_ssize_t)
    cdef int _resize(self, Py_ssize_t shard, Py_ssize_t size) except -1

    @cython.locals(key=cython.ulonglong, shard=Py_ssize_t, index=Halves, mask=Py_ssize_t,
                   hole=Py_ssize_t, at=Py_ssize_t, home=Py_ssize_t)
    cdef int _leave(self, Py_ssize_t slot) except -1

    @cython.locals(key=cython.ulonglong, shard=Py_ssize_t, slot=Py_ssize_t, words=Words, at=Py_ssize_t)
    cdef Py_ssize_t _enter(self, unsigned long long hi, unsigned long long lo) except -2
