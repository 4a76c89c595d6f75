# C types for component.py. What other modules use of its numbers they take as Python objects, once.
cimport cython

from tracekeeper_sidecar.wire cimport native
from tracekeeper_sidecar.wire.walker cimport Walker

cdef int _SLOTS, _ABSENT, _NONE, _PROBES, _PROBE_BITS
cdef long long _NUMBERLESS
cdef unsigned long long _MOST_NUMBER, _LOW_32, _ALL_64, _FACTOR, _LENGTHS
cdef list _OPERATION_TEXTS, _KIND_TEXTS
cdef int _OPERATION_KINDS[16]
cdef int _OPERATION_COUNT, _KIND_COUNT, _OPERATION, _KIND, _REPEATED, _CACHE_WRITE, _COST, _COST_SOURCE
cdef int _NO_KIND, _OTHER, _LLM, _EMBEDDING
cdef bytes _TRUE

cdef class Component(Walker):
    cdef Py_ssize_t _value[40]
    cdef Py_ssize_t _value_end[40]
    cdef Py_ssize_t _resource_value[40]
    cdef Py_ssize_t _resource_end[40]
    cdef int _slot_of[256]
    cdef const unsigned char* _slot_names[256]
    cdef unsigned long long _slot_sizes[256]
    cdef Py_ssize_t _trace, _span_id, _parent, _said, _until
    cdef int _root, _flags, _twice
    cdef unsigned long long _kind, _code, _start, _end

    @cython.locals(slot=int, pos=Py_ssize_t, stop=Py_ssize_t, at=Py_ssize_t, after=Py_ssize_t)
    cdef void _enter(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end) noexcept

    @cython.locals(slot=int, pos=Py_ssize_t, stop=Py_ssize_t, number=cython.ulonglong, tag=int, size=int,
                   value=Py_ssize_t)
    cdef int _read(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end) noexcept

    @cython.locals(stop=Py_ssize_t)
    cdef void _status(self, const unsigned char* data, Py_ssize_t pos, Py_ssize_t end) noexcept

    @cython.locals(slot=int)
    cdef void _attribute(self, const unsigned char* data, Py_ssize_t pos, Py_ssize_t end) noexcept

    @cython.locals(known=Py_ssize_t)
    cdef void _store(self, const unsigned char* data, int slot, Py_ssize_t begin, Py_ssize_t end) noexcept

    @cython.locals(place=Py_ssize_t, slot=int, size=cython.ulonglong, mark=cython.ulonglong,
                   middle=cython.ulonglong)
    cdef int _slot_for(self, const unsigned char* data, Py_ssize_t key, Py_ssize_t key_end) noexcept

    cdef int _inherit(self, int slot) noexcept

    @cython.locals(pos=Py_ssize_t)
    cdef int _text(self, const unsigned char* data, int slot) noexcept

    @cython.locals(stop=Py_ssize_t, found=int)
    cdef int _string(self, const unsigned char* data, Py_ssize_t pos, Py_ssize_t end) noexcept

    @cython.locals(pos=Py_ssize_t, end=Py_ssize_t, stop=Py_ssize_t, at=Py_ssize_t, after=Py_ssize_t)
    cdef int _first(self, const unsigned char* data, int slot) noexcept

    @cython.locals(pos=Py_ssize_t, end=Py_ssize_t, stop=Py_ssize_t)
    cdef long long _number(self, const unsigned char* data, int slot) noexcept

    @cython.locals(number=int, size=Py_ssize_t, text=bytes)
    cdef int _operation_kind(self, const unsigned char* data) noexcept

    @cython.locals(number=int, size=Py_ssize_t, text=bytes, pos=Py_ssize_t)
    cdef int _kind_by(self, const unsigned char* data, int kind) noexcept
