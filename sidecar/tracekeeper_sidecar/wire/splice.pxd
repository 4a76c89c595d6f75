# C types for splice.py.
cimport cython
from tracekeeper_sidecar.wire.walker cimport Walker

cdef int _REQUEST, _RESOURCE_SPANS, _SCOPE_SPANS

cdef class Splicer(Walker):
    cdef bytes _body
    cdef list _edits, _parts
    cdef Py_ssize_t _next, _edit
    cdef bint _emptied

    cpdef bytes run(self)

    @cython.locals(size=Py_ssize_t, run=Py_ssize_t, pos=Py_ssize_t, spans=Py_ssize_t, lost=bint, stop=Py_ssize_t, number=cython.ulonglong,
                   value=Py_ssize_t, leads=bint, tag=int, place=Py_ssize_t, inner=Py_ssize_t, head=bytes, edit=tuple)
    cdef Py_ssize_t _group(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end, int level) except -1

cdef class Places(Walker):
    cdef bytes _body
    cdef list _found

    cpdef list run(self)

    @cython.locals(resource=Py_ssize_t, resource_end=Py_ssize_t, pos=Py_ssize_t, stop=Py_ssize_t)
    cdef int _resource_spans(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end) except -1

    @cython.locals(scope=Py_ssize_t, scope_end=Py_ssize_t, pos=Py_ssize_t, stop=Py_ssize_t)
    cdef int _scope_spans(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t resource,
                          Py_ssize_t resource_end) except -1

    @cython.locals(found=Py_ssize_t, last=Py_ssize_t, pos=Py_ssize_t, stop=Py_ssize_t)
    cdef Py_ssize_t _own(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end) noexcept

@cython.locals(size=Py_ssize_t)
cdef bytes _head(int tag, Py_ssize_t size)
