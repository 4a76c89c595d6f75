# C types for drop.py.
cimport cython

from tracekeeper_sidecar.wire.match cimport Matcher
from tracekeeper_sidecar.wire.walker cimport Walker

cdef class Drop(Walker):
    cdef list _matchers
    cdef Matcher _first
    cdef Py_ssize_t _count, _index

    @cython.locals(size=Py_ssize_t, total=Py_ssize_t, kept=Py_ssize_t, written=Py_ssize_t)
    cpdef tuple run(self, bytes body)

    @cython.locals(kept=Py_ssize_t, stop=Py_ssize_t, begin=Py_ssize_t, number=Py_ssize_t, matcher=Matcher)
    cdef Py_ssize_t _judge(self, const unsigned char* data, Py_ssize_t end, unsigned char* marks,
                           Py_ssize_t pos) except -1

    @cython.locals(kept=Py_ssize_t, stop=Py_ssize_t)
    cdef Py_ssize_t _group(self, const unsigned char* data, Py_ssize_t pos, Py_ssize_t end, unsigned char* marks,
                           int level) except -1

    @cython.locals(number=Py_ssize_t, matcher=Matcher)
    cdef int _holds(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end) except -1
