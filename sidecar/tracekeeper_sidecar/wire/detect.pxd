# C types for detect.py.
cimport cython

from tracekeeper_sidecar.wire cimport labels, native
from tracekeeper_sidecar.wire.detect_handoffs cimport Handoffs
from tracekeeper_sidecar.wire.detect_known cimport mixed
from tracekeeper_sidecar.wire.detect_models cimport hashed

cdef Py_ssize_t _MOST_FOUND
cdef unsigned int _FIRST_LETTERS
cdef int _LOOP, _FAILURES, _GAVE_UP
cdef int _AGENT, _TOOL, _ARGUMENTS, _CONVERSATION, _MCP, _MESSAGES, _HANDOFFS, _DETECTED
cdef int _LLM, _EMBEDDING, _TOOLS, _AGENTS
cdef int _CALLS_WORD, _FAILED, _REPORTED, _SHARE
cdef int _QUOTE, _COLON, _COMMA, _BRACE
cdef Py_ssize_t _LONGEST, _LONGEST_KEY
cdef frozenset _COUNTING
cdef int _CLIENT, _SERVER, _NOT_KNOWN, _NEW, _AGAIN
cdef unsigned int _IDLE
cdef unsigned long long _CONVERSED, _ERROR, _ONE, _LOW_10, _LOW_20, _ALL_64, _MOST_RUN, _OF_LOOPS

@cython.final
cdef class Watch(Handoffs):
    cdef readonly list links, foreign
    cdef readonly bint again
    cdef readonly Py_ssize_t kept
    cdef int _state
    cdef unsigned long long _spans, _request, _failed_at
    cdef object _kept
    cdef dict _before
    cdef bint _linked, _trusting

    @cython.locals(size=Py_ssize_t, pos=Py_ssize_t, stop=Py_ssize_t)
    cpdef bint take(self, bytes body, long long now, unsigned long long spans) except -1

    @cython.locals(pos=Py_ssize_t, stop=Py_ssize_t, at=Py_ssize_t, after=Py_ssize_t)
    cdef void _resource(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end) except *

    @cython.locals(kind=int, slot=Py_ssize_t)
    cdef void _span(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end) except *

    @cython.locals(hi=cython.ulonglong, lo=cython.ulonglong, mark=cython.ulonglong)
    cdef void _meet(self, const unsigned char* data) except *

    cdef void _keep_said(self) except *

    cdef void _say_again(self, Py_ssize_t begin, Py_ssize_t end) except *

    @cython.locals(mcp=int, words=cython.ulonglong, shift=int, calls=cython.ulonglong, name=cython.ulonglong)
    cdef void _tool(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t slot) except *

    @cython.locals(words=cython.ulonglong, shift=int, run=cython.ulonglong, failed=cython.ulonglong, many=bint)
    cdef void _result(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t slot, int mcp,
                     unsigned long long calls) except *

    @cython.locals(words=cython.ulonglong, run=cython.ulonglong)
    cdef void _ended(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t slot) except *

    @cython.locals(limit=cython.ulonglong, said=cython.ulonglong, key=cython.ulonglong, count=cython.ulonglong)
    cdef void _repeated(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t slot,
                       unsigned long long name, int arguments, int called) except *

    @cython.locals(found=cython.ulonglong, at=Py_ssize_t, stop=Py_ssize_t)
    cdef unsigned long long _signature(self, const unsigned char* data, Py_ssize_t pos, Py_ssize_t end) except? 0

    cdef int _is_meant(self, const unsigned char* data, int arguments, int called) except -1

    cdef void _invoked(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t slot) except *

    @cython.locals(word=cython.ulonglong, one=cython.ulonglong, other=cython.ulonglong, talk=Py_ssize_t)
    cdef void _converse(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t slot) except *
