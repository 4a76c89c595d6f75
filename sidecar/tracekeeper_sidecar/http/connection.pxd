# C types for connection.py.
cimport cython

from tracekeeper_sidecar.http.exchange cimport Exchange
from tracekeeper_sidecar.http.head cimport Head

cdef class Connection:
    cdef object _server
    cdef object _transport
    cdef object _owed
    cdef Exchange _current
    cdef object _body
    cdef Py_ssize_t _left
    cdef object _chunks
    cdef object _room
    cdef bint _filling
    cdef bint _invited
    cdef bint _ended
    cdef bytes _rest
    cdef bint _held
    cdef bint _stalled
    cdef bint _lingering
    cdef bint _inside
    cdef bint _paused
    cdef public bint dirty
    cdef public double deadline
    cdef readonly str peer

    cpdef on_reply(self, Exchange exchange)
    cpdef hold(self)
    cpdef resume(self)

    @cython.locals(ends=bint, old=bint, out=list, exchange=Exchange, head=Head)
    cpdef flush(self)

    cdef _run(self, view, data, Py_ssize_t size)

    @cython.locals(at=Py_ssize_t)
    cdef _advance(self, view, data, Py_ssize_t size)

    @cython.locals(end=Py_ssize_t, rest=bytes)
    cdef Py_ssize_t _read_head(self, view, data, Py_ssize_t at, Py_ssize_t size) except -1

    @cython.locals(exchange=Exchange)
    cdef _begin(self, Head head, bint more)

    cdef _invite(self)

    @cython.locals(left=Py_ssize_t, take=Py_ssize_t)
    cdef Py_ssize_t _read_body(self, view, Py_ssize_t at, Py_ssize_t size) except -1

    @cython.locals(stopped=Py_ssize_t, pieces=list)
    cdef Py_ssize_t _read_chunks(self, view, Py_ssize_t at, Py_ssize_t size) except -1

    cdef _complete(self)
    cdef _set_deadline(self)
    cdef _read_or_not(self)
    cdef _lose(self, object loss, str problem)

    @cython.locals(exchange=Exchange)
    cdef _refuse(self, int status, str problem)

    cdef _finish(self, bint clean)
