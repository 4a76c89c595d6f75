# The compiled half of digits.py: see there.
cdef extern from "digits.h" nogil:
    int tk_digits(const unsigned char* data)

cdef inline int digits(const unsigned char* data, Py_ssize_t at) noexcept nogil:
    return tk_digits(data + at)
