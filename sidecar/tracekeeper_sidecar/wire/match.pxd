# C types for match.py.
cimport cython

from tracekeeper_sidecar.wire cimport native
from tracekeeper_sidecar.wire.program cimport Program

cdef int _MISSING, _TRUTH, _DURATION
cdef int _SPAN_ATTRIBUTE, _RESOURCE_ATTRIBUTE, _NAME, _KIND, _STATUS, _STATUS_MESSAGE, _SPAN_DURATION, _IS_ROOT
cdef int _EVENT_ATTRIBUTE, _EVENT_NAME, _ATTRIBUTE
cdef int _KINDS, _STATUSES, _NONE_KEPT
cdef long long _MOST
cdef unsigned long long _LOW_32

cpdef tuple split(bytes body, Matcher matcher)

cdef class Matcher(Program):
    cdef Py_ssize_t _index
    cdef int _of_events
    cdef unsigned long long key_sizes

    @cython.locals(size=Py_ssize_t, total=Py_ssize_t, kept=Py_ssize_t, written=Py_ssize_t)
    cpdef tuple split(self, bytes body)

    @cython.locals(pos=Py_ssize_t, stop=Py_ssize_t, kept=Py_ssize_t)
    cdef Py_ssize_t _judge(self, const unsigned char* data, Py_ssize_t end, unsigned char* marks) noexcept

    @cython.locals(pos=Py_ssize_t, stop=Py_ssize_t, kept=Py_ssize_t)
    cdef Py_ssize_t _judge_resource(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end,
                                    unsigned char* marks) noexcept

    @cython.locals(stop=Py_ssize_t, kept=Py_ssize_t)
    cdef Py_ssize_t _judge_scope(self, const unsigned char* data, Py_ssize_t pos, Py_ssize_t end,
                                 unsigned char* marks) noexcept

    @cython.locals(pos=Py_ssize_t, stop=Py_ssize_t)
    cdef void enter(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end) noexcept

    cdef int test(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end) noexcept

    @cython.locals(stop=Py_ssize_t)
    cdef int _asked(self, const unsigned char* data, Py_ssize_t pos, Py_ssize_t end) noexcept

    cdef void start(self) noexcept

    cdef void offer(self, const unsigned char* data, Py_ssize_t pos, Py_ssize_t end) noexcept

    @cython.locals(slot=int, place=int, cell=int)
    cdef void fill(self, Py_ssize_t name, Py_ssize_t name_size, Py_ssize_t message, Py_ssize_t message_size,
                   unsigned long long kind, unsigned long long status, unsigned long long begin,
                   unsigned long long finish, int root) noexcept

    @cython.locals(name=Py_ssize_t, name_size=Py_ssize_t, stop=Py_ssize_t, slot=int)
    cdef void _event(self, const unsigned char* data, Py_ssize_t pos, Py_ssize_t end) noexcept

    @cython.locals(slot=int)
    cdef void _clear(self, int place) noexcept

    @cython.locals(name=Py_ssize_t, name_size=Py_ssize_t, message=Py_ssize_t, message_size=Py_ssize_t,
                   kind=cython.ulonglong, status=cython.ulonglong, begin=cython.ulonglong, finish=cython.ulonglong,
                   root=int, stop=Py_ssize_t, inner=Py_ssize_t, number=cython.ulonglong)
    cdef void _span(self, const unsigned char* data, Py_ssize_t pos, Py_ssize_t end) noexcept

    @cython.locals(stop=Py_ssize_t)
    cdef void _attributes(self, const unsigned char* data, Py_ssize_t pos, Py_ssize_t end, unsigned long long field,
                          int place) noexcept

    @cython.locals(key=Py_ssize_t, key_size=Py_ssize_t, value=Py_ssize_t, value_end=Py_ssize_t, slot=int, cell=int)
    cdef void _attribute(self, const unsigned char* data, Py_ssize_t pos, Py_ssize_t end, int place) noexcept

    @cython.locals(pos=Py_ssize_t, at=Py_ssize_t, stop=Py_ssize_t, value=Py_ssize_t, index=Py_ssize_t, size=Py_ssize_t)
    cdef Py_ssize_t _write(self, const unsigned char* data, Py_ssize_t end, unsigned char* marks,
                           unsigned char* out) noexcept

    @cython.locals(size=Py_ssize_t, kept=int, stop=Py_ssize_t, inner=Py_ssize_t)
    cdef Py_ssize_t _size_below(self, const unsigned char* data, Py_ssize_t pos, Py_ssize_t end, unsigned char* marks,
                                int level) noexcept

    @cython.locals(run=Py_ssize_t, stop=Py_ssize_t, value=Py_ssize_t, index=Py_ssize_t, inner=Py_ssize_t)
    cdef Py_ssize_t _write_below(self, const unsigned char* data, Py_ssize_t pos, Py_ssize_t end, unsigned char* marks,
                                 unsigned char* out, Py_ssize_t at, int level) noexcept

cdef long long _between(unsigned long long begin, unsigned long long finish) noexcept
