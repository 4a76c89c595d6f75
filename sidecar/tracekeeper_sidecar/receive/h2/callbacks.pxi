# What libnghttp2 calls while `Session.feed` and `Session.pull` are at work; part of session.pyx. Each gets the session as
# a borrowed pointer, asks the library for the stream's struct, and never raises: see the head of session.pyx.

cdef int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user_data) noexcept:
    cdef Session self = <Session> user_data
    cdef Stream *stream
    if frame.hd.type != NGHTTP2_HEADERS or frame.headers.cat != NGHTTP2_HCAT_REQUEST:
        return 0
    stream = <Stream *> calloc(1, sizeof(Stream))
    if stream is NULL:
        return NGHTTP2_ERR_CALLBACK_FAILURE
    stream.number, stream.since, stream.state = frame.hd.stream_id, self._now, READING
    if nghttp2_session_set_stream_user_data(session, stream.number, stream) != 0:
        free(stream)
        return NGHTTP2_ERR_CALLBACK_FAILURE
    stream.before = self._last
    if self._last is NULL:
        self._first = stream
    else:
        self._last.after = stream
    self._last = stream
    self.streams += 1
    return 0


cdef int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_size,
                   const uint8_t *value, size_t size, uint8_t flags, void *user_data) noexcept:
    cdef Session self = <Session> user_data
    cdef Stream *stream = <Stream *> nghttp2_session_get_stream_user_data(session, frame.hd.stream_id)
    if stream is NULL:
        return 0
    stream.metadata += name_size + size + 32
    if stream.metadata > 4 * self._most_metadata:
        self._credit = -1  # a bomb: the connection ends as soon as the library is off the stack
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE
    if frame.headers.cat == NGHTTP2_HCAT_REQUEST:
        note_header(stream, self._now, name, name_size, value, size)
        if self._wanted is not None:
            self._note(stream, name, name_size, value, size)
    return 0


cdef int on_data(nghttp2_session *session, uint8_t flags, int32_t number, const uint8_t *data, size_t size,
                 void *user_data) noexcept:
    cdef Session self = <Session> user_data
    cdef Stream *stream = <Stream *> nghttp2_session_get_stream_user_data(session, number)
    if stream is NULL or stream.state != READING or stream.foreign:
        return 0  # of a call that is refused: dropped as it comes
    return self._take_data(stream, data, size)


cdef int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *user_data) noexcept:
    cdef Session self = <Session> user_data
    cdef Stream *stream
    cdef int code = 0
    cdef int kind = frame.hd.type
    if kind == NGHTTP2_DATA or kind == NGHTTP2_HEADERS:
        stream = <Stream *> nghttp2_session_get_stream_user_data(session, frame.hd.stream_id)
        if kind == NGHTTP2_DATA and frame.hd.length == 0:
            self._credit -= 1
        if stream is NULL:
            return 0
        if kind == NGHTTP2_HEADERS and frame.headers.cat == NGHTTP2_HCAT_REQUEST:
            code = self._headers_complete(stream)
        if code == 0 and frame.hd.flags & NGHTTP2_FLAG_END_STREAM:
            code = self._ended(stream)
        return code
    # Frames that carry nothing: a client may send some for each message, but not for ever without any.
    self._credit -= 10 if kind == NGHTTP2_RST_STREAM else 1
    if kind == NGHTTP2_SETTINGS:
        self.greeted = True
    elif kind == NGHTTP2_PING and frame.hd.flags & NGHTTP2_FLAG_ACK:
        self.pongs += 1
    return 0


cdef int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *user_data) noexcept:
    cdef Stream *stream
    if not frame.hd.flags & NGHTTP2_FLAG_END_STREAM or frame.hd.type != NGHTTP2_HEADERS and frame.hd.type != NGHTTP2_DATA:
        return 0
    stream = <Stream *> nghttp2_session_get_stream_user_data(session, frame.hd.stream_id)
    if stream is NULL or stream.ended:
        return 0
    # Behind the answer it asks a client who is still sending to stop (RFC 9113, section 8.1). Submitted together with
    # the answer, it would take its place.
    if nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame.hd.stream_id, NGHTTP2_NO_ERROR) != 0:
        return NGHTTP2_ERR_CALLBACK_FAILURE
    return 0


cdef int on_stream_close(nghttp2_session *session, int32_t number, uint32_t error_code, void *user_data) noexcept:
    cdef Session self = <Session> user_data
    cdef Stream *stream = <Stream *> nghttp2_session_get_stream_user_data(session, number)
    if stream is not NULL:
        nghttp2_session_set_stream_user_data(session, number, NULL)
        _unlink(self, stream)
    return 0


cdef ssize_t read_answer(nghttp2_session *session, int32_t number, uint8_t *buffer, size_t room,
                         uint32_t *data_flags, nghttp2_data_source *source, void *user_data) noexcept:
    cdef Stream *stream = <Stream *> nghttp2_session_get_stream_user_data(session, number)
    cdef Py_ssize_t part, size
    if stream is NULL or stream.answer is NULL:
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE
    size = PyBytes_GET_SIZE(<object> stream.answer)
    part = min(<Py_ssize_t> room, size - stream.sent)
    memcpy(buffer, PyBytes_AS_STRING(<object> stream.answer) + stream.sent, part)
    stream.sent += part
    if stream.sent == size:
        data_flags[0] |= NGHTTP2_DATA_FLAG_EOF
        if stream.trailers:
            data_flags[0] |= NGHTTP2_DATA_FLAG_NO_END_STREAM
            if nghttp2_submit_trailer(session, number, _TRAILERS, 1) != 0:
                return NGHTTP2_ERR_CALLBACK_FAILURE
    return part
