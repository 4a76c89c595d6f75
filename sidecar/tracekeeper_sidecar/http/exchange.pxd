# C types for exchange.py.
from tracekeeper_sidecar.http.head cimport Head

cdef class Exchange:
    cdef object _connection
    cdef readonly Head head
    cdef readonly object answer
    cdef public bint last

    cpdef reply(self, object answer)
    cpdef hold(self)
    cpdef resume(self)
