# C types for edits.py. Edits are words of 64 bits; a body's offsets and lengths are never more than fit.
cimport cython

from tracekeeper_sidecar.wire cimport native
from tracekeeper_sidecar.wire.native cimport Words

cdef int _EDIT, _BEGIN, _END, _FROM, _TO, _AROUND, _COME, _GO, _SORT, _TEXT, _HEAD, _NOTHING
cdef Py_ssize_t _FIRST, _KEPT, ROOM, _FIRST_SCRATCH

cdef class Edits:
    cdef bytearray scratch, _buffer
    cdef Words words
    cdef Py_ssize_t _most, count, filled, around, grown

    cdef int _begin_anew(self) except -1

    cdef int begin(self) except -1

    @cython.locals(words=Words, place=Py_ssize_t)
    cdef Py_ssize_t push(self, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t first, Py_ssize_t second, int sort) except -1

    @cython.locals(old=Words, before=bytearray, size=Py_ssize_t, at=Py_ssize_t)
    cdef int _grow(self) except -1

    @cython.locals(larger=bytearray)
    cdef bytearray room(self)

    @cython.locals(come=Py_ssize_t, go=Py_ssize_t, words=Words, edit=Py_ssize_t, place=Py_ssize_t, around=Py_ssize_t,
                   sort=cython.ulonglong)
    cdef int measure(self) except -1

    @cython.locals(out=bytes, scratch=bytearray, words=Words, at=Py_ssize_t, last=Py_ssize_t, edit=Py_ssize_t,
                   place=Py_ssize_t)
    cdef bytes written(self, bytes data, Py_ssize_t size)
