# C types for detected.py.
cimport cython

from tracekeeper_sidecar.wire cimport native
from tracekeeper_sidecar.wire.walker cimport Walker

cdef list _NAMES
cdef int _COUNT

@cython.final
cdef class Detected(Walker):
    @cython.locals(found=cython.uint, stop=Py_ssize_t, at=Py_ssize_t, after=Py_ssize_t)
    cdef unsigned int _named(self, const unsigned char* data, Py_ssize_t pos, Py_ssize_t end) noexcept

    @cython.locals(found=cython.uint, stop=Py_ssize_t, size=Py_ssize_t, number=int, name=bytes)
    cdef unsigned int _one(self, const unsigned char* data, Py_ssize_t pos, Py_ssize_t end) noexcept
