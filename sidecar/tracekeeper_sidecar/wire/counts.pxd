# C types for counts.py.
cimport cython

from tracekeeper_sidecar.wire cimport layout
from tracekeeper_sidecar.wire.calls cimport Calls
from tracekeeper_sidecar.wire.labels cimport Labels
from tracekeeper_sidecar.wire.native cimport Words
from tracekeeper_sidecar.wire.rows cimport Family
from tracekeeper_sidecar.wire.table cimport Table

cdef Py_ssize_t MOST_CONVERSATIONS
cdef unsigned long long _TYPE_INPUT, _TYPE_OUTPUT, _TYPE_CACHE_READ, _TYPE_CACHE_WRITE, _TYPE_REASONING
cdef unsigned long long _LOW_32, _ALL_64, _UNKNOWN, _MILLISECONDS
cdef unsigned int _MINUTE, _IDLE
cdef double _NANOSECONDS

cdef class Counts(Calls):
    cdef readonly dict families, labels
    cdef Table _talks
    cdef object _note
    cdef unsigned long long _tick
    cdef unsigned long long _record[16]
    cdef tuple _said_by
    cdef Family _requests, _request_duration, _operation_rows, _operation_duration, _spans, _request_calls
    cdef Family _calls_highest, _tokens, _token_details, _costs, _unpriced_calls, _unpriced_tokens, _reason_rows
    cdef Family _changes, _tool_calls, _trace_duration, _conversations, _conversation_duration
    cdef Family _conversation_cost, _conversation_highest, _detections
    cdef Labels _services, _agents, _workflows, _operations, _providers, _models, _error_types, _tools, _reasons, _detectors

    @cython.locals(record=Words, key=cython.ulonglong, more=cython.ulonglong, service=cython.ulonglong,
                   who=cython.ulonglong, outcome=cython.ulonglong, took=cython.ulonglong, span=cython.ulonglong,
                   tick=cython.uint, when=cython.ulonglong, kind=cython.ulonglong, model=cython.ulonglong)
    cdef void _count(self, unsigned long long agent, unsigned long long workflow, unsigned long long hi,
                    unsigned long long lo) except *

    @cython.locals(record=Words, cost=cython.ulonglong, tick=cython.uint, came=cython.ulonglong,
                   went=cython.ulonglong, key=cython.ulonglong, brief=cython.ulonglong, unpriced=int, ended=double)
    cdef int _count_call(self, unsigned long long service, unsigned long long who, unsigned long long workflow,
                         unsigned long long answerer) except -1

    @cython.locals(record=Words, hi=cython.ulonglong, slot=Py_ssize_t, start=cython.ulonglong,
                   who=cython.ulonglong, key=cython.ulonglong, cost=cython.ulonglong)
    cdef int _converse(self, unsigned long long service, unsigned long long agent) except -1

    @cython.locals(start=cython.ulonglong, end=cython.ulonglong)
    cdef int _end_talk(self, Py_ssize_t slot) except -1
