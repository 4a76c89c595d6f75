# C types for addresses.py.
cimport cython

from tracekeeper_sidecar.wire cimport native

cdef int _AT, _BACKSLASH, _DOT
cdef bytes _BEFORE
cdef bytes _FIRST
cdef bytes _WITHIN

@cython.locals(at=Py_ssize_t, pos=Py_ssize_t)
cdef int _find(const unsigned char* data, Py_ssize_t size, const unsigned char* before, const unsigned char* first,
               const unsigned char* within, Py_ssize_t most, list found) except -1
