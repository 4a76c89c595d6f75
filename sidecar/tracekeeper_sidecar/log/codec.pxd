# C types for codec.py. Offsets and sizes are Py_ssize_t, numbers of spans and times 64 bits.
cimport cython
from tracekeeper_sidecar.log cimport native

cdef Py_ssize_t _HEADER, _CHECKED, _MAX_PAYLOAD
cdef unsigned long long _MAGIC
cdef int _TRACES, _TYPE_SHIFT

cdef class Encoded:
    cdef readonly list buffers
    cdef readonly Py_ssize_t count, size, payload
    cdef readonly unsigned long long spans
    cdef readonly int flags

@cython.locals(size=Py_ssize_t, spans="unsigned long long", flags=int, index=Py_ssize_t, total=Py_ssize_t,
               need=Py_ssize_t, count=Py_ssize_t, at=Py_ssize_t, length=Py_ssize_t, append=tuple, payload=bytes,
               joined=bytes, head=bytes, buffers=list, summed="unsigned int")
cpdef Encoded encode(list appends, Py_ssize_t first, Py_ssize_t room, unsigned int seed, unsigned long long seq,
                     unsigned long long time_ns)

@cython.locals(kind=int)
cdef void _head(unsigned char* out, Py_ssize_t at, Py_ssize_t length, unsigned long long seq, unsigned long long spans,
                int flags, unsigned long long time_ns, unsigned int payload_crc, unsigned int seed) noexcept nogil

@cython.locals(end=Py_ssize_t)
cdef void _put(unsigned char* out, Py_ssize_t at, unsigned long long value, Py_ssize_t size) noexcept nogil

@cython.locals(value="unsigned long long")
cdef unsigned long long _get(const unsigned char* data, Py_ssize_t at, Py_ssize_t size) noexcept nogil

cdef class Run:
    cdef readonly bytes body
    cdef readonly Py_ssize_t frames, end
    cdef readonly unsigned long long spans, oldest, newest
    cdef readonly int flags
    cdef readonly bint full

@cython.locals(length=Py_ssize_t, start=Py_ssize_t, end=Py_ssize_t, expected="unsigned long long", size=Py_ssize_t,
               frames=Py_ssize_t, full=bint, fits=Py_ssize_t, spans="unsigned long long", body=bytes, joined=bytes,
               taken="unsigned long long", place=Py_ssize_t, flags=int, sound=Py_ssize_t, newest="unsigned long long")
cpdef Run gather(bytes window, Py_ssize_t at, unsigned int seed, unsigned long long seq, unsigned long long ceiling,
                 unsigned long long max_spans, Py_ssize_t max_bytes, Py_ssize_t least)

@cython.locals(length=Py_ssize_t, spans="unsigned long long")
cdef Py_ssize_t _look(const unsigned char* data, Py_ssize_t at, Py_ssize_t end, unsigned int seed,
                      unsigned long long seq, unsigned long long ceiling) noexcept nogil
