# C types for normalize.py.
cimport cython

from tracekeeper_sidecar.wire cimport labels, native
from tracekeeper_sidecar.wire.normalize_repeats cimport Repeats
from tracekeeper_sidecar.wire.walker cimport Walker

cdef int _FOREIGN, _OPERATION, _INPUT, _OUTPUT, _PART, _TOOL, _RESPONSE, _BASIS, _DIALECT, _MESSAGES, _REPEATED
cdef int _TRANSLATE, _NUMBERS, _WORK_OUT, _NAME_KIND, _FLAT, _EVENTS
cdef int _KNOWN, _PLACES, _TURNS
cdef unsigned long long _LLM, _EMBEDDING, _STOP, _SAID, _USED, _ANSWERED, _MOST_TOKENS
cdef Py_ssize_t _PEEK

cdef class Work:
    cdef readonly Py_ssize_t resource, resource_end, scope, scope_end, span, span_end
    cdef readonly int why

cdef class Normalizer(Walker):
    cdef Repeats _repeats
    cdef object _judge
    cdef unsigned long long _seed
    cdef unsigned long long _marks[4096]
    cdef unsigned char _verdicts[4096]
    cdef int _learned, _once, _cut, _keys
    cdef Py_ssize_t _were[32]
    cdef int _sizes[32]
    cdef int _likely[32]
    cdef int _why, _foreign, _told, _parts, _is_tool, _odd, _flat, _operation, _names_messages, _event, _done, _strange
    cdef unsigned long long _kinds
    cdef Py_ssize_t _trace, _span_id, _parent, _response, _response_end
    cdef unsigned long long _inputs, _outputs, _start, _end
    cdef Py_ssize_t _resource, _resource_end, _scope, _scope_end


    @cython.locals(size=Py_ssize_t, pos=Py_ssize_t, stop=Py_ssize_t, found=list)
    cpdef list look(self, bytes body)

    cpdef list repeated(self, unsigned long long now)

    @cython.locals(pos=Py_ssize_t, stop=Py_ssize_t)
    cdef void _resource_spans(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end, list found) except *

    @cython.locals(pos=Py_ssize_t, stop=Py_ssize_t, span=Py_ssize_t)
    cdef void _scope_spans(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end, list found) except *

    @cython.locals(pos=Py_ssize_t, stop=Py_ssize_t)
    cdef void _own(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end) noexcept

    @cython.locals(pos=Py_ssize_t, stop=Py_ssize_t, tag=int, size=int, key=Py_ssize_t, key_end=Py_ssize_t, verdict=int, turn=int,
                   number=cython.ulonglong)
    cdef int _span(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end) except -1

    @cython.locals(was=Py_ssize_t, last=Py_ssize_t, pos=Py_ssize_t)
    cdef int _is_same(self, const unsigned char* data, Py_ssize_t key, int turn) noexcept

    @cython.locals(why=int)
    cdef void _reason(self) noexcept

    @cython.locals(answer=cython.ulonglong)
    cdef int _keep(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end) except -1

    @cython.locals(value=Py_ssize_t, value_end=Py_ssize_t, verdict=int)
    cdef int _attribute(self, const unsigned char* data, Py_ssize_t pos, Py_ssize_t end) except -1

    cdef void _note(self, const unsigned char* data, int verdict, Py_ssize_t value, Py_ssize_t end) noexcept

    cdef int _is_plain(self, const unsigned char* data, Py_ssize_t value, Py_ssize_t end) noexcept

    @cython.locals(size=Py_ssize_t)
    cdef void _name(self, const unsigned char* data, Py_ssize_t value, Py_ssize_t end) noexcept

    @cython.locals(pos=Py_ssize_t)
    cdef int _is_flat(self, const unsigned char* data, Py_ssize_t value, Py_ssize_t end) noexcept

    @cython.locals(stop=Py_ssize_t)
    cdef int _note_event(self, const unsigned char* data, Py_ssize_t pos, Py_ssize_t end) except -1

    @cython.locals(mark=cython.ulonglong, place=Py_ssize_t)
    cdef int _verdict_of(self, const unsigned char* data, Py_ssize_t key, Py_ssize_t end, int event) except -1

    @cython.locals(place=Py_ssize_t, text=bytes, verdict=int)
    cdef int _learn(self, const unsigned char* data, Py_ssize_t key, Py_ssize_t end, int event,
                    unsigned long long mark) except -1

    @cython.locals(place=Py_ssize_t)
    cdef void _forget(self) noexcept
