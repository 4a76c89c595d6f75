# C types for detect_handoffs.py.
cimport cython

from tracekeeper_sidecar.wire.detect_known cimport mixed
from tracekeeper_sidecar.wire.detect_models cimport Models, hashed

cdef int _PING_PONG, _UNDECLARED, _RING, _AGENT, _TOOL, _CONVERSATION, _FROM, _TO, _HANDOFFS, _REPORTED, _UNDECLARED_BITS
cdef int _HANDOFF_CALL
cdef Py_ssize_t _LONGEST
cdef unsigned long long _LOW_14, _LOW_16, _LOW_48, _MOST_TIMES, _MOST_LEVEL, _OF_HANDOFFS, _OF_DECLARED

cdef class Handoffs(Models):
    cdef dict _declared
    cdef object _told, _unjudged

    @cython.locals(to=str, from_=str)
    cdef void _handed_over(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t slot) except *

    @cython.locals(name=str, from_=str, before=str, to=str, back=int)
    cdef void _transferred(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t slot) except *

    @cython.locals(whose=cython.ulonglong, one=cython.ulonglong, other=cython.ulonglong, key=cython.ulonglong,
                   value=cython.ulonglong, last=cython.ulonglong, before=cython.ulonglong, level=cython.ulonglong,
                   times=cython.ulonglong, ring=cython.ulonglong, limit=cython.ulonglong)
    cdef void _passed(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end, str from_, str to,
                     int back) except *

    cdef void _judge(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t slot, str from_,
                    str to) except *

    @cython.locals(word=cython.ulonglong, count=cython.ulonglong)
    cdef void _undeclared(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t slot, str from_,
                         str to) except *

    @cython.locals(names=list)
    cdef void _wait_for_word(self, str from_, str to) except *

    @cython.locals(pos=Py_ssize_t, stop=Py_ssize_t, key=cython.ulonglong, said=cython.ulonglong, names=list, agent=str,
                   to=str)
    cdef void _learn(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t slot) except *

    @cython.locals(stop=Py_ssize_t, at=Py_ssize_t, after=Py_ssize_t, names=list)
    cdef list _list(self, const unsigned char* data, Py_ssize_t pos, Py_ssize_t end)
