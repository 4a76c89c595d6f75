# C types for upload.py.
cimport cython

cdef class Upload:
    cdef object _receiver
    cdef object _context
    cdef object _dialect
    cdef object _convert_with
    cdef Py_ssize_t _left_out
    cdef str _problem
    cdef object _exchange
    cdef str _kind
    cdef Py_ssize_t _held
    cdef object _inflater
    cdef object _packed
    cdef object _steps
    cdef bytes _first
    cdef object _all
    cdef Py_ssize_t _size
    cdef bint _ended
    cdef bint _over

    cpdef feed(self, bytes piece)
    cpdef end(self)

    @cython.locals(size=Py_ssize_t)
    cdef bint _keep(self, bytes piece) except -1

    cdef bint _reserve(self, Py_ssize_t size) except -1

    @cython.locals(body=bytes)
    cdef _complete(self)

    cdef _refuse(self, object refused)
