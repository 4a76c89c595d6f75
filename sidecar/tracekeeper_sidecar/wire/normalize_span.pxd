# C types for normalize_span.py.
cimport cython

from tracekeeper_sidecar.wire.walker cimport Walker

cdef class Parts(Walker):
    cdef readonly list events

    @cython.locals(pos=Py_ssize_t, stop=Py_ssize_t, found=dict)
    cpdef dict attributes(self, bytes body, Py_ssize_t begin, Py_ssize_t end, int field=*)

    @cython.locals(pos=Py_ssize_t, stop=Py_ssize_t, found=str)
    cpdef str text(self, bytes body, Py_ssize_t begin, Py_ssize_t end, unsigned long long field)

    @cython.locals(name=str)
    cdef void _attribute(self, const unsigned char* data, Py_ssize_t at, Py_ssize_t pos, Py_ssize_t end,
                         dict found) except *
