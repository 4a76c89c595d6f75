# C types for detect.py.
cimport cython

from tracekeeper_sidecar.wire cimport labels, native
from tracekeeper_sidecar.wire.detect_calls cimport Calls
from tracekeeper_sidecar.wire.detect_known cimport mixed

cdef int _LOOP, _CONTEXT, _TOKENS, _FAILURES, _PING_PONG, _UNDECLARED, _FAN_OUT, _CUT_OFF
cdef int _AGENT, _TOOL, _ARGUMENTS, _CONVERSATION, _INPUT, _OUTPUT, _ASKED, _ANSWERED, _REASONS
cdef int _PROVIDER, _REPEATED, _MCP, _MESSAGES, _FROM, _TO, _HANDOFFS
cdef int _LLM, _EMBEDDING, _TOOLS, _AGENTS, _HANDS_OVER
cdef int _STARTED, _ENDED, _SPENT, _CALLS_WORD, _FAILED, _REPORTED, _UNDECLARED_BITS
cdef int _HANDOFF_CALL, _CLIENT, _SERVER, _NONE
cdef unsigned int _IDLE
cdef Py_ssize_t _LONGEST_NAME
cdef unsigned long long _CONVERSED, _PENDING, _ERROR, _MINUTE, _ONE, _LOW_10, _LOW_20, _LOW_24, _LOW_28, _LOW_48, _ALL_64, _MOST_RUN
cdef unsigned long long _OF_LOOPS, _OF_CONTEXT, _OF_MODELS, _OF_HANDOFFS, _OF_DECLARED

@cython.final
cdef class Watch(Calls):
    cdef readonly list found
    cdef readonly list links
    cdef unsigned long long _limits[16]
    cdef bint _linked
    cdef dict _declared
    cdef object _told, _answers
    cdef unsigned long long _pair, _service, _failed_at

    @cython.locals(size=Py_ssize_t, pos=Py_ssize_t, stop=Py_ssize_t)
    cpdef bint take(self, bytes body, long long now) except -1

    @cython.locals(pos=Py_ssize_t, stop=Py_ssize_t, at=Py_ssize_t, after=Py_ssize_t)
    cdef void _resource(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end) except *

    @cython.locals(kind=int, slot=Py_ssize_t)
    cdef void _span(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end) except *

    cdef void _note(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end, int detector,
                   unsigned long long seen, unsigned long long limit, str subject, str other) except *

    @cython.locals(words=cython.ulonglong, asked=cython.longlong, answered=cython.longlong, word=cython.ulonglong,
                   spent=cython.ulonglong, took=cython.ulonglong, rate=cython.ulonglong, seen=cython.ulonglong)
    cdef void _call(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t slot) except *

    @cython.locals(calls=cython.ulonglong)
    cdef void _fanned_out(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t slot,
                         unsigned long long words) except *

    @cython.locals(whose=cython.ulonglong, key=cython.ulonglong, value=cython.ulonglong, first=cython.ulonglong,
                   last=cython.ulonglong, times=cython.ulonglong)
    cdef void _grown(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t slot,
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

    @cython.locals(mcp=int, words=cython.ulonglong, shift=int, calls=cython.ulonglong, name=cython.ulonglong)
    cdef void _tool(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t slot) except *

    @cython.locals(words=cython.ulonglong, shift=int, run=cython.ulonglong, failed=cython.ulonglong)
    cdef void _result(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t slot, int mcp,
                     unsigned long long calls) except *

    @cython.locals(limit=cython.ulonglong, said=cython.ulonglong, key=cython.ulonglong, count=cython.ulonglong)
    cdef void _repeated(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t slot,
                       unsigned long long name, int arguments, int called) except *

    cdef void _invoked(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t slot) except *

    @cython.locals(to=str, from_=str)
    cdef void _handed_over(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t slot) except *

    @cython.locals(name=str, from_=str, before=str)
    cdef void _transferred(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t slot) except *

    @cython.locals(whose=cython.ulonglong, one=cython.ulonglong, other=cython.ulonglong, key=cython.ulonglong,
                   value=cython.ulonglong, times=cython.ulonglong, word=cython.ulonglong, count=cython.ulonglong)
    cdef void _passed(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t slot, str from_,
                     str to) except *

    @cython.locals(pos=Py_ssize_t, end=Py_ssize_t, stop=Py_ssize_t, at=Py_ssize_t, after=Py_ssize_t,
                   key=cython.ulonglong, said=cython.ulonglong, names=list, agent=str)
    cdef void _learn(self, const unsigned char* data) except *

    @cython.locals(word=cython.ulonglong, one=cython.ulonglong, other=cython.ulonglong, talk=Py_ssize_t)
    cdef void _converse(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t slot) except *

cdef unsigned long long hashed(const unsigned char* data, Py_ssize_t pos, Py_ssize_t end) noexcept
