# C types for normalize_answers.py.
cimport cython

from tracekeeper_sidecar.wire cimport native
from tracekeeper_sidecar.wire.native cimport Words

cdef Py_ssize_t _LINE
cdef int _FINE, _COARSE, _START, _LONG
cdef unsigned long long _OWNER, _LOW_32, _HALF, _MOST, _LASTS

cdef class Answers:
    cdef Py_ssize_t _rows
    cdef bytearray _room
    cdef int _made
    cdef Words _table

    @cython.locals(table=Words, at=Py_ssize_t, end=Py_ssize_t)
    cdef Py_ssize_t _find(self, unsigned long long mark) noexcept

    @cython.locals(table=Words, first=Py_ssize_t, at=Py_ssize_t)
    cdef int _put(self, unsigned long long mark, unsigned long long word) except -1

    @cython.locals(at=Py_ssize_t, known=cython.ulonglong, since=cython.ulonglong, until=cython.ulonglong,
                   lasted=cython.ulonglong)
    cdef unsigned long long _claim(self, unsigned long long answer, unsigned long long span, unsigned long long begin,
                                   unsigned long long end) except? 0

    cdef void _fetch(self, unsigned long long answer) noexcept

    @cython.locals(at=Py_ssize_t, tick=cython.ulonglong, since=cython.ulonglong)
    cdef int _again(self, unsigned long long mark, unsigned long long now) except -1

cdef unsigned long long _owner(unsigned long long word) noexcept
