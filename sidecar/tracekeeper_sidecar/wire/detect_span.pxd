# C types for detect_span.py. What other modules use of its numbers they take as Python objects, once.
cimport cython

from tracekeeper_sidecar.wire cimport native
from tracekeeper_sidecar.wire.walker cimport Walker

cdef int _SLOTS, _ABSENT, _NONE, _PLACE_BITS, _OPERATION, _KIND, _SERVICE, _LLM
cdef unsigned long long _MOST_NUMBER, _LOW_32, _ALL_64, _FACTOR, _LENGTHS

cdef class Said(Walker):
    cdef Py_ssize_t _value[24]
    cdef Py_ssize_t _value_end[24]
    cdef unsigned long long _words_of[512]
    cdef unsigned long long _size_of[128]
    cdef int _slot_of[128]
    cdef Py_ssize_t _trace, _span_id, _parent, _said, _until
    cdef int _root, _flags
    cdef unsigned long long _role, _code, _start, _end

    @cython.locals(pos=Py_ssize_t, stop=Py_ssize_t, at=Py_ssize_t, after=Py_ssize_t)
    cdef void _enter(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end) noexcept

    @cython.locals(slot=int)
    cdef void _clear(self) noexcept

    @cython.locals(pos=Py_ssize_t, stop=Py_ssize_t, at=Py_ssize_t, number=cython.ulonglong)
    cdef int _read(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end) noexcept

    @cython.locals(stop=Py_ssize_t)
    cdef void _status(self, const unsigned char* data, Py_ssize_t pos, Py_ssize_t end) noexcept

    cdef void _attribute(self, const unsigned char* data, Py_ssize_t pos, Py_ssize_t end) noexcept

    @cython.locals(place=Py_ssize_t, slot=int, size=cython.ulonglong, last=cython.ulonglong, mark=cython.ulonglong,
                   middle=cython.ulonglong)
    cdef void _named(self, const unsigned char* data, Py_ssize_t key, Py_ssize_t key_end, Py_ssize_t value,
                    Py_ssize_t value_end) noexcept

    @cython.locals(pos=Py_ssize_t)
    cdef int _text(self, const unsigned char* data, int slot) noexcept

    @cython.locals(stop=Py_ssize_t, found=int)
    cdef int _string(self, const unsigned char* data, Py_ssize_t pos, Py_ssize_t end) noexcept

    @cython.locals(pos=Py_ssize_t, end=Py_ssize_t, stop=Py_ssize_t)
    cdef long long _tokens(self, const unsigned char* data, int slot) noexcept

    cdef int _is(self, const unsigned char* data, const unsigned char* text, Py_ssize_t size) noexcept

    @cython.locals(kind=int)
    cdef int _kind_of(self, const unsigned char* data) except -1

    cdef int _kind_named(self, bytes name) except -1

    @cython.locals(end=Py_ssize_t)
    cdef str _decoded(self, const unsigned char* data, int slot)
