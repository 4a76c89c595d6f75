# C types for scan.py. Offsets are Py_ssize_t throughout: a body is at most 64 MiB, so 16 times an offset cannot overflow.
cimport cython

from tracekeeper_sidecar.wire.meter cimport Sight

cdef bytes _PRIORITY, _CRITICAL
cdef int _SERVER, _CONSUMER, _ERROR
cdef long long _MOST
cdef unsigned long long _LOW_32

cdef bytes _RULES
cdef int _DEPTH
cdef int _SPAN, _ATTRIBUTE, _STATUS
cdef int _TAG, _CUT_OFF, _WIRE_TYPE, _GROUP, _UTF8, _TOO_DEEP
cdef int _TRACE_ID, _SPAN_ID, _PARENT_ID, _NO_TRACE_ID, _NO_SPAN_ID

@cython.locals(result=Py_ssize_t, sight=Sight)
cpdef Sight look(bytes body)

cpdef Py_ssize_t count_spans(bytes body) except -1

cdef Py_ssize_t _failure(Py_ssize_t code, Py_ssize_t offset) noexcept nogil

@cython.locals(start=Py_ssize_t, spans=Py_ssize_t, inner=Py_ssize_t, length=Py_ssize_t, packed=Py_ssize_t,
               tag=Py_ssize_t, wire=int, number=Py_ssize_t, rule=int)
cdef Py_ssize_t _message(const unsigned char* data, const unsigned char* rules, Py_ssize_t pos, Py_ssize_t end,
                         Py_ssize_t kind, int depth, Sight sight) noexcept

@cython.locals(pos=Py_ssize_t, start=Py_ssize_t, inner=Py_ssize_t, length=Py_ssize_t, packed=Py_ssize_t,
               tag=Py_ssize_t, wire=int, number=Py_ssize_t, rule=int, code=int, value=Py_ssize_t, began=Py_ssize_t,
               ended=Py_ssize_t, seen=int, kind=cython.ulonglong, error=int, flags=int, root=int)
cdef Py_ssize_t _span(const unsigned char* data, const unsigned char* rules, Py_ssize_t begin, Py_ssize_t end,
                      int depth, Sight sight) noexcept

@cython.locals(value=Py_ssize_t, kind=int)
cdef int _plain(const unsigned char* data, Py_ssize_t pos, Py_ssize_t end) noexcept nogil

cdef int _is_critical(const unsigned char* data, Py_ssize_t pos, Py_ssize_t end) noexcept

@cython.locals(index=Py_ssize_t)
cdef int _same(const unsigned char* data, Py_ssize_t pos, const unsigned char* text, Py_ssize_t size) noexcept nogil

@cython.locals(tag=int, value=Py_ssize_t, length=Py_ssize_t, packed=Py_ssize_t)
cdef int _status(const unsigned char* data, Py_ssize_t pos, Py_ssize_t end, int error) noexcept nogil

@cython.locals(value=cython.ulonglong, byte=cython.ulonglong, shift=int)
cdef unsigned long long _enumerated(const unsigned char* data, Py_ssize_t pos, Py_ssize_t end) noexcept nogil

@cython.locals(begin=cython.ulonglong, finish=cython.ulonglong)
cdef long long _nanoseconds(const unsigned char* data, Py_ssize_t began, Py_ssize_t ended) noexcept nogil

@cython.locals(value=cython.ulonglong, byte=cython.ulonglong, shift=int)
cdef unsigned long long _fixed(const unsigned char* data, Py_ssize_t pos) noexcept nogil

cdef int _id(const unsigned char* data, Py_ssize_t pos, Py_ssize_t length, int rule) noexcept nogil

cdef Py_ssize_t _scalar(const unsigned char* data, Py_ssize_t pos, Py_ssize_t end, int wire, int rule) noexcept nogil

@cython.locals(value=Py_ssize_t, byte=Py_ssize_t, taken=int)
cdef Py_ssize_t _long_varint(const unsigned char* data, Py_ssize_t pos, Py_ssize_t end) noexcept nogil

@cython.locals(byte=int, taken=int)
cdef Py_ssize_t _skip_varint(const unsigned char* data, Py_ssize_t pos, Py_ssize_t end) noexcept nogil

@cython.locals(found=int)
cdef int _all_zero(const unsigned char* data, Py_ssize_t pos, Py_ssize_t end) noexcept nogil

cdef int _utf8(const unsigned char* data, Py_ssize_t pos, Py_ssize_t end) noexcept nogil

@cython.locals(high=int)
cdef int _ascii(const unsigned char* data, Py_ssize_t pos, Py_ssize_t end) noexcept nogil

@cython.locals(lead=int, low=int, high=int, more=int)
cdef int _utf8_sequences(const unsigned char* data, Py_ssize_t pos, Py_ssize_t end) noexcept nogil
