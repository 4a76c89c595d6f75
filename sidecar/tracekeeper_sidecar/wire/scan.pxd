# C types for scan.py. Offsets are Py_ssize_t throughout: a body is at most 64 MiB, so 16 times an offset cannot overflow.
cimport cython

cdef bytes _RULES
cdef int _DEPTH
cdef int _SPAN
cdef int _TAG, _CUT_OFF, _WIRE_TYPE, _GROUP, _UTF8, _TOO_DEEP
cdef int _TRACE_ID, _SPAN_ID, _PARENT_ID, _NO_TRACE_ID, _NO_SPAN_ID

@cython.locals(result=Py_ssize_t)
cpdef Py_ssize_t count_spans(bytes body) except -1

cdef Py_ssize_t _failure(Py_ssize_t code, Py_ssize_t offset) noexcept nogil

@cython.locals(begin=Py_ssize_t, start=Py_ssize_t, spans=Py_ssize_t, inner=Py_ssize_t, length=Py_ssize_t,
               packed=Py_ssize_t, seen=int, tag=Py_ssize_t, wire=int, number=Py_ssize_t, rule=int, code=int)
cdef Py_ssize_t _message(const unsigned char* data, const unsigned char* rules, Py_ssize_t pos, Py_ssize_t end,
                         Py_ssize_t kind, int depth) noexcept nogil

cdef int _id(const unsigned char* data, Py_ssize_t pos, Py_ssize_t length, int rule) noexcept nogil

cdef Py_ssize_t _scalar(const unsigned char* data, Py_ssize_t pos, Py_ssize_t end, int wire, int rule) noexcept nogil

@cython.locals(value=Py_ssize_t, byte=Py_ssize_t, taken=int)
cdef Py_ssize_t _long_varint(const unsigned char* data, Py_ssize_t pos, Py_ssize_t end) noexcept nogil

@cython.locals(byte=int, taken=int)
cdef Py_ssize_t _skip_varint(const unsigned char* data, Py_ssize_t pos, Py_ssize_t end) noexcept nogil

@cython.locals(found=int)
cdef int _all_zero(const unsigned char* data, Py_ssize_t pos, Py_ssize_t end) noexcept nogil

@cython.locals(high=int, at=Py_ssize_t)
cdef int _utf8(const unsigned char* data, Py_ssize_t pos, Py_ssize_t end) noexcept nogil

@cython.locals(lead=int, low=int, high=int, more=int)
cdef int _utf8_sequences(const unsigned char* data, Py_ssize_t pos, Py_ssize_t end) noexcept nogil
