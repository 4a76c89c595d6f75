# C types for normalize_repeats.py.
cimport cython

from tracekeeper_sidecar.wire cimport native
from tracekeeper_sidecar.wire.native cimport Halves, Words
from tracekeeper_sidecar.wire.normalize_usage cimport Usage

cdef int _ROUNDS, _WORDS, _OWNED, _MILLISECOND
cdef Py_ssize_t _BELOW, _ABOVE
cdef unsigned long long _BOTH, _STOP, _SAID, _USED, _OUTSIDE, _BESIDE, _ALL_64, _STIR, _STEP, _STRIDE, _OWNER, _LOW_32

cdef class Repeats:
    cdef readonly Usage usage
    cdef readonly unsigned long long seed
    cdef bytearray _room, _places
    cdef Py_ssize_t _count
    cdef int _any

    cdef void _begin(self, Py_ssize_t spans) except *

    @cython.locals(words=Words, at=Py_ssize_t, whose=cython.ulonglong)
    cdef void _note(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t trace, Py_ssize_t span,
                    Py_ssize_t parent, unsigned long long kinds, unsigned long long answer, unsigned long long start,
                    unsigned long long finish) except *

    cpdef list repeated(self, unsigned long long now)

    @cython.locals(words=Words, turn=int, news=int, place=Py_ssize_t, at=Py_ssize_t, above=cython.ulonglong,
                   kinds=cython.ulonglong, rises=cython.ulonglong)
    cdef void _spread(self) except *

    @cython.locals(words=Words, table=Halves, size=Py_ssize_t, place=Py_ssize_t, free=Py_ssize_t, at=Py_ssize_t,
                   mark=cython.ulonglong)
    cdef void _find_parents(self) except *

    @cython.locals(words=Words, found=list, place=Py_ssize_t, at=Py_ssize_t, kinds=cython.ulonglong,
                   alike=cython.ulonglong)
    cdef list _repeating(self)

    @cython.locals(owner=cython.ulonglong)
    cdef int _is_other(self, unsigned long long answer, unsigned long long span, unsigned long long start,
                       unsigned long long end) except -1

@cython.locals(mixed=cython.ulonglong, factor=cython.ulonglong, last=Py_ssize_t)
cdef unsigned long long hashed(const unsigned char* data, Py_ssize_t pos, Py_ssize_t end,
                               unsigned long long seed) noexcept

cdef unsigned long long _stirred(unsigned long long word) noexcept

@cython.locals(mark=cython.ulonglong)
cdef unsigned long long _marked(unsigned long long word) noexcept
