# C types for otlp_http.py.
cimport cython

from tracekeeper_sidecar.http.exchange cimport Exchange
from tracekeeper_sidecar.http.head cimport Head

cdef class _Otlp:
    cdef object _receiver
    cdef object _dialects
    cdef bint _otlp

    @cython.locals(encoding=str)
    cpdef begin(self, Exchange exchange, Head head)

    cdef _objection(self, Head head, object kind, str encoding, object make)
