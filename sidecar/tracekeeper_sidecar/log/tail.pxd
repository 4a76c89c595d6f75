# C types for tail.py. Sizes and offsets are Py_ssize_t, numbers of spans and segments and times 64 bits.
cimport cython

cdef Py_ssize_t _HEADER, _FRAMES, _CHUNK, _SHARED, _SHARED_BYTES
cdef int _PLAIN

cdef class Chunk:
    cdef readonly list payloads, spans
    cdef readonly unsigned long long number, seq, end, time
    cdef readonly Py_ssize_t offset, size
    cdef readonly int flags

cdef class Taken:
    cdef readonly list payloads, spans
    cdef readonly Py_ssize_t size, offset
    cdef readonly unsigned long long oldest, newest, number, seq, begin
    cdef readonly int flags
    cdef readonly bint full
    cdef readonly bytes joined
    cdef unsigned long long _spans
    cdef Py_ssize_t _bytes
    cpdef bytes body(self)

cdef class Tail:
    cdef list _chunks, _recent
    cdef Py_ssize_t _limit, _size
    cdef object _lock
    @cython.locals(gone=Py_ssize_t, chunks=list, chunk=Chunk)
    cpdef keep(self, list appends, unsigned long long number, Py_ssize_t offset, unsigned long long seq,
               unsigned long long time_ns)
    @cython.locals(chunks=list, known=Taken, taken=Taken, last=Chunk)
    cpdef Taken take(self, unsigned long long seq, unsigned long long max_spans, Py_ssize_t max_bytes)
    cpdef clear(self)

@cython.locals(total=Py_ssize_t, chunk=Chunk, frames=Py_ssize_t, append=tuple, payload=bytes, length=Py_ssize_t)
cdef Py_ssize_t _fill(list chunks, list appends, unsigned long long number, Py_ssize_t offset, unsigned long long seq,
                      unsigned long long time_ns) except -1

@cython.locals(low=Py_ssize_t, high=Py_ssize_t, total=Py_ssize_t, middle=Py_ssize_t, chunk=Chunk, taken=Taken,
               spans="unsigned long long", at="unsigned long long", offset=Py_ssize_t, place=Py_ssize_t,
               count=Py_ssize_t, payload=bytes, more="unsigned long long", length=Py_ssize_t)
cdef Taken _collect(list chunks, unsigned long long seq, unsigned long long max_spans, Py_ssize_t max_bytes)
