# C types for normalize_repeats.py.
cimport cython

from tracekeeper_sidecar.wire cimport native
from tracekeeper_sidecar.wire.native cimport Halves, Words
from tracekeeper_sidecar.wire.normalize_answers cimport Answers
from tracekeeper_sidecar.wire.normalize_usage cimport Usage

cdef int _HIGH, _BELOW_AT, _ID, _MILLISECOND, _SPANS_UP
cdef Py_ssize_t _WORDS, _KEPT, _ANSWER, _KINDS, _WHERE, _USE, _TIME, _SUM, _LINK, _TOLD, _ENDS
cdef unsigned long long _LLM, _BOTH, _STOP, _SAID, _USED, _ANSWERED, _SAME, _DONE, _FOUND, _ONE, _LOW_32, _LOW_8, _OWNER
cdef unsigned long long _ALL_64, _STIR, _STEP, _STRIDE, _AGAIN

cdef class Repeats:
    cdef readonly Usage usage
    cdef readonly Answers answers
    cdef readonly unsigned long long seed
    cdef unsigned long long _input_llm, _output_llm, _input_embedding, _output_embedding
    cdef bytearray _room
    cdef Words _words
    cdef Py_ssize_t _count, _spans, _found
    cdef int _any
    cdef unsigned long long _now, _full, _high, _low, _whose

    cdef int _begin(self) except -1

    @cython.locals(words=Words, room=bytearray, at=Py_ssize_t)
    cdef int _grow(self, Py_ssize_t spans) except -1

    @cython.locals(words=Words, at=Py_ssize_t, whose=cython.ulonglong, said=cython.ulonglong, id=cython.ulonglong)
    cdef int _note(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t trace,
                   Py_ssize_t span, Py_ssize_t parent, unsigned long long kinds, unsigned long long inputs,
                   unsigned long long outputs, unsigned long long answer, unsigned long long start,
                   unsigned long long finish) except -1

    cpdef list repeated(self, unsigned long long now)

    @cython.locals(words=Words, table=Halves, places=bytearray, size=Py_ssize_t, place=Py_ssize_t, free=Py_ssize_t,
                   at=Py_ssize_t, mark=cython.ulonglong, last=cython.ulonglong, above=cython.ulonglong)
    cdef int _find_parents(self) except -1

    @cython.locals(words=Words, at=Py_ssize_t, end=Py_ssize_t, above=Py_ssize_t)
    cdef int _climb(self, int around) except -1

    @cython.locals(words=Words, above=Py_ssize_t)
    cdef int _up(self, Py_ssize_t at) except -1

    @cython.locals(words=Words, kinds=cython.ulonglong, own=cython.ulonglong, below=cython.ulonglong,
                   rises=cython.ulonglong, used=cython.ulonglong, other=cython.ulonglong, time=cython.ulonglong, above=Py_ssize_t,
                   place=Py_ssize_t)
    cdef int _settle(self, Py_ssize_t at) except -1

    @cython.locals(words=Words)
    cdef int _adds_up(self, Py_ssize_t at, unsigned long long own, unsigned long long below) noexcept

    @cython.locals(words=Words, table=Words, mark=cython.ulonglong, told=Py_ssize_t, here=Py_ssize_t)
    cdef int _recall(self, Py_ssize_t at, Py_ssize_t place) except -1

    @cython.locals(words=Words, kinds=cython.ulonglong, turn=int)
    cdef int _tell(self, Py_ssize_t at, unsigned long long outside, unsigned long long told,
                   unsigned long long other) except -1

    @cython.locals(words=Words, found=list, at=Py_ssize_t, end=Py_ssize_t)
    cdef list _repeating(self)

cdef unsigned long long _stirred(unsigned long long word) noexcept

@cython.locals(mark=cython.ulonglong)
cdef unsigned long long _marked(unsigned long long word) noexcept
