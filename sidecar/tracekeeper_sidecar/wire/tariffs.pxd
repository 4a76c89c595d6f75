# C types for tariffs.py. Costs are unsigned and have 64 bits: amounts and numbers of tokens are bounded.
cimport cython

from tracekeeper_sidecar.wire cimport native
from tracekeeper_sidecar.wire.native cimport Words
from tracekeeper_sidecar.wire.rows cimport Index

cdef unsigned long long _UNKNOWN, _MOST_TOKENS, _PICO, _ALWAYS, _DEAREST, _STIR, _ALL_64
cdef long long _QUARTER
cdef int _ROW, _CALL, _LIMIT, _OWN, _WHEN, _STATE, _NOT_KNOWN, _SIMPLE, _ASKED, _OVERRIDDEN, _PLAIN, _PAIR
cdef int _INPUT, _OUTPUT, _CACHE_READ, _CACHE_WRITE, _REASONING, _INPUT_AUDIO, _OUTPUT_AUDIO
cdef int KINDS

@cython.final
cdef class Tariffs:
    cdef readonly Py_ssize_t asked
    cdef object _ask
    cdef Index _index
    cdef list _names, _callers, _texts, _notes
    cdef bytearray _buffer
    cdef Words _rows
    cdef unsigned long long _tokens[8]
    cdef bytes _book

    cdef int _clear(self) except -1

    cdef Py_ssize_t _find(self, unsigned long long pair) noexcept

    cdef Py_ssize_t _learn(self, unsigned long long pair, str provider, tuple models, str tier) except -2

    @cython.locals(at=Py_ssize_t, when=cython.ulonglong, known=cython.ulonglong, pair=cython.ulonglong,
                   other=Py_ssize_t)
    cdef Py_ssize_t _current(self, Py_ssize_t number, long long seconds, int may_ask) except -9

    @cython.locals(at=Py_ssize_t, state=cython.ulonglong, kind=int, own=cython.ulonglong,
                   total=cython.ulonglong, inner=cython.ulonglong, outer=cython.ulonglong)
    cdef unsigned long long _cost(self, Py_ssize_t number) except? 1

    cdef int _own_price(self, Py_ssize_t number) noexcept

    cdef int _is_plain(self, Py_ssize_t number) noexcept

    cdef unsigned long long _asked(self, Py_ssize_t number) except? 1

    @cython.locals(at=Py_ssize_t)
    cdef int _refresh(self, Py_ssize_t number, long long seconds, unsigned long long when) except -1
