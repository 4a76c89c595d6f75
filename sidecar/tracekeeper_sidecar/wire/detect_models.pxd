# C types for detect_models.py.
cimport cython

from tracekeeper_sidecar.wire cimport labels, native
from tracekeeper_sidecar.wire.detect_calls cimport Calls
from tracekeeper_sidecar.wire.detect_known cimport mixed

cdef int _CONTEXT, _TOKENS, _FAN_OUT, _CUT_OFF, _RATE
cdef int _AGENT, _CONVERSATION, _INPUT, _OUTPUT, _ASKED, _ANSWERED, _REASONS, _PROVIDER, _REPEATED
cdef int _STARTED, _ENDED, _SPENT, _CALLS_WORD
cdef Py_ssize_t _LONGEST_NAME, _MOST_FOUND
cdef unsigned long long _MINUTE, _LOW_20, _LOW_24, _LOW_26, _LOW_48, _ALL_64, _MOST_LEVEL, _OF_CONTEXT, _OF_MODELS
cdef bytes _TRUE

cdef class Models(Calls):
    cdef readonly list found
    cdef readonly Py_ssize_t left
    cdef unsigned long long _limits[20]
    cdef Py_ssize_t _nth
    cdef object _answers
    cdef unsigned long long _pair, _service

    cdef void _note(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end, int detector,
                   unsigned long long seen, unsigned long long limit, str subject, str other, int form) except *

    @cython.locals(words=cython.ulonglong, asked=cython.longlong, answered=cython.longlong, word=cython.ulonglong,
                   spent=cython.ulonglong, took=cython.ulonglong, rate=cython.ulonglong)
    cdef void _call(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t slot) except *

    @cython.locals(calls=cython.ulonglong)
    cdef void _fanned_out(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t slot,
                         unsigned long long words) except *

    @cython.locals(whose=cython.ulonglong, key=cython.ulonglong, value=cython.ulonglong, first=cython.ulonglong,
                   last=cython.ulonglong, times=cython.ulonglong, level=cython.ulonglong)
    cdef void _grown(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end,
                    unsigned long long asked) except *

    @cython.locals(pos=Py_ssize_t, end=Py_ssize_t, stop=Py_ssize_t, at=Py_ssize_t, after=Py_ssize_t)
    cdef int _is_cut_off(self, const unsigned char* data) noexcept

    cdef int _is_too_long(self, const unsigned char* data) noexcept

    @cython.locals(spent=cython.ulonglong, count=cython.ulonglong)
    cdef void _cut_off(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t slot) except *

    @cython.locals(answered=cython.ulonglong, asked=cython.ulonglong, pair=cython.ulonglong, key=cython.ulonglong,
                   value=cython.ulonglong, at=Py_ssize_t, size=Py_ssize_t)
    cdef void _answered(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end) except *

    cdef void _remember_answer(self, unsigned long long key, bytes name) except *

    @cython.locals(count=cython.ulonglong, changes=cython.ulonglong, changed=bint)
    cdef void _other_model(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end, unsigned long long key,
                          unsigned long long value, unsigned long long answered) except *

cpdef unsigned long long hashed(const unsigned char* data, Py_ssize_t pos, Py_ssize_t end) noexcept
