# C types for traces.py. Words are unsigned and have 64 bits, halves 32; slots are Py_ssize_t.
cimport cython

from tracekeeper_sidecar.wire cimport native, probability
from tracekeeper_sidecar.wire.native cimport Halves, Words
from tracekeeper_sidecar.wire.sums cimport Sums

cdef Py_ssize_t _SLAB, _SLABS, _DUE, _NONE
cdef int _ERROR
cdef unsigned long long _MOST
cdef int _IS_CRITICAL, _IS_DETECTED
cdef int _SLAB_BITS, _CAME, _RANK, _STATUS
cdef unsigned int _KEY
cdef long long _NEVER, _LATEST, _MIDDLE, _LONGEST, _SHUTDOWN
cdef unsigned long long _ALL_64, _LOW_56, _ROOT_BITS, _STATUS_BITS, _CRITICAL, _DECIDED, _EXPLICIT, _DETECTED
cdef unsigned long long _PASSED

cdef class Traces(Sums):
    cdef readonly Py_ssize_t open
    cdef long long _base
    cdef int _based
    cdef Py_ssize_t _position, _limit
    cdef unsigned long long _early
    cdef long long _wait, _quiet, _max_spans

    @cython.locals(hi=cython.ulonglong, lo=cython.ulonglong)
    cpdef Py_ssize_t find(self, bytes trace_id) except -2

    @cython.locals(hi=cython.ulonglong, lo=cython.ulonglong, slot=Py_ssize_t)
    cpdef Py_ssize_t insert(self, bytes trace_id, long long time_ms) except -2

    cpdef decide(self, Py_ssize_t slot, unsigned long long verdict)

    cpdef follow(self, Py_ssize_t slot, unsigned long long verdict)

    cpdef verdict(self, Py_ssize_t slot)

    cpdef remove(self, Py_ssize_t slot)

    cpdef unsigned long long randomness(self, Py_ssize_t slot) except? 0

    cpdef unsigned int key(self, Py_ssize_t slot) except? 0

    cpdef double weight(self, Py_ssize_t slot) except? 0

    cpdef unsigned int spans(self, Py_ssize_t slot) except? 0

    cpdef unsigned long long start(self, Py_ssize_t slot) except? 0

    @cython.locals(words=Words, halves=Halves, at=Py_ssize_t, top=cython.ulonglong, decided=bint)
    cpdef summary(self, Py_ssize_t slot)

    @cython.locals(words=Words, at=Py_ssize_t)
    cpdef bytes trace_id(self, Py_ssize_t slot)

    @cython.locals(found=list, now=cython.longlong, latest=cython.longlong, left=Py_ssize_t, slab=Py_ssize_t,
                   at=Py_ssize_t, begin=Py_ssize_t, halves=Halves, used=Py_ssize_t, when=cython.longlong)
    cpdef list due(self, long long now_ms, Py_ssize_t most=*)

    @cython.locals(out=bytearray, at=Py_ssize_t, slot=Py_ssize_t, words=Words, place=Py_ssize_t)
    cpdef bytes pack(self, list slots)

    @cython.locals(words=Words, halves=Halves, at=Py_ssize_t)
    cdef void _span(self, Py_ssize_t slot, unsigned long long start, unsigned long long end, int error, int marks,
                    unsigned int tests) noexcept

    @cython.locals(words=Words, halves=Halves, at=Py_ssize_t, place=Py_ssize_t, when=cython.longlong)
    cdef void _timed(self, Py_ssize_t slot, long long now) noexcept

    @cython.locals(words=Words, halves=Halves, at=Py_ssize_t, known=cython.ulonglong)
    cdef void _root(self, Py_ssize_t slot, unsigned long long rank, unsigned long long status, unsigned int tests,
                    unsigned int key) noexcept

    cdef int _rank(self, Py_ssize_t slot) noexcept

    @cython.locals(words=Words, at=Py_ssize_t)
    cdef unsigned long long _verdict_of(self, Py_ssize_t slot) noexcept

    cdef int _has_passed(self, Py_ssize_t slot) noexcept

    cdef unsigned int _tests(self, Py_ssize_t slot) noexcept

    cdef unsigned int _root_tests(self, Py_ssize_t slot) noexcept

    cdef unsigned int _errors(self, Py_ssize_t slot) noexcept

    cdef unsigned int _spans(self, Py_ssize_t slot) noexcept

    cdef unsigned int _key(self, Py_ssize_t slot) noexcept

    cdef unsigned long long _random(self, Py_ssize_t slot) noexcept

    cdef int _is_critical(self, Py_ssize_t slot) noexcept

    cdef int _is_detected(self, Py_ssize_t slot) noexcept

    @cython.locals(top=cython.ulonglong)
    cdef unsigned int _status_of(self, Py_ssize_t slot) noexcept

    @cython.locals(words=Words, at=Py_ssize_t)
    cdef long long _duration(self, Py_ssize_t slot) noexcept

    cdef int _is_new(self, Py_ssize_t slot) noexcept

    @cython.locals(halves=Halves, at=Py_ssize_t)
    cdef void _set_key(self, Py_ssize_t slot, unsigned int key) noexcept

    @cython.locals(halves=Halves, at=Py_ssize_t, brief=cython.uint)
    cdef void _came(self, Py_ssize_t slot, long long threshold) noexcept

    @cython.locals(words=Words, at=Py_ssize_t)
    cdef void _set_randomness(self, Py_ssize_t slot, unsigned long long randomness) noexcept

    @cython.locals(words=Words, halves=Halves, at=Py_ssize_t)
    cdef void _decide(self, Py_ssize_t slot, unsigned long long verdict) noexcept

    @cython.locals(halves=Halves, at=Py_ssize_t)
    cdef int _cut(self, Py_ssize_t slot) except -1

    @cython.locals(time=cython.longlong)
    cdef long long _tick(self, long long time_ms) noexcept

    @cython.locals(shift=cython.longlong, slab=Py_ssize_t, at=Py_ssize_t, halves=Halves)
    cdef void _rebase(self, long long time_ms) noexcept

    @cython.locals(slab=Py_ssize_t, at=Py_ssize_t)
    cdef Py_ssize_t _checked(self, Py_ssize_t slot) except -1

    @cython.locals(slot=Py_ssize_t, words=Words, halves=Halves, at=Py_ssize_t)
    cdef Py_ssize_t _add(self, unsigned long long hi, unsigned long long lo, long long now) except -2

    cdef int _remove(self, Py_ssize_t slot) except -1

cdef long long _within(long long time) noexcept

cdef unsigned long long _word(bytes data, Py_ssize_t at) except? 0

@cython.locals(shift=int)
cdef void _put_word(unsigned char* out, Py_ssize_t at, unsigned long long value) noexcept
