# C types for program.py.
cimport cython

from tracekeeper_sidecar.wire.walker cimport Walker

ctypedef const unsigned char* Bytes

cdef int _MISSING, _TRUTH, _INTEGER, _DECIMAL, _TEXT, _DURATION, _ARRAY, _MAP, _OTHER
cdef int _OP_TRUTH, _OP_EQUAL, _OP_UNEQUAL, _OP_LESS, _OP_AT_MOST, _OP_AMONG, _OP_HAS, _OP_WITHIN
cdef int _OP_STARTS, _OP_ENDS, _OP_CONTAINS, _OP_MATCHES, _OP_SUM, _OP_DIFFERENCE, _OP_SIZE, _OP_NOT, _OP_IF_FALSE
cdef int _KINDS, _STATUSES, _UNCOMPARABLE
cdef long long _MOST
cdef unsigned long long _FRACTION, _HIDDEN
cdef double _INFINITE

cdef class Program(Walker):
    cdef bytes _pool, _classes, _finals, _tables
    cdef Py_ssize_t _text_at[288]
    cdef Py_ssize_t _text_size[288]
    cdef int _code[2048]
    cdef int _places[256]
    cdef int _kinds[257]
    cdef long long _numbers[257]
    cdef Py_ssize_t _sizes[257]
    cdef int _in_body[257]
    cdef double _decimals[257]
    cdef Py_ssize_t _table_at[16]
    cdef Py_ssize_t _final_at[16]
    cdef Py_ssize_t _width[16]
    cdef int _steps, _first_slot, _slots, _span_keys, _resource_keys, _scratch

    cdef void _set_text(self, int cell, Py_ssize_t begin, Py_ssize_t size, int in_body) noexcept

    cdef void _set_word(self, int cell, unsigned long long number, int first, unsigned long long count) noexcept

    @cython.locals(text=int)
    cdef int _is_key(self, const unsigned char* data, Py_ssize_t pos, Py_ssize_t size, int slot) noexcept

    @cython.locals(stop=Py_ssize_t, number=cython.ulonglong)
    cdef void _any(self, const unsigned char* data, Py_ssize_t pos, Py_ssize_t end, int cell) noexcept

    @cython.locals(flag=int, step=int, at=int, op=int, x=int, y=int)
    cdef int _holds(self, const unsigned char* data) noexcept

    @cython.locals(order=int)
    cdef int _compare(self, const unsigned char* data, int op, int x, int y) noexcept

    @cython.locals(kind=int, other=int, left=double, right=double)
    cdef int _order(self, const unsigned char* data, int x, int y) noexcept

    cdef double _as_decimal(self, int cell) noexcept

    @cython.locals(left=Bytes, right=Bytes, begin=Py_ssize_t, other=Py_ssize_t,
                   size=Py_ssize_t, index=Py_ssize_t)
    cdef int _text_order(self, const unsigned char* data, int x, int y) noexcept

    @cython.locals(cell=int)
    cdef int _among(self, const unsigned char* data, int x, int first, int count) noexcept

    @cython.locals(pos=Py_ssize_t, end=Py_ssize_t, stop=Py_ssize_t)
    cdef int _within(self, const unsigned char* data, int x, int y) noexcept

    @cython.locals(kind=int, other=int, real=double, left=cython.longlong, right=cython.longlong)
    cdef void _add(self, int x, int y, int target, int minus) noexcept

    @cython.locals(kind=int, count=Py_ssize_t, text=Bytes, pos=Py_ssize_t, end=Py_ssize_t,
                   stop=Py_ssize_t)
    cdef void _measure(self, const unsigned char* data, int x, int target) noexcept

    @cython.locals(text=Bytes, part=Bytes, begin=Py_ssize_t, size=Py_ssize_t,
                   other=Py_ssize_t, length=Py_ssize_t, last=Py_ssize_t)
    cdef int _text_test(self, const unsigned char* data, int op, int x, int y) noexcept

    @cython.locals(table=Py_ssize_t, final=Py_ssize_t, width=Py_ssize_t, state=Py_ssize_t, byte=Py_ssize_t,
                   entry=Py_ssize_t, finals=Bytes, classes=Bytes,
                   tables=Bytes)
    cdef int _found(self, const unsigned char* text, Py_ssize_t pos, Py_ssize_t end, int pattern) noexcept

@cython.locals(index=Py_ssize_t)
cdef int _same(const unsigned char* left, Py_ssize_t at, const unsigned char* right, Py_ssize_t other,
               Py_ssize_t size) noexcept

@cython.locals(exponent=int, mantissa=cython.ulonglong, result=double, shift=int)
cdef double _decimal(unsigned long long bits) noexcept
