# C types for detect_known.py.
cimport cython

from tracekeeper_sidecar.wire cimport labels, native
from tracekeeper_sidecar.wire.came cimport Came
from tracekeeper_sidecar.wire.detect_span cimport Said
from tracekeeper_sidecar.wire.remembered cimport Remembered
from tracekeeper_sidecar.wire.table cimport Table

cdef unsigned int _IDLE, _SWEEP
cdef long long _LATEST
cdef int _STARTED, _ENDED, _REPORTED, _NONE
cdef unsigned long long _ALL_64, _PRIME, _STIR, _FIVE, _MOST_LEVEL

cdef class Known(Said):
    cdef readonly Py_ssize_t forgotten
    cdef Table _traces
    cdef Table _talks
    cdef Remembered _marks
    cdef Came _requests
    cdef unsigned long long _seed, _hi, _lo, _mark
    cdef unsigned int _tick, _swept, _turned
    cdef Py_ssize_t _slot

    @cython.locals(tick=cython.uint, slot=Py_ssize_t)
    cdef void _set_time(self, long long now) except *

    cdef void _turn(self) except *

    @cython.locals(hi=cython.ulonglong, lo=cython.ulonglong)
    cdef Py_ssize_t _known(self, const unsigned char* data) noexcept

    @cython.locals(slot=Py_ssize_t, started=cython.ulonglong)
    cdef Py_ssize_t _open(self, const unsigned char* data) except -1

    @cython.locals(word=cython.ulonglong, shift=int, level=cython.ulonglong)
    cdef int _due(self, Py_ssize_t slot, int detector, unsigned long long seen, unsigned long long limit) noexcept

    cdef unsigned long long _hashed(self, const unsigned char* data, int slot, unsigned long long seed) noexcept

    @cython.locals(count=cython.ulonglong)
    cdef unsigned long long _counted(self, unsigned long long key) except? 0

@cython.locals(found=cython.ulonglong)
cpdef unsigned long long mixed(unsigned long long one, unsigned long long other) noexcept
