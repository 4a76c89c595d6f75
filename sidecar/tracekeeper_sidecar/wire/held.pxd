# C types for held.py.
cimport cython

from tracekeeper_sidecar.wire cimport layout, native
from tracekeeper_sidecar.wire.native cimport Words
from tracekeeper_sidecar.wire.table cimport put_word

cdef Py_ssize_t _NONE, _CHUNK

@cython.final
cdef class Held:
    cdef readonly Py_ssize_t most, count
    cdef Py_ssize_t _free, _used, _room
    cdef bytearray _buffer
    cdef Words _words

    @cython.locals(place=Py_ssize_t)
    cdef Py_ssize_t _take(self) except -2

    cdef void _give_back(self, Py_ssize_t place) noexcept

    @cython.locals(old=Words, before=bytearray, words=Py_ssize_t, at=Py_ssize_t)
    cdef int _grow(self) except -1

    @cython.locals(word=int)
    cdef Py_ssize_t _pack(self, Py_ssize_t place, unsigned char* out, Py_ssize_t at) noexcept

    @cython.locals(place=Py_ssize_t, word=int)
    cdef Py_ssize_t _unpack(self, bytes record) except -2
