# C types for attributes.py.
cimport cython

from tracekeeper_sidecar.wire cimport native
from tracekeeper_sidecar.wire.match cimport Matcher
from tracekeeper_sidecar.wire.walker cimport Walker

ctypedef const unsigned char* Bytes

cdef int _NONE, _OF_SPAN, _OF_RESOURCE, _FOUND
cdef Py_ssize_t _HELD, _SLACK

cdef class Changes(Walker):
    cdef bytes _pool, _texts
    cdef tuple _values
    cdef bytearray _room
    cdef unsigned char* _out
    cdef Matcher _matcher
    cdef unsigned long long _field
    cdef int _of_resource, _tag
    cdef unsigned long long _key_sizes
    cdef Py_ssize_t _written, _run, _changed, _most, _keys, _moves, _sets
    cdef Py_ssize_t _key_at[192]
    cdef Py_ssize_t _key_size[192]
    cdef Py_ssize_t _found
    cdef Py_ssize_t _found_at[64]
    cdef Py_ssize_t _found_end[64]
    cdef Py_ssize_t _found_key[64]
    cdef Py_ssize_t _value_at[192]
    cdef Py_ssize_t _value_end[192]
    cdef int _deleted[192]
    cdef int _seen[192]
    cdef int _gone[192]
    cdef int _arrives[192]
    cdef int _from[32]
    cdef int _to[32]
    cdef int _goes[32]
    cdef int _set_key[32]
    cdef int _if_missing[32]
    cdef int _active[32]
    cdef Py_ssize_t _set_at[32]
    cdef Py_ssize_t _set_size[32]

    @cython.locals(size=Py_ssize_t, changed=Py_ssize_t, found=bytes)
    cpdef tuple run(self, bytes body, tuple values)

    @cython.locals(at=Py_ssize_t, index=Py_ssize_t)
    cdef void _take_values(self, tuple values) except *

    @cython.locals(room=bytearray)
    cdef void _allow(self, Py_ssize_t size) except *

    @cython.locals(pos=Py_ssize_t, stop=Py_ssize_t, begin=Py_ssize_t)
    cdef void _request(self, const unsigned char* data, Py_ssize_t end) except *

    @cython.locals(head=Py_ssize_t, value=Py_ssize_t, pos=Py_ssize_t, stop=Py_ssize_t, inner=Py_ssize_t,
                   size=Py_ssize_t, actual=Py_ssize_t, resources=int)
    cdef void _group(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end, int tag, int level) except *

    @cython.locals(begin=Py_ssize_t, stop=Py_ssize_t)
    cdef int _resource(self, const unsigned char* data, Py_ssize_t pos, Py_ssize_t end) except -1

    @cython.locals(added=Py_ssize_t, head=Py_ssize_t, value=Py_ssize_t, size=Py_ssize_t, actual=Py_ssize_t)
    cdef void _message(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end, int tag,
                       Py_ssize_t pos) except *

    @cython.locals(index=Py_ssize_t, stop=Py_ssize_t, begin=Py_ssize_t)
    cdef void _look(self, const unsigned char* data, Py_ssize_t pos, Py_ssize_t end) noexcept

    @cython.locals(index=Py_ssize_t, stop=Py_ssize_t)
    cdef void _note(self, const unsigned char* data, Py_ssize_t pos, Py_ssize_t end, Py_ssize_t tag) noexcept

    @cython.locals(key=Py_ssize_t, size=Py_ssize_t, stop=Py_ssize_t, index=Py_ssize_t)
    cdef Py_ssize_t _key(self, const unsigned char* data, Py_ssize_t pos, Py_ssize_t end) noexcept

    @cython.locals(other=Py_ssize_t, pool=Bytes, offset=Py_ssize_t)
    cdef int _is(self, const unsigned char* data, Py_ssize_t at, Py_ssize_t index, Py_ssize_t size) noexcept

    @cython.locals(added=Py_ssize_t, change=int, index=Py_ssize_t, source=Py_ssize_t, target=Py_ssize_t,
                   key=Py_ssize_t)
    cdef Py_ssize_t _decide(self) noexcept

    @cython.locals(run=Py_ssize_t, number=Py_ssize_t, index=Py_ssize_t, stop=Py_ssize_t, begin=Py_ssize_t)
    cdef void _leave_out(self, const unsigned char* data, Py_ssize_t pos, Py_ssize_t end) noexcept

    @cython.locals(pool=Bytes, texts=Bytes, index=Py_ssize_t, source=Py_ssize_t, key=Py_ssize_t, key_size=Py_ssize_t,
                   size=Py_ssize_t, total=Py_ssize_t, at=Py_ssize_t)
    cdef void _append(self, const unsigned char* data) noexcept
