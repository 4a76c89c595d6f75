# C types for redact.py. Offsets are Py_ssize_t: a body is at most 64 MiB, and a hit is an offset times 1024.
cimport cython

from tracekeeper_sidecar.wire cimport native
from tracekeeper_sidecar.wire.walker cimport Walker

cdef bytes _RULES
cdef int _SPAN, _EVENT, _LINK, _FIRST_TEXT, _LINK_ID, _SLOTS, _MOST_KEYS, _UNSEEN
cdef unsigned long long _ALL_64, _BASIS, _PRIME

cdef class Finder(Walker):
    cdef object _judge, _take
    cdef list _names, _hits
    cdef int _verdicts[4096]
    cdef Py_ssize_t _known, _next, _count, _spans, _from, _until
    cdef int _by_key, _every

    @cython.locals(hit=Py_ssize_t)
    cdef Py_ssize_t _touches(self, Py_ssize_t begin, Py_ssize_t end) except -1

    @cython.locals(pos=Py_ssize_t, stop=Py_ssize_t, value=Py_ssize_t, events=Py_ssize_t, links=Py_ssize_t, rule=int)
    cdef int _message(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end, int kind, Py_ssize_t owner,
                      Py_ssize_t owner_end, Py_ssize_t index, Py_ssize_t span) except -1

    cdef int _below(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end, int kind, Py_ssize_t owner,
                    Py_ssize_t owner_end, Py_ssize_t index, Py_ssize_t span) except -1

    cdef int _part(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end, int place, Py_ssize_t owner,
                   Py_ssize_t owner_end, Py_ssize_t index, Py_ssize_t span) except -1

    @cython.locals(stop=Py_ssize_t, pos=Py_ssize_t)
    cdef int _wanted(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end, int place) except -1

    @cython.locals(mark=cython.ulonglong, pos=Py_ssize_t, slot=Py_ssize_t, found=int, name=bytes, size=cython.ulonglong)
    cdef int _verdict(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end) except -1

    @cython.locals(index=Py_ssize_t, size=Py_ssize_t)
    cdef int _same(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end, bytes name) noexcept

    @cython.locals(slot=Py_ssize_t)
    cdef int _forget(self) except -1

    @cython.locals(pos=Py_ssize_t, copied=Py_ssize_t, stop=Py_ssize_t, value=Py_ssize_t, start=Py_ssize_t,
                   finish=Py_ssize_t, first=Py_ssize_t, number=cython.ulonglong, edit=tuple)
    cdef bytes _rebuild(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end, list edits, Py_ssize_t at,
                        Py_ssize_t last)
