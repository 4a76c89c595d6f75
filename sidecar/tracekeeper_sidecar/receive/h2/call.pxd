# One gRPC call as session.pyx keeps it, and what its headers say. Plain C: no Python object, no library.
from cpython.ref cimport PyObject
from libc.stdint cimport int32_t, uint8_t
from libc.string cimport memcmp

cdef enum:
    _IDENTITY = 0
    _GZIP = 1
    _DEFLATE = 2
    _UNKNOWN = 3

cdef enum:  # what has been seen of a call's headers
    POST = 1
    OUR_PATH = 2
    GRPC = 4

cdef enum:  # where a call is: its message comes, it waits for the disk, its answer is on its way
    READING
    TAKEN
    ANSWERED

cdef struct Stream:
    Stream *before
    Stream *after
    PyObject *body  # owned: the message that is coming, `capacity` bytes; NULL while there is none
    PyObject *context  # owned: a dict of the wanted metadata; NULL while there is none
    PyObject *answer  # owned: the bytes that DATA frames of the answer are made of; NULL while there is none
    Py_ssize_t sent  # bytes of `answer` that are sent
    Py_ssize_t size  # bytes that the message's prefix announced
    Py_ssize_t capacity
    Py_ssize_t filled
    Py_ssize_t held  # bytes of the admission
    Py_ssize_t metadata  # bytes of headers and trailers, as SETTINGS_MAX_HEADER_LIST_SIZE counts them
    double since  # when the present state began
    double deadline  # by the client's grpc-timeout; 0: none
    int32_t number
    uint8_t state
    uint8_t seen
    uint8_t encoding
    uint8_t compressed
    uint8_t whole  # the message is complete
    uint8_t ended  # the client sends no more
    uint8_t foreign  # not a gRPC call
    uint8_t trailers  # an OK follows the answer's DATA
    uint8_t prefix_filled
    uint8_t[5] prefix


cdef inline bint _is(const char *text, size_t length, const uint8_t *other, size_t size) noexcept:
    return size == length and memcmp(text, other, size) == 0


cdef inline double _deadline(double now, const uint8_t *value, size_t size) noexcept:
    """One to eight digits and a unit; whatever else it is means no deadline."""
    cdef double amount = 0
    cdef size_t at
    if size < 2 or size > 9:
        return 0
    for at in range(size - 1):
        if value[at] < c"0" or value[at] > c"9":
            return 0
        amount = amount * 10 + (value[at] - c"0")
    cdef uint8_t unit = value[size - 1]
    if unit == c"H":
        return now + amount * 3600
    if unit == c"M":
        return now + amount * 60
    if unit == c"S":
        return now + amount
    if unit == c"m":
        return now + amount * 1e-3
    if unit == c"u":
        return now + amount * 1e-6
    if unit == c"n":
        return now + amount * 1e-9
    return 0


cdef inline void note_header(Stream *stream, double now, const uint8_t *name, size_t name_size, const uint8_t *value,
                             size_t size) noexcept:
    if name_size == 5 and memcmp(name, b":path", 5) == 0:
        if _is(b"/opentelemetry.proto.collector.trace.v1.TraceService/Export", 59, value, size):
            stream.seen |= OUR_PATH
    elif name_size == 7 and memcmp(name, b":method", 7) == 0:
        if _is(b"POST", 4, value, size):
            stream.seen |= POST
    elif name_size == 12 and memcmp(name, b"content-type", 12) == 0:
        # application/grpc, application/grpc+proto, or either with parameters: no other format, and no gRPC-Web
        if size >= 22 and memcmp(value, b"application/grpc+proto", 22) == 0:
            if size == 22 or value[22] == c";":
                stream.seen |= GRPC
        elif size >= 16 and memcmp(value, b"application/grpc", 16) == 0 and (size == 16 or value[16] == c";"):
            stream.seen |= GRPC
    elif name_size == 13 and memcmp(name, b"grpc-encoding", 13) == 0:
        if _is(b"identity", 8, value, size):
            stream.encoding = _IDENTITY
        elif _is(b"gzip", 4, value, size):
            stream.encoding = _GZIP
        elif _is(b"deflate", 7, value, size):
            stream.encoding = _DEFLATE
        else:
            stream.encoding = _UNKNOWN
    elif name_size == 12 and memcmp(name, b"grpc-timeout", 12) == 0:
        stream.deadline = _deadline(now, value, size)
