# C types for probability.py.
cimport cython

from tracekeeper_sidecar.wire cimport native

cdef long long _NEVER, _LOW_56
cdef unsigned int _WHOLE
cdef int _LONGEST_ENTRY, _LONGEST, _MEMBERS, _UNCHANGED, _ABSENT

@cython.locals(kept=cython.longlong, shift=cython.uint)
cpdef unsigned int brief(long long threshold) noexcept

@cython.locals(rest=cython.ulonglong)
cpdef double stands_for(unsigned int brief) noexcept

cdef class Tracestate:
    cdef readonly long long threshold, randomness
    cdef bytearray room
    cdef Py_ssize_t _begin, _end, _value, _value_end, _th
    cdef int _members

    cpdef bytes at(self, bytes tracestate, long long threshold)

    cpdef bytes erased(self, bytes tracestate)

    @cython.locals(stop=Py_ssize_t)
    cdef void read(self, const unsigned char* data, Py_ssize_t pos, Py_ssize_t end) noexcept

    @cython.locals(begin=Py_ssize_t, stop=Py_ssize_t, part=Py_ssize_t)
    cdef void _member(self, const unsigned char* data, Py_ssize_t pos, Py_ssize_t end) noexcept

    @cython.locals(size=Py_ssize_t)
    cdef Py_ssize_t write(self, const unsigned char* data, Py_ssize_t pos, Py_ssize_t end, long long threshold,
                          int erase) noexcept

    @cython.locals(room="unsigned char*", size=Py_ssize_t, rest=cython.longlong, more=int, digit=int, pos=Py_ssize_t, end=Py_ssize_t,
                   part=Py_ssize_t)
    cdef Py_ssize_t _entry(self, const unsigned char* data, long long threshold, int erase) noexcept

    @cython.locals(room="unsigned char*", begin=Py_ssize_t, stop=Py_ssize_t, left=Py_ssize_t)
    cdef Py_ssize_t _others(self, const unsigned char* data, Py_ssize_t pos, Py_ssize_t end, Py_ssize_t size) noexcept

@cython.locals(value=cython.longlong, digits=int, byte=int)
cdef long long _hexadecimal(const unsigned char* data, Py_ssize_t pos, Py_ssize_t end) noexcept
