# C types for head.py.
cimport cython

cdef class Head:
    cdef bytes _raw
    cdef bytes _folded
    cdef readonly str method
    cdef readonly bytes target
    cdef readonly int minor
    cdef readonly Py_ssize_t length
    cdef readonly bint chunked
    cdef readonly bint keep_alive
    cdef readonly bint continues

    @cython.locals(key=bytes, at=Py_ssize_t, end=Py_ssize_t)
    cpdef str field(self, bytes name)

@cython.locals(line=bytes, version=bytes, head=Head)
cpdef object read(bytes raw)

cdef bint _persistent(Head head) except -1

@cython.locals(hosts=Py_ssize_t, lengths=Py_ssize_t, codings=Py_ssize_t, text=str)
cdef object _framing(Head head)

@cython.locals(expected=str)
cdef object _expectation(Head head)

cdef Py_ssize_t _count(Head head, bytes name) except -1
