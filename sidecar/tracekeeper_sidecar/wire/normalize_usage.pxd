# C types for normalize_usage.py.
cimport cython

from tracekeeper_sidecar.wire cimport native
from tracekeeper_sidecar.wire.native cimport Words

cdef Py_ssize_t _WAYS, _PLACE, _TOLD, _ENDS
cdef int _TICK, _TAG, _TAG_BITS, _NEXT
cdef unsigned long long _TICKS, _SECOND, _TAGS, _BITS, _ALL_64

cdef class Usage:
    cdef readonly int known
    cdef Py_ssize_t _rows
    cdef unsigned long long _lasts, _tick
    cdef bytearray _room, _tags_room
    cdef Words _table, _tags

    cpdef at(self, unsigned long long now)

    cdef void _fetch(self, unsigned long long mark) noexcept

    @cython.locals(tags=cython.ulonglong, tag=cython.ulonglong, way=Py_ssize_t, row=Py_ssize_t, at=Py_ssize_t)
    cdef Py_ssize_t _find(self, unsigned long long mark) noexcept

    @cython.locals(since=cython.ulonglong)
    cdef int _is_old(self, unsigned long long word) noexcept

    @cython.locals(table=Words, at=Py_ssize_t, row=Py_ssize_t, way=Py_ssize_t, shift=int)
    cdef Py_ssize_t _place(self, unsigned long long mark) except -1

    @cython.locals(at=Py_ssize_t, place=Py_ssize_t)
    cdef int _tell(self, unsigned long long mark, unsigned long long told) except -1

    @cython.locals(at=Py_ssize_t)
    cdef int _rise(self, unsigned long long mark, unsigned long long bits, unsigned long long used) except -1

    cdef int _begin(self) except -1

cdef unsigned long long _tag(unsigned long long mark) noexcept
