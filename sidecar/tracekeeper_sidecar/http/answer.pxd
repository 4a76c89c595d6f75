# C types for answer.py.
cimport cython

cdef class Writer:
    cdef object _now
    cdef long _second
    cdef bytes _date
    cdef dict _heads

    @cython.locals(second=long, kept=tuple, end=bytes)
    cpdef bytes encode(self, object answer, bint close, bint old, bint bodiless)
