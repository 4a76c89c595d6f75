# C types for numbers.py.
cimport cython

from tracekeeper_sidecar.wire cimport digits, native

cdef int _BLOCK, _LEAST, _MOST_GAP, _COLON, _SIGN, _DIGIT
cdef bytes _KINDS, _HEX

@cython.locals(at=Py_ssize_t, before=int, here=int, last=Py_ssize_t, behind=Py_ssize_t)
cdef int _find(const unsigned char* data, Py_ssize_t size, const unsigned char* kinds,
               const unsigned char* hexadecimal, Py_ssize_t most, list numbers, list addresses) except -1

@cython.locals(back=Py_ssize_t, count=Py_ssize_t, gap=Py_ssize_t)
cdef Py_ssize_t _look(const unsigned char* data, Py_ssize_t pos, Py_ssize_t end, const unsigned char* kinds,
                      Py_ssize_t last, list found) except -1

@cython.locals(at=Py_ssize_t)
cdef Py_ssize_t _look_for_colons(const unsigned char* data, Py_ssize_t pos, Py_ssize_t end,
                                 const unsigned char* hexadecimal, Py_ssize_t last, list found) except -1
