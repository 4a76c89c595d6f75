# C types for shard.py.
cimport cython

from tracekeeper_sidecar.wire cimport native
from tracekeeper_sidecar.wire.walker cimport Walker

cdef int _REQUEST
cdef unsigned long long _ALL_64, _FIRST, _SECOND

cdef class Sharder(Walker):
    cdef unsigned long long _seeds[256]
    cdef Py_ssize_t _counts[256]
    cdef Py_ssize_t _index
    cdef int _shards, _last, _has_last
    cdef unsigned long long _hi, _lo

    @cython.locals(size=Py_ssize_t, total=Py_ssize_t, spans=Py_ssize_t, written=Py_ssize_t, shard=int)
    cpdef list split(self, bytes body)

    @cython.locals(stop=Py_ssize_t, shard=int)
    cdef void _assign(self, const unsigned char* data, Py_ssize_t pos, Py_ssize_t end, unsigned char* marks,
                      int level) noexcept

    @cython.locals(trace=Py_ssize_t, hi=cython.ulonglong, lo=cython.ulonglong, weight=cython.ulonglong,
                   most=cython.ulonglong, best=int, shard=int)
    cdef int _shard_of(self, const unsigned char* data, Py_ssize_t pos, Py_ssize_t end) noexcept

    @cython.locals(run=Py_ssize_t, stop=Py_ssize_t)
    cdef Py_ssize_t _write(self, const unsigned char* data, Py_ssize_t pos, Py_ssize_t end, unsigned char* marks,
                           unsigned char* out, Py_ssize_t at, int level, int shard) noexcept

    @cython.locals(index=Py_ssize_t, value=Py_ssize_t, stop=Py_ssize_t, size=Py_ssize_t, actual=Py_ssize_t)
    cdef Py_ssize_t _write_inner(self, const unsigned char* data, Py_ssize_t pos, Py_ssize_t end, unsigned char* marks,
                                 unsigned char* out, Py_ssize_t at, int level, int shard) noexcept

cdef unsigned long long _mix(unsigned long long value) noexcept
