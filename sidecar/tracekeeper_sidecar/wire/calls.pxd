# C types for calls.py.
cimport cython

from tracekeeper_sidecar.wire cimport labels, native
from tracekeeper_sidecar.wire.component cimport Component
from tracekeeper_sidecar.wire.tariffs cimport Tariffs

cdef int _SILENT, _OWN, _COST_PRICE, _FIRST_SOURCE, _UNKNOWN_SOURCE, _NOT_NOW, _NEVER
cdef double _MOST_DOLLARS, _NANO
cdef Py_ssize_t _LONGEST_TEXT, _LONGEST_PRICED, _LONGEST_TIER
cdef long long _MOST_TOKENS, _NONE, _NUMBERLESS
cdef unsigned long long _MOST_WHOLE, _PER_DOLLAR, _NANOSECONDS
cdef long long _DAY
cdef int _ANSWERED, _MODEL, _PROVIDER, _TIER, _TIER_ANSWERED, _TIER_ASKED
cdef int _COST, _COST_SOURCE, _COST_OF_LLM, _COST_DETAILS, _COST_OF_OPERATION
cdef int _INPUT, _OUTPUT, _CACHE_READ, _CACHE_WRITE, _REASONING, _INPUT_AUDIO, _OUTPUT_AUDIO
cdef list _SOURCES

cdef class Calls(Component):
    cdef Tariffs _tariffs
    cdef unsigned long long _seed
    cdef long long _nano
    cdef unsigned int _forgotten
    cdef public Py_ssize_t ignored

    @cython.locals(size=Py_ssize_t, number=int, text=bytes, found=cython.longlong)
    cdef int _said_price(self, const unsigned char* data) except -1

    cdef int _is_silent(self, int said) noexcept

    @cython.locals(found=cython.longlong, least=cython.longlong)
    cdef long long _reported(self, const unsigned char* data, unsigned long long tokens) except -9

    @cython.locals(pos=Py_ssize_t)
    cdef int _is_double(self, const unsigned char* data, int slot) noexcept

    @cython.locals(pos=Py_ssize_t, end=Py_ssize_t, stop=Py_ssize_t)
    cdef long long _dollars(self, const unsigned char* data, int slot) except -9

    @cython.locals(told=int, parts=int)
    cdef int _usage(self, const unsigned char* data) noexcept

    @cython.locals(found=cython.longlong)
    cdef int _sum(self, const unsigned char* data, int slot, int kind) noexcept

    cdef int _tier_slot(self, const unsigned char* data) noexcept

    cdef unsigned long long _tier_mark(self, const unsigned char* data) noexcept

    @cython.locals(end=cython.longlong)
    cdef long long _moment(self, long long now) noexcept

    cdef int _has_room(self, unsigned int tick, unsigned int minute) except -1

    cdef Py_ssize_t _introduce(self, const unsigned char* data, unsigned long long pair, unsigned int tick,
                               unsigned int minute) except -9

    cdef str _priced(self, const unsigned char* data, int slot)

    cdef str _decoded(self, const unsigned char* data, int slot)

cpdef long long nanodollars(double dollars) noexcept
