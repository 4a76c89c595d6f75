# cython: language_level=3, boundscheck=False, wraparound=False
"""One connection's HTTP/2 and gRPC framing: bytes in, whole messages out. No I/O, no clock, no event loop.

libnghttp2 does the framing, HPACK, flow control and the state of streams. Its callbacks, the `on_` functions below, fill
one C struct per call, so that no Python object is made for a header or a frame: a finished message is one `bytes`, which
its DATA frames were copied into as they came, and one tuple in `ready`.

What keeps the C side safe:
- `Session` owns the library's session; callbacks get a borrowed pointer to it, valid because they only run within `feed`
  and `pull`, which are methods of it.
- A stream's struct is found by its number, asked of the library each time, and freed when the library says that the stream
  is closed. Python holds numbers only, and a number whose stream is gone is ignored.
- No callback raises: each is `noexcept`, and those that call Python catch everything and fail the connection instead.
- The session is never deleted within a callback: `close` while the library is on the stack takes effect afterwards.
"""
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.ref cimport Py_INCREF, Py_XDECREF, PyObject
from libc.stdint cimport int32_t, uint8_t, uint32_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from tracekeeper_sidecar.receive.h2.call cimport *
from tracekeeper_sidecar.receive.h2.nghttp2 cimport *

cdef extern from "Python.h":
    int _PyBytes_Resize(PyObject **bytes, Py_ssize_t size) except -1
    PyObject *new_bytes "PyBytes_FromStringAndSize"(const char *text, Py_ssize_t size) except NULL

# Why a call is refused: what `refused` says, for answers.py to put into words.
cdef enum:
    _NOT_GRPC = 1
    _PATH = 2
    _ENCODING = 3
    _METADATA = 4
    _OVERLOADED = 5
    _TOO_LARGE = 6
    _COUNT = 7
    _CUT_OFF = 8
    _FLAG = 9
    _SLOW = 10
    _DEADLINE = 11
NOT_GRPC, PATH, ENCODING, METADATA, OVERLOADED = _NOT_GRPC, _PATH, _ENCODING, _METADATA, _OVERLOADED
TOO_LARGE, COUNT, CUT_OFF, FLAG, SLOW, DEADLINE = _TOO_LARGE, _COUNT, _CUT_OFF, _FLAG, _SLOW, _DEADLINE

IDENTITY, GZIP, DEFLATE = _IDENTITY, _GZIP, _DEFLATE

cdef enum:
    SLICE = 16384  # bytes given to the library at a time: it may queue an answer to each tiny frame in them
    OUTPUT = 65536  # bytes taken from the library at a time
    LONGEST_CHUNK = 20000  # at least what the library hands out at once: a frame of 16,384 bytes and some
    FIRST_PIECE = 1 << 20  # bytes made room for, at most, before any of a message has come
    CREDIT = 2000
    EARNED = 20  # credit for each finished message
    LONGEST_CONTEXT = 1024  # bytes of a value that is kept for processors

cdef bytes _SUCCESS = b"\0\0\0\0\0"  # an empty message: an ExportTraceServiceResponse without partial_success
METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
"""The only path that is served."""
ACCEPTED_ENCODINGS = b"identity,deflate,gzip"

cdef nghttp2_nv _nv(const char *name, Py_ssize_t name_size, const char *value, Py_ssize_t value_size,
                    uint8_t flags) noexcept:
    cdef nghttp2_nv made
    made.name, made.value = <uint8_t *> name, <uint8_t *> value
    made.namelen, made.valuelen = name_size, value_size
    made.flags = flags
    return made


cdef enum:
    STATIC = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE
cdef nghttp2_nv[3] _HEADERS
_HEADERS[0] = _nv(b":status", 7, b"200", 3, STATIC)
_HEADERS[1] = _nv(b"content-type", 12, b"application/grpc", 16, STATIC)
_HEADERS[2] = _nv(b"grpc-accept-encoding", 20, b"identity,deflate,gzip", 21, STATIC)
cdef nghttp2_nv[1] _TRAILERS
_TRAILERS[0] = _nv(b"grpc-status", 11, b"0", 1, STATIC)


cdef class Session:
    """See session.pyi, where every method is described."""

    cdef nghttp2_session *_session
    cdef Stream *_first
    cdef Stream *_last
    cdef object _admission
    cdef Py_ssize_t _overhead, _most, _most_metadata
    cdef Py_ssize_t _held  # bytes of the admission that streams of this connection hold
    cdef Py_ssize_t _owed  # of them, those to be given back as soon as the library is off the stack
    cdef Py_ssize_t _credit
    cdef double _now
    cdef bint _busy, _doomed, _broken, _calmed
    cdef dict _wanted  # names of metadata, as they are on the wire, and as text; None where nothing is wanted
    cdef Py_ssize_t _every  # how many to keep whatever their names; 0: only those
    cdef readonly list ready
    cdef readonly list refused
    cdef readonly int streams
    cdef readonly bint greeted
    cdef readonly Py_ssize_t pongs

    def __cinit__(self, admission, *, Py_ssize_t overhead, Py_ssize_t most, Py_ssize_t most_metadata,
                  uint32_t most_streams, uint32_t stream_window, int32_t window):
        self._admission = admission
        self._overhead, self._most, self._most_metadata = overhead, most, most_metadata
        self._credit = CREDIT
        self.ready, self.refused = [], []
        self._open(most_streams, stream_window, most_metadata, window)

    def __dealloc__(self):
        # `close` has been called long before; without it, what the admission lent stays lent, and no more.
        cdef nghttp2_session *session = self._session
        self._session = NULL
        if session is not NULL:
            nghttp2_session_del(session)
        while self._first is not NULL:
            _unlink(self, self._first)

    cdef int _open(self, uint32_t streams, uint32_t stream_window, uint32_t metadata, int32_t window) except -1:
        cdef nghttp2_session_callbacks *callbacks = NULL
        cdef nghttp2_option *option = NULL
        cdef int code = nghttp2_session_callbacks_new(&callbacks)
        if code == 0:
            code = nghttp2_option_new(&option)
        if code == 0:
            nghttp2_option_set_no_closed_streams(option, 0)
            nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers)
            nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header)
            nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_recv)
            nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data)
            nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_send)
            nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close)
            code = nghttp2_session_server_new2(&self._session, callbacks, <void *> self, option)
        if option is not NULL:
            nghttp2_option_del(option)
        if callbacks is not NULL:
            nghttp2_session_callbacks_del(callbacks)
        cdef nghttp2_settings_entry[3] settings
        settings[0].settings_id, settings[0].value = NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, streams
        settings[1].settings_id, settings[1].value = NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, stream_window
        settings[2].settings_id, settings[2].value = NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, metadata
        if code == 0:
            code = nghttp2_submit_settings(self._session, NGHTTP2_FLAG_NONE, settings, 3)
        if code == 0:
            code = nghttp2_session_set_local_window_size(self._session, NGHTTP2_FLAG_NONE, 0, window)
        if code != 0:
            raise MemoryError(f"no HTTP/2 session: {nghttp2_strerror(code).decode()}")
        return 0

    # What comes in, and what goes out.

    def feed(self, bytearray data not None, Py_ssize_t size, double now):
        cdef Py_ssize_t at = 0
        cdef ssize_t taken
        if size < 0 or size > PyByteArray_GET_SIZE(data):
            raise ValueError(f"{size} bytes of {PyByteArray_GET_SIZE(data)}")
        if self._busy:
            raise RuntimeError("fed from within a callback")
        self._now = now
        while at < size and self._session is not NULL and not self._broken and not self._calmed:
            self._busy = True
            taken = nghttp2_session_mem_recv(
                self._session, <const uint8_t *> PyByteArray_AS_STRING(data) + at, min(size - at, SLICE))
            self._busy = False
            if taken <= 0:
                self._broken = True
                break
            at += taken
            if self._credit < 0:
                self._calmed = True
                self._check(nghttp2_session_terminate_session(self._session, NGHTTP2_ENHANCE_YOUR_CALM))
        self._settle()
        return not self._broken

    def pull(self):
        cdef uint8_t[OUTPUT] output
        cdef const uint8_t *chunk = NULL
        cdef Py_ssize_t filled = 0
        cdef ssize_t size
        cdef bytes long_chunk = None
        if self._busy:
            raise RuntimeError("pulled from within a callback")
        while filled + LONGEST_CHUNK <= OUTPUT and self._session is not NULL:
            self._busy = True
            size = nghttp2_session_mem_send(self._session, &chunk)
            self._busy = False
            if size <= 0:
                self._broken = self._broken or size < 0
                break
            if filled + size > OUTPUT:
                long_chunk = PyBytes_FromStringAndSize(<const char *> chunk, size)
                break
            memcpy(output + filled, chunk, size)
            filled += size
        self._settle()
        sent = PyBytes_FromStringAndSize(<const char *> output, filled)
        return sent if long_chunk is None else sent + long_chunk

    @property
    def finished(self):
        if self._session is NULL or self._broken:
            return True
        return not nghttp2_session_want_read(self._session) and not nghttp2_session_want_write(self._session)

    def close(self):
        self._doomed = True
        self._settle()

    cdef void _settle(self):
        """What had to wait until the library was off the stack."""
        cdef nghttp2_session *session
        if self._busy:
            return
        if self._doomed:
            session, self._session = self._session, NULL
            if session is not NULL:
                nghttp2_session_del(session)
            while self._first is not NULL:  # for these there was no on_stream_close
                _unlink(self, self._first)
        owed, self._owed = self._owed, 0
        if owed:
            self._admission.release(owed)

    cdef bint _check(self, int code) noexcept:
        """False, and the connection is given up, when the library failed."""
        if code != 0:
            self._broken = True
        return code == 0

    # Calls.

    cdef Stream *_find(self, int32_t number) noexcept:
        if self._session is NULL:
            return NULL
        return <Stream *> nghttp2_session_get_stream_user_data(self._session, number)

    def is_open(self, int32_t number):
        return self._find(number) is not NULL

    def want(self, names, Py_ssize_t every=0):
        self._wanted, self._every = {name.encode("latin-1"): name for name in names} or None, every

    def context(self, int32_t number):
        cdef Stream *stream = self._find(number)
        return {} if stream is NULL or stream.context is NULL else <dict> stream.context

    def accept(self, int32_t number, bytes message=None):
        cdef Stream *stream = self._find(number)
        if stream is NULL or stream.state == ANSWERED:
            return False
        return self._answer(stream, _HEADERS, 3, _SUCCESS if message is None else message, True)

    def reject(self, int32_t number, list headers not None, bytes content=None):
        cdef nghttp2_nv[16] made
        cdef Stream *stream = self._find(number)
        cdef Py_ssize_t count = 0
        cdef bytes name, value
        if stream is NULL or stream.state == ANSWERED:
            return False
        for name, value in headers[:16]:
            made[count] = _nv(PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name), PyBytes_AS_STRING(value),
                              PyBytes_GET_SIZE(value), NGHTTP2_NV_FLAG_NONE)
            count += 1
        return self._answer(stream, made, count, content, False)

    cdef bint _answer(self, Stream *stream, const nghttp2_nv *headers, size_t count, bytes content, bint trailers):
        cdef nghttp2_data_provider provider
        stream.state, stream.since, stream.trailers = ANSWERED, self._now, trailers
        if content is not None:
            Py_INCREF(content)
            stream.answer = <PyObject *> content
            provider.source.ptr = NULL
            provider.read_callback = read_answer
            return self._check(nghttp2_submit_response(self._session, stream.number, headers, count, &provider))
        return self._check(nghttp2_submit_response(self._session, stream.number, headers, count, NULL))

    # Time.

    def sweep(self, double now, double patience, Py_ssize_t credit):
        cdef Stream *stream = self._first
        self._now = now
        self._credit = min(self._credit + credit, <Py_ssize_t> CREDIT)
        while stream is not NULL and self._session is not NULL and not self._broken:
            if stream.state != ANSWERED and stream.deadline != 0 and stream.deadline <= now:
                self._refuse_now(stream, _DEADLINE, stream.state == TAKEN)
            elif stream.state == READING and stream.since + patience <= now:
                self._refuse_now(stream, _SLOW, 0)
            elif stream.state == ANSWERED and stream.since + patience <= now:
                stream.since = now
                self._check(nghttp2_submit_rst_stream(
                    self._session, NGHTTP2_FLAG_NONE, stream.number, NGHTTP2_CANCEL))
            stream = stream.after
        self._settle()

    cdef int _refuse_now(self, Stream *stream, int why, int detail) except -1:
        self._drop_body(stream)
        stream.state, stream.deadline = TAKEN, 0
        self.refused.append((stream.number, why, detail))
        return 0

    def ping(self):
        if self._session is not NULL:
            self._check(nghttp2_submit_ping(self._session, NGHTTP2_FLAG_NONE, NULL))

    def announce_end(self):
        if self._session is not NULL:
            self._check(nghttp2_submit_shutdown_notice(self._session))

    def end(self):
        if self._session is not NULL:
            self._check(nghttp2_submit_goaway(
                self._session, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(self._session),
                NGHTTP2_NO_ERROR, NULL, 0))

    # Called by the callbacks.

    cdef int _refuse(self, Stream *stream, int why, Py_ssize_t detail) noexcept:
        """Take no more of this call; `refused` says why. Never raises: what the library is to be told comes back."""
        self._drop_body(stream)
        stream.state = TAKEN
        try:
            self.refused.append((stream.number, why, detail))
        except BaseException:
            return NGHTTP2_ERR_CALLBACK_FAILURE
        return 0

    cdef void _drop_body(self, Stream *stream) noexcept:
        cdef PyObject *body = stream.body
        stream.body = NULL
        Py_XDECREF(body)
        self._held -= stream.held
        self._owed += stream.held
        stream.held = 0

    cdef bint _reserve(self, Stream *stream, Py_ssize_t size) noexcept:
        try:
            if not self._admission.reserve(size, stream.held):
                return False
        except BaseException:
            return False
        stream.held += size
        self._held += size
        return True

    cdef void _note(self, Stream *stream, const uint8_t *name, size_t name_size, const uint8_t *value,
                    size_t size) noexcept:
        """Keep what is wanted of a call's metadata, the first of each name. Never raises: what cannot be kept is missing."""
        cdef dict made
        cdef str wanted
        cdef bytes key
        if size > LONGEST_CONTEXT or name_size == 0 or name[0] == 58:  # ":path" and the like are no metadata
            return
        try:
            key = PyBytes_FromStringAndSize(<const char *> name, name_size)
            if self._every:
                if stream.context is not NULL and len(<dict> stream.context) >= self._every:
                    return
                wanted = key.decode("latin-1")
            else:
                wanted = self._wanted.get(key)
            if wanted is None:
                return
            if stream.context is NULL:
                made = {}
                Py_INCREF(made)
                stream.context = <PyObject *> made
            (<dict> stream.context).setdefault(
                wanted, PyBytes_FromStringAndSize(<const char *> value, size).decode("latin-1"))
        except BaseException:
            return

    cdef int _headers_complete(self, Stream *stream) noexcept:
        if not stream.seen & GRPC or not stream.seen & POST:
            stream.foreign = True  # answered when it has ended, as HTTP servers do
            return 0
        if stream.metadata > self._most_metadata:
            return self._refuse(stream, _METADATA, 0)
        if not stream.seen & OUR_PATH:
            return self._refuse(stream, _PATH, 0)
        if stream.encoding == _UNKNOWN:
            return self._refuse(stream, _ENCODING, 0)
        if not self._reserve(stream, self._overhead):
            return self._refuse(stream, _OVERLOADED, 0)
        return 0

    cdef int _begin_message(self, Stream *stream) noexcept:
        cdef Py_ssize_t size = (<uint32_t> stream.prefix[1] << 24 | <uint32_t> stream.prefix[2] << 16
                                | <uint32_t> stream.prefix[3] << 8 | <uint32_t> stream.prefix[4])
        stream.compressed = stream.prefix[0]
        if stream.compressed > 1 or stream.compressed and stream.encoding == _IDENTITY:
            return self._refuse(stream, _FLAG, stream.compressed)
        if size > self._most:
            return self._refuse(stream, _TOO_LARGE, size)
        stream.size, stream.capacity, stream.filled = size, min(size, <Py_ssize_t> FIRST_PIECE), 0
        stream.whole = size == 0
        if not self._reserve(stream, stream.capacity):
            return self._refuse(stream, _OVERLOADED, 0)
        try:
            stream.body = new_bytes(NULL, stream.capacity)
        except BaseException:
            return self._refuse(stream, _OVERLOADED, 0)
        return 0

    cdef int _make_room(self, Stream *stream, Py_ssize_t more) noexcept:
        """Let `more` bytes fit: twice the room each time, so that an announcement alone takes little."""
        cdef Py_ssize_t capacity = stream.capacity
        if stream.filled + more <= capacity:
            return 0
        while capacity < stream.filled + more:
            capacity *= 2
        capacity = min(capacity, stream.size)
        if not self._reserve(stream, capacity - stream.capacity):
            return self._refuse(stream, _OVERLOADED, 0)
        try:
            _PyBytes_Resize(&stream.body, capacity)  # on failure the old bytes are gone and the pointer is NULL
        except BaseException:
            return self._refuse(stream, _OVERLOADED, 0)
        stream.capacity = capacity
        return 0

    cdef int _take_data(self, Stream *stream, const uint8_t *data, size_t size) noexcept:
        cdef size_t part
        cdef int code
        while size and stream.state == READING:
            if stream.whole:
                return self._refuse(stream, _COUNT, 2)
            if stream.prefix_filled < 5:
                part = min(size, <size_t> (5 - stream.prefix_filled))
                memcpy(&stream.prefix[stream.prefix_filled], data, part)
                stream.prefix_filled += <uint8_t> part
                code = self._begin_message(stream) if stream.prefix_filled == 5 else 0
            else:
                part = min(size, <size_t> (stream.size - stream.filled))
                code = self._make_room(stream, part)
                if code == 0 and stream.state == READING:
                    memcpy(PyBytes_AS_STRING(<object> stream.body) + stream.filled, data, part)
                    stream.filled += part
                    stream.whole = stream.filled == stream.size
            if code != 0:
                return code
            data, size = data + part, size - part
        return 0

    cdef int _ended(self, Stream *stream) noexcept:
        """The client has sent everything: a message is finished, or never will be."""
        cdef PyObject *body
        stream.ended = True
        if stream.state != READING:
            return 0
        if stream.foreign:
            return self._refuse(stream, _NOT_GRPC, 0)
        if stream.deadline != 0 and stream.deadline <= self._now:
            return self._refuse(stream, _DEADLINE, 0)
        if not stream.whole:
            if stream.prefix_filled == 0:
                return self._refuse(stream, _COUNT, 0)
            return self._refuse(stream, _CUT_OFF, stream.filled)
        try:
            self.ready.append((stream.number, <object> stream.body, stream.held,
                               stream.encoding if stream.compressed else _IDENTITY))
        except BaseException:
            return NGHTTP2_ERR_CALLBACK_FAILURE
        body, stream.body = stream.body, NULL
        Py_XDECREF(body)
        self._held -= stream.held
        stream.held = 0  # whoever takes it from `ready` gives it back
        stream.state, stream.since = TAKEN, self._now
        self._credit = min(self._credit + EARNED, <Py_ssize_t> CREDIT)
        return 0


cdef void _unlink(Session self, Stream *stream) noexcept:
    """Forget a stream and free all that it owns."""
    if stream.before is NULL:
        self._first = stream.after
    else:
        stream.before.after = stream.after
    if stream.after is NULL:
        self._last = stream.before
    else:
        stream.after.before = stream.before
    self.streams -= 1
    self._held -= stream.held
    self._owed += stream.held
    Py_XDECREF(stream.body)
    Py_XDECREF(stream.context)
    Py_XDECREF(stream.answer)
    free(stream)


include "callbacks.pxi"
