# C types for tally.py.
cimport cython

from tracekeeper_sidecar.wire cimport labels, layout, native
from tracekeeper_sidecar.wire.detected cimport Detected
from tracekeeper_sidecar.wire.native cimport Words
from tracekeeper_sidecar.wire.rows cimport Family
from tracekeeper_sidecar.wire.tariffs cimport Tariffs
from tracekeeper_sidecar.wire.waiting cimport Waiting

cdef int _AGENT, _ANSWERED, _CONVERSATION, _ERROR_TYPE, _MODEL, _OPERATION, _PROJECT, _PROVIDER, _REASONS
cdef int _DETECTED, _ENVIRONMENT
cdef list _DETECTORS
cdef int _SERVICE, _TOOL, _USER, _WORKFLOW, _MCP
cdef int _SILENT, _UNKNOWN_SOURCE
cdef int _OTHER, _LLM, _EMBEDDING, _TOOLS, _AGENTS, _SERVER, _CLIENT, _CONSUMER, _REMOTE, _ERROR_CODE, _CHILDREN
cdef unsigned long long _OK, _ERROR, _LOW_32, _ALL_64, _UNKNOWN, _NANOSECONDS, _LONGEST
cdef long long _NONE
cdef Py_ssize_t MOST_TRACES, _SLAB, _LONGEST_NAME
cdef int _SLAB_BITS
cdef unsigned int _MINUTE

@cython.final
cdef class Tally(Waiting):
    cdef Family _answers
    cdef Detected _named_by
    cdef int _kinds[128]
    cdef unsigned long long _service_number, _pair
    cdef readonly Py_ssize_t left
    cdef Py_ssize_t _skip, _last_ask
    cdef long long _now

    @cython.locals(size=Py_ssize_t, total=Py_ssize_t, pos=Py_ssize_t, stop=Py_ssize_t)
    cpdef Py_ssize_t take(self, bytes body, long long time_ms, Py_ssize_t skip=*, Py_ssize_t asks=*) except -1

    @cython.locals(pos=Py_ssize_t, stop=Py_ssize_t)
    cdef int _resource(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end) except -1

    @cython.locals(stop=Py_ssize_t)
    cdef int _scope(self, const unsigned char* data, Py_ssize_t pos, Py_ssize_t end) except -1

    @cython.locals(operation=int, kind=int, shown=int, request=int, slot=Py_ssize_t, words=Words, at=Py_ssize_t)
    cdef void _span(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end) except *

    @cython.locals(agent=cython.ulonglong, named=cython.uint, which=int, name=bytes, detector=cython.ulonglong)
    cdef void _detected(self, const unsigned char* data, Py_ssize_t slot) except *

    @cython.locals(slot=Py_ssize_t)
    cdef Py_ssize_t _open(self, unsigned long long hi, unsigned long long lo) except -1

    @cython.locals(record=Words, status=cython.ulonglong, failure=cython.ulonglong,
                   agent=cython.ulonglong, workflow=cython.ulonglong, who=cython.ulonglong)
    cdef int _describe(self, const unsigned char* data, Py_ssize_t slot, unsigned long long operation,
                       unsigned long long kind) except -1

    @cython.locals(record=Words, who=cython.ulonglong)
    cdef int _request(self, Py_ssize_t slot) except -1

    @cython.locals(record=Words, agent=cython.ulonglong, provider=cython.ulonglong,
                   model=cython.ulonglong, calls=int)
    cdef int _operation(self, const unsigned char* data, Py_ssize_t slot, int kind) except -1

    @cython.locals(who=cython.ulonglong, known=cython.ulonglong, word=int)
    cdef int _meet(self, Py_ssize_t slot, unsigned long long agent, int whole) except -1

    @cython.locals(calls=cython.ulonglong, who=cython.ulonglong, key=cython.ulonglong)
    cdef int _called(self, Py_ssize_t slot, unsigned long long agent) except -1

    @cython.locals(record=Words, answered=cython.ulonglong, said=int, pair=cython.ulonglong, number=Py_ssize_t)
    cdef int _call(self, const unsigned char* data, unsigned long long model) except -1

    @cython.locals(key=cython.ulonglong, row=Py_ssize_t, before=cython.ulonglong)
    cdef int _answer(self, unsigned long long model, unsigned long long answered) except -1

    cdef tuple _names_of(self, const unsigned char* data)

    @cython.locals(end=Py_ssize_t)
    cdef str _name(self, const unsigned char* data, int slot)

    @cython.locals(record=Words, tool=cython.ulonglong, who=cython.ulonglong, fresh=int,
                   place=Py_ssize_t, at=Py_ssize_t)
    cdef int _tool(self, const unsigned char* data, Py_ssize_t slot) except -1
