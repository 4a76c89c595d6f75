# C types for processing.py.

cdef class Processing:
    cdef tuple _processors

    cpdef bytes run(self, bytes body, Py_ssize_t spans)
