# C types for traces.py. Words are unsigned and have 64 bits, halves 32; slots are Py_ssize_t.
cimport cython

from tracekeeper_sidecar.wire cimport native
from tracekeeper_sidecar.wire.native cimport Halves, Words

cdef Py_ssize_t _SLAB, _SLABS, _DUE, _NONE
cdef int _SLAB_BITS, _SHARDS, _FREE, _RANK, _STATUS
cdef Py_ssize_t _FIRST_SHARD
cdef long long _NEVER, _LATEST, _MIDDLE, _LONGEST, _SHUTDOWN
cdef unsigned long long _ALL_64, _LOW_56, _MIX, _STIR, _ROOT_BITS, _STATUS_BITS, _CRITICAL, _DECIDED, _EXPLICIT

cdef class Traces:
    cdef readonly Py_ssize_t count, open
    cdef long long _base
    cdef int _based
    cdef Py_ssize_t _position, _top, _spare, _limit
    cdef unsigned long long _seed, _early
    cdef long long _wait, _quiet, _max_spans
    cdef list _buffers, _tables, _columns, _shards
    cdef bytearray _state, _index_table
    cdef Words* _words
    cdef Halves* _halves
    cdef Halves* _index
    cdef Halves _used
    cdef Halves _live
    cdef Halves _head
    cdef Py_ssize_t _mask[64]
    cdef Py_ssize_t _filled[64]

    @cython.locals(hi=cython.ulonglong, lo=cython.ulonglong)
    cpdef Py_ssize_t find(self, bytes trace_id) except -2

    @cython.locals(hi=cython.ulonglong, lo=cython.ulonglong, slot=Py_ssize_t)
    cpdef Py_ssize_t insert(self, bytes trace_id, long long time_ms) except -2

    cpdef decide(self, Py_ssize_t slot, unsigned long long verdict)

    @cython.locals(words=Words, at=Py_ssize_t)
    cpdef verdict(self, Py_ssize_t slot)

    cpdef remove(self, Py_ssize_t slot)

    cpdef unsigned long long randomness(self, Py_ssize_t slot) except? 0

    cpdef unsigned int key(self, Py_ssize_t slot) except? 0

    cpdef unsigned int spans(self, Py_ssize_t slot) except? 0

    @cython.locals(words=Words, halves=Halves, at=Py_ssize_t, top=cython.ulonglong, decided=bint)
    cpdef summary(self, Py_ssize_t slot)

    @cython.locals(words=Words, at=Py_ssize_t)
    cpdef bytes trace_id(self, Py_ssize_t slot)

    @cython.locals(found=list, now=cython.longlong, latest=cython.longlong, left=Py_ssize_t, slab=Py_ssize_t,
                   at=Py_ssize_t, begin=Py_ssize_t, halves=Halves, used=Py_ssize_t, when=cython.longlong)
    cpdef list due(self, long long now_ms, Py_ssize_t most=*)

    @cython.locals(out=bytearray, at=Py_ssize_t, slot=Py_ssize_t, words=Words, place=Py_ssize_t)
    cpdef bytes pack(self, list slots)

    @cython.locals(at=Py_ssize_t, slot=Py_ssize_t)
    cpdef restore(self, bytes packed, long long time_ms)

    @cython.locals(removed=Py_ssize_t, slab=Py_ssize_t, at=Py_ssize_t, words=Words, halves=Halves)
    cpdef Py_ssize_t sweep(self) except -1

    @cython.locals(words=Words, halves=Halves, at=Py_ssize_t)
    cdef void _span(self, Py_ssize_t slot, unsigned long long start, unsigned long long end, int error, int critical,
                    unsigned int tests) noexcept

    @cython.locals(words=Words, halves=Halves, at=Py_ssize_t, place=Py_ssize_t, when=cython.longlong)
    cdef void _timed(self, Py_ssize_t slot, long long now) noexcept

    @cython.locals(words=Words, halves=Halves, at=Py_ssize_t, known=cython.ulonglong)
    cdef void _root(self, Py_ssize_t slot, unsigned long long rank, unsigned long long status, unsigned int tests,
                    unsigned int key) noexcept

    cdef int _rank(self, Py_ssize_t slot) noexcept

    cdef void _set_key(self, Py_ssize_t slot, unsigned int key) noexcept

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

    @cython.locals(slab=Py_ssize_t, at=Py_ssize_t, halves=Halves)
    cdef Py_ssize_t _take(self) except -1

    @cython.locals(slab=Py_ssize_t, at=Py_ssize_t, words=Words, halves=Halves)
    cdef int _give_back(self, Py_ssize_t slot) except -1

    @cython.locals(slab=Py_ssize_t, buffer=bytearray)
    cdef Py_ssize_t _new_slab(self) except -1

    cdef int _drop(self, Py_ssize_t slab) except -1

    @cython.locals(mixed=cython.ulonglong)
    cdef unsigned long long _hash(self, unsigned long long hi, unsigned long long lo) noexcept

    @cython.locals(key=cython.ulonglong, shard=Py_ssize_t, tag=cython.uint, index=Halves, mask=Py_ssize_t,
                   at=Py_ssize_t, entry=cython.uint, slot=Py_ssize_t, words=Words, place=Py_ssize_t)
    cdef Py_ssize_t _locate(self, unsigned long long hi, unsigned long long lo) noexcept

    @cython.locals(key=cython.ulonglong, shard=Py_ssize_t, slot=Py_ssize_t, words=Words, halves=Halves, at=Py_ssize_t)
    cdef Py_ssize_t _add(self, unsigned long long hi, unsigned long long lo, long long now) except -2

    @cython.locals(index=Halves, mask=Py_ssize_t, at=Py_ssize_t)
    cdef void _place(self, Py_ssize_t shard, unsigned long long key, Py_ssize_t slot) noexcept

    @cython.locals(words=Words, at=Py_ssize_t)
    cdef unsigned long long _home(self, Py_ssize_t slot) noexcept

    @cython.locals(words=Words, key=cython.ulonglong, shard=Py_ssize_t, index=Halves, mask=Py_ssize_t,
                   hole=Py_ssize_t, at=Py_ssize_t, home=Py_ssize_t)
    cdef int _remove(self, Py_ssize_t slot) except -1

    @cython.locals(old=Halves, before=bytearray, count=Py_ssize_t, buffer=bytearray, at=Py_ssize_t, entry=cython.uint,
                   slot=Py_ssize_t)
    cdef int _resize(self, Py_ssize_t shard, Py_ssize_t size) except -1

cdef long long _within(long long time) noexcept

cdef unsigned long long _word(bytes data, Py_ssize_t at) except? 0

@cython.locals(shift=int)
cdef void _put_word(unsigned char* out, Py_ssize_t at, unsigned long long value) noexcept
