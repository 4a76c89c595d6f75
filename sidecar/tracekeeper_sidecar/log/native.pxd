# The compiled half of native.py: see there.
from cpython.bytes cimport PyBytes_FromStringAndSize

cdef extern from "native.h" nogil:
    int prepare "tk_prepare"(int hardware) noexcept
    unsigned int crc "tk_crc"(const unsigned char* data, Py_ssize_t start, Py_ssize_t size, unsigned int seed) noexcept
    unsigned int crc_copy "tk_crc_copy"(unsigned char* to, Py_ssize_t at, const unsigned char* data, Py_ssize_t start,
                                        Py_ssize_t size, unsigned int seed) noexcept

cdef inline bytes blank(Py_ssize_t size):
    return PyBytes_FromStringAndSize(NULL, size)

cdef inline bytes finished(bytes filled):
    return filled
