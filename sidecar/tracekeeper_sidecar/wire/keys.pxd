# C types for keys.py.
cimport cython

from tracekeeper_sidecar.wire cimport native
from tracekeeper_sidecar.wire.walker cimport Walker

ctypedef const unsigned char* Bytes

cdef unsigned long long _ALL_64, _BASIS, _PRIME
cdef int _ABSENT

cdef class Keys(Walker):
    cdef readonly tuple group_by
    cdef readonly int most
    cdef int _wanted
    cdef list _texts, _free
    cdef int _of_resource[8]
    cdef Py_ssize_t _value[8]
    cdef Py_ssize_t _value_end[8]
    cdef dict _numbers, _names, _hashes

    @cython.locals(name=int, pos=Py_ssize_t, stop=Py_ssize_t, mixed=cython.ulonglong)
    cdef int _read(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t span,
                   Py_ssize_t span_end) except -1

    @cython.locals(stop=Py_ssize_t)
    cdef void _look(self, const unsigned char* data, Py_ssize_t pos, Py_ssize_t end, unsigned long long field,
                   int span) except *

    @cython.locals(key=Py_ssize_t, size=Py_ssize_t)
    cdef void _attribute(self, const unsigned char* data, Py_ssize_t pos, Py_ssize_t end, int span) except *

    @cython.locals(name=int, text=bytes)
    cdef void _take(self, const unsigned char* data, const unsigned char* key, Py_ssize_t begin, Py_ssize_t end,
                   Py_ssize_t value, Py_ssize_t value_end, int span) except *

    @cython.locals(names=tuple)
    cdef int _number(self, const unsigned char* data, unsigned long long mixed) except -1

    @cython.locals(number=int)
    cdef int _give(self, unsigned long long mixed, tuple names) except -1

    @cython.locals(value=bytes)
    cdef str _readable(self, const unsigned char* data, int name)
