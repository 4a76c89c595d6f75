# C types for detect_calls.py.
cimport cython

from tracekeeper_sidecar.wire cimport native
from tracekeeper_sidecar.wire.detect_known cimport Known, mixed
from tracekeeper_sidecar.wire.labels cimport Labels
from tracekeeper_sidecar.wire.rows cimport Births, Family

cdef int _AGENT_CALL, _TOOL_CALL, _AGENT, _TOOL, _MCP, _AGENTS, _TOOLS, _REPORTED, _SERVER, _CLIENT, _CONSUMER, _REMOTE
cdef unsigned long long _PENDING, _WAITS, _KNOWS, _ALL_16, _WHO

cdef class Calls(Known):
    cdef Labels _who, _tools
    cdef unsigned int _agents_at[128]
    cdef unsigned int _tools_at[128]
    cdef Family _edges
    cdef int _waits

    cdef void _turn(self) except *

    @cython.locals(number=int)
    cdef int _agent(self, const unsigned char* data) except -1

    @cython.locals(number=int)
    cdef int _used_tool(self, const unsigned char* data) except -1

    cdef int _is_request(self) noexcept

    cdef void _edge(self, unsigned long long caller, unsigned long long callee, unsigned long long kind,
                   unsigned long long count) except *

    @cython.locals(agent=int, tool=int)
    cdef void _calls(self, const unsigned char* data, Py_ssize_t slot, int kind) except *

    cdef unsigned long long _mark_of(self, const unsigned char* data, Py_ssize_t span, unsigned long long seed) noexcept

    @cython.locals(known=cython.ulonglong, key=cython.ulonglong, value=cython.ulonglong, who=cython.ulonglong,
                   shift=int, entry=cython.ulonglong)
    cdef void _wait(self, const unsigned char* data, Py_ssize_t slot, unsigned long long callee,
                   unsigned long long kind, unsigned long long count) except *

    @cython.locals(key=cython.ulonglong, value=cython.ulonglong, entry=cython.ulonglong, caller=cython.ulonglong)
    cdef void _came(self, const unsigned char* data, Py_ssize_t slot, int kind) except *
