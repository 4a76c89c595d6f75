# C types for waiting.py.
cimport cython

from tracekeeper_sidecar.wire cimport layout
from tracekeeper_sidecar.wire.counts cimport Counts
from tracekeeper_sidecar.wire.held cimport Held
from tracekeeper_sidecar.wire.native cimport Words
from tracekeeper_sidecar.wire.table cimport Table, put_word

cdef long long _SINCE, _TICK
cdef int _EVERYTHING, _CHILDREN, _LAST_KIND, _OTHER, _KIND_BYTE
cdef Py_ssize_t _NONE, _SLAB
cdef int _SLAB_BITS
cdef unsigned long long _LOW_32, _MILLISECONDS, _LONGEST_CHAIN, _LONGEST
cdef long long _LATEST
cdef long long _QUIET, _WAIT, _LONGEST_WAIT, _IDLE

cdef class Waiting(Counts):
    cdef Table _traces
    cdef Held _held
    cdef unsigned long long _spare[16]
    cdef dict _names
    cdef readonly list later_kinds
    cdef unsigned long long _hi, _lo
    cdef Py_ssize_t _slot

    @cython.locals(until=cython.uint, ended=Py_ssize_t, slot=Py_ssize_t)
    cpdef Py_ssize_t settle(self, long long time_ms, bint everything=*) except -1

    @cython.locals(now=cython.longlong, tick=cython.longlong)
    cdef void _set_time(self, long long time_ms) noexcept

    @cython.locals(times=cython.ulonglong, when=cython.ulonglong, words=Words, at=Py_ssize_t)
    cdef void _plan(self, Py_ssize_t slot) noexcept

    @cython.locals(chain=cython.ulonglong, place=Py_ssize_t, who=cython.ulonglong, word=int, times=cython.ulonglong,
                   words=Words)
    cdef void _hold(self, Py_ssize_t slot) except *

    cdef unsigned long long _agent_of(self, unsigned long long who) noexcept

    @cython.locals(who=cython.ulonglong, hi=cython.ulonglong, lo=cython.ulonglong, kept=cython.ulonglong,
                   left=cython.ulonglong, place=Py_ssize_t, at=Py_ssize_t, after=Py_ssize_t, mine=int, word=int,
                   words=Words)
    cdef int _release(self, Py_ssize_t slot, int which, unsigned long long agent) except -1

    @cython.locals(times=cython.ulonglong, quiet=cython.longlong, since=cython.ulonglong, late=int, requested=int)
    cdef int _look(self, Py_ssize_t slot, int everything) except -1

    @cython.locals(who=cython.ulonglong, start=cython.ulonglong, end=cython.ulonglong, hi=cython.ulonglong,
                   lo=cython.ulonglong, span=cython.ulonglong, calls=cython.ulonglong, took=cython.ulonglong)
    cdef int _end_trace(self, Py_ssize_t slot) except -1

    @cython.locals(out=bytearray, at=Py_ssize_t, slot=Py_ssize_t, place=Py_ssize_t)
    cpdef bytes pack(self)

    @cython.locals(slot=Py_ssize_t, place=Py_ssize_t)
    cpdef list names(self)

    @cython.locals(slot=Py_ssize_t, place=Py_ssize_t, before=Py_ssize_t, left=cython.ulonglong,
                   chain=cython.ulonglong)
    cpdef unpack(self, bytes packed, list names)

    @cython.locals(slot=Py_ssize_t, records=Table, place=Py_ssize_t, at=Py_ssize_t, words=Words)
    cpdef dict used(self)
