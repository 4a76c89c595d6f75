# C types for came.py.
from tracekeeper_sidecar.wire.rows cimport Index

cdef class Came:
    cdef Index _young, _old

    cpdef int again(self, unsigned long long mark) except -1
