# The compiled half of native.py: see there.
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.string cimport memchr, memcmp, memcpy, memmove

ctypedef unsigned long long* Words
ctypedef unsigned int* Halves

cdef inline unsigned char* _aligned(bytearray buffer) noexcept:
    cdef unsigned char* begin = buffer
    return begin + (-<size_t>begin & 63)

cdef inline Words words(bytearray buffer) noexcept:
    return <Words>_aligned(buffer)

cdef inline Halves halves(bytearray buffer) noexcept:
    return <Halves>_aligned(buffer)

cdef inline Words* pointers(bytearray buffer) noexcept:
    return <Words*><unsigned char*>buffer

cdef inline Halves* half_pointers(bytearray buffer) noexcept:
    return <Halves*><unsigned char*>buffer

cdef extern from *:
    # As loops over bytes both stay loops over bytes, and take eight loads.
    """
    #include <string.h>
    #if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    #define tracekeeper_big(word) (word)
    #define tracekeeper_little(word) __builtin_bswap64(word)
    #else
    #define tracekeeper_big(word) __builtin_bswap64(word)
    #define tracekeeper_little(word) (word)
    #endif
    static inline unsigned long long tracekeeper_fold(unsigned long long left, unsigned long long right) {
        unsigned __int128 product = (unsigned __int128)left * right;
        return (unsigned long long)product ^ (unsigned long long)(product >> 64);
    }
    """
    void __builtin_prefetch(const void* at) noexcept nogil
    unsigned long long tracekeeper_big(unsigned long long word) noexcept nogil
    unsigned long long tracekeeper_little(unsigned long long word) noexcept nogil
    unsigned long long tracekeeper_fold(unsigned long long left, unsigned long long right) noexcept nogil

cdef inline unsigned long long word(const unsigned char* data, Py_ssize_t at) noexcept nogil:
    cdef unsigned long long value
    memcpy(&value, data + at, 8)
    return tracekeeper_big(value)

cdef inline unsigned long long fixed(const unsigned char* data, Py_ssize_t at) noexcept nogil:
    cdef unsigned long long value
    memcpy(&value, data + at, 8)
    return tracekeeper_little(value)

cdef inline unsigned long long fold(unsigned long long left, unsigned long long right) noexcept nogil:
    return tracekeeper_fold(left, right)

cdef inline void fetch(Words buffer, Py_ssize_t at) noexcept nogil:
    __builtin_prefetch(buffer + at)

cdef inline Py_ssize_t where(bytearray buffer, int byte, Py_ssize_t size) noexcept:
    cdef unsigned char* begin = buffer
    cdef void* found = memchr(begin, byte, size)
    return <unsigned char*>found - begin if found != NULL else -1

cdef inline Py_ssize_t copy(unsigned char* to, Py_ssize_t at, const unsigned char* data, Py_ssize_t begin,
                            Py_ssize_t end) noexcept nogil:
    memcpy(to + at, data + begin, end - begin)
    return at + end - begin

cdef inline Py_ssize_t move(unsigned char* data, Py_ssize_t to, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    memmove(data + to, data + begin, end - begin)
    return to + end - begin

cdef inline Py_ssize_t index(const unsigned char* data, int byte, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    if begin >= end:
        return -1
    cdef const void* found = memchr(data + begin, byte, end - begin)
    return <const unsigned char*>found - data if found != NULL else -1

cdef inline int same(const unsigned char* left, Py_ssize_t at, const unsigned char* right, Py_ssize_t size) noexcept nogil:
    return memcmp(left + at, right, size) == 0

cdef inline Py_ssize_t varint_size(Py_ssize_t value) noexcept nogil:
    cdef Py_ssize_t size = 1
    while value > 127:
        value >>= 7
        size += 1
    return size

cdef inline Py_ssize_t put_head(unsigned char* to, Py_ssize_t at, int tag, Py_ssize_t size) noexcept nogil:
    to[at] = tag
    at += 1
    while size > 127:
        to[at] = size & 127 | 128
        at += 1
        size >>= 7
    to[at] = size
    return at + 1

cdef inline double real(const unsigned char* data, Py_ssize_t at) noexcept nogil:
    cdef unsigned long long bits = fixed(data, at)
    cdef double value
    memcpy(&value, &bits, 8)
    return value

cdef inline Py_ssize_t put_double(unsigned char* to, Py_ssize_t at, double value) noexcept nogil:
    cdef unsigned long long bits
    cdef Py_ssize_t end = at + 8
    memcpy(&bits, &value, 8)
    while at < end:
        to[at] = bits & 255
        bits >>= 8
        at += 1
    return at

cdef inline unsigned long long whole(double value) noexcept nogil:
    return <unsigned long long>value

cdef inline bytes blank(Py_ssize_t size):
    return PyBytes_FromStringAndSize(NULL, size)

cdef inline bytes sealed(bytes filled):
    return filled
