# C types for walker.py. Offsets are Py_ssize_t; `read` holds a whole varint, and is compared before it becomes one.
cimport cython

cdef int _CUT_OFF
cdef long long _MOST
cdef unsigned long long _ALL_64

cdef class Walker:
    cdef int wire
    cdef unsigned long long read, number
    cdef Py_ssize_t value, _at, _pair_key, _pair_key_end, _pair_value, _pair_value_end

    @cython.locals(tag=cython.ulonglong, stop=Py_ssize_t)
    cdef Py_ssize_t next(self, const unsigned char* data, Py_ssize_t pos, Py_ssize_t end) noexcept

    @cython.locals(value=cython.ulonglong, byte=cython.ulonglong, shift=int)
    cdef int _varint(self, const unsigned char* data, Py_ssize_t pos, Py_ssize_t end) noexcept

    @cython.locals(value=cython.ulonglong, byte=cython.ulonglong, shift=int)
    cdef unsigned long long as_fixed(self, const unsigned char* data, Py_ssize_t pos) noexcept

    cdef long long as_signed(self) noexcept

    cdef int is_unwanted(self, const unsigned char* data, Py_ssize_t pos, Py_ssize_t end,
                         unsigned long long sizes) noexcept

    @cython.locals(stop=Py_ssize_t)
    cdef int _key_value(self, const unsigned char* data, Py_ssize_t pos, Py_ssize_t end) noexcept

    @cython.locals(stop=Py_ssize_t)
    cdef Py_ssize_t _find(self, const unsigned char* data, Py_ssize_t pos, Py_ssize_t end) noexcept

    @cython.locals(pos=Py_ssize_t, stop=Py_ssize_t, spans=Py_ssize_t, inner=Py_ssize_t)
    cdef Py_ssize_t count(self, const unsigned char* data, Py_ssize_t end) noexcept

    @cython.locals(stop=Py_ssize_t, spans=Py_ssize_t, inner=Py_ssize_t)
    cdef Py_ssize_t _count_below(self, const unsigned char* data, Py_ssize_t pos, Py_ssize_t end, int level) noexcept
