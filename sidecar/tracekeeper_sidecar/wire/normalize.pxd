# C types for normalize.py.
cimport cython

from tracekeeper_sidecar.wire cimport native
from tracekeeper_sidecar.wire.native cimport Halves, Words
from tracekeeper_sidecar.wire.normalize_usage cimport Usage
from tracekeeper_sidecar.wire.walker cimport Walker

cdef int _FOREIGN, _OPERATION, _INPUT, _OUTPUT, _PART, _TOOL, _RESPONSE, _BASIS, _DIALECT, _MESSAGES, _REPEATED
cdef int _TRANSLATE, _NUMBERS, _WORK_OUT, _NAME_KIND, _FLAT, _EVENTS
cdef int _LLM, _EMBEDDING, _STOP, _SAID, _USED, _ROUNDS, _WORDS, _KNOWN, _PLACES, _OWNED, _MILLISECOND
cdef unsigned long long _BOTH, _MOST_TOKENS, _ALL_64, _STIR, _STEP, _STRIDE, _OUTSIDE, _BESIDE, _OWNER, _LOW_32
cdef Py_ssize_t _PEEK, _BELOW, _ABOVE

cdef class Work:
    cdef readonly Py_ssize_t resource, resource_end, scope, scope_end, span, span_end
    cdef readonly int why

cdef class Normalizer(Walker):
    cdef readonly Usage usage
    cdef object _judge
    cdef unsigned long long _seed
    cdef unsigned long long _marks[4096]
    cdef unsigned char _verdicts[4096]
    cdef int _learned
    cdef bytearray _room, _places
    cdef Py_ssize_t _count
    cdef int _any, _why, _foreign, _told, _parts, _is_tool, _odd, _flat, _used, _operation, _names_messages, _event, _done, _strange
    cdef unsigned long long _kinds
    cdef Py_ssize_t _trace, _span_id, _parent, _response, _response_end
    cdef Py_ssize_t _answer, _answer_end
    cdef unsigned long long _start, _end
    cdef Py_ssize_t _resource, _resource_end, _scope, _scope_end

    cpdef take_over(self, Normalizer older)

    @cython.locals(size=Py_ssize_t, total=Py_ssize_t, pos=Py_ssize_t, stop=Py_ssize_t, found=list)
    cpdef list look(self, bytes body)

    cpdef list repeated(self, unsigned long long now)

    @cython.locals(pos=Py_ssize_t, stop=Py_ssize_t)
    cdef void _resource_spans(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end, list found) except *

    @cython.locals(pos=Py_ssize_t, stop=Py_ssize_t, span=Py_ssize_t)
    cdef void _scope_spans(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end, list found) except *

    @cython.locals(pos=Py_ssize_t, stop=Py_ssize_t)
    cdef void _own(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end) noexcept

    @cython.locals(pos=Py_ssize_t, stop=Py_ssize_t, tag=int, size=int, key=Py_ssize_t, key_end=Py_ssize_t, verdict=int,
                   number=cython.ulonglong)
    cdef void _span(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end) except *

    @cython.locals(why=int)
    cdef void _reason(self) except *

    @cython.locals(words=Words, at=Py_ssize_t, trace=cython.ulonglong)
    cdef void _keep(self, const unsigned char* data, Py_ssize_t begin, Py_ssize_t end) except *

    @cython.locals(key=Py_ssize_t, key_end=Py_ssize_t, value=Py_ssize_t, value_end=Py_ssize_t, stop=Py_ssize_t,
                   verdict=int)
    cdef void _attribute(self, const unsigned char* data, Py_ssize_t pos, Py_ssize_t end) except *

    cdef void _note(self, const unsigned char* data, int verdict, Py_ssize_t value, Py_ssize_t end) except *

    cdef int _is_plain(self, const unsigned char* data, Py_ssize_t value, Py_ssize_t end) noexcept

    @cython.locals(size=Py_ssize_t)
    cdef void _name(self, const unsigned char* data, Py_ssize_t value, Py_ssize_t end) noexcept

    @cython.locals(pos=Py_ssize_t)
    cdef int _is_flat(self, const unsigned char* data, Py_ssize_t value, Py_ssize_t end) noexcept

    @cython.locals(stop=Py_ssize_t)
    cdef void _note_event(self, const unsigned char* data, Py_ssize_t pos, Py_ssize_t end) except *

    @cython.locals(mark=cython.ulonglong, place=Py_ssize_t)
    cdef int _verdict_of(self, const unsigned char* data, Py_ssize_t key, Py_ssize_t end, int event) except -1

    @cython.locals(place=Py_ssize_t, text=bytes, verdict=int)
    cdef int _learn(self, const unsigned char* data, Py_ssize_t key, Py_ssize_t end, int event,
                    unsigned long long mark) except -1

    @cython.locals(place=Py_ssize_t)
    cdef void _forget(self) noexcept

    @cython.locals(mixed=cython.ulonglong, factor=cython.ulonglong, last=Py_ssize_t)
    cdef unsigned long long _hash(self, const unsigned char* data, Py_ssize_t pos, Py_ssize_t end) noexcept

    @cython.locals(words=Words, turn=int, news=int, place=Py_ssize_t, at=Py_ssize_t, above=cython.ulonglong,
                   kinds=cython.ulonglong, rises=cython.ulonglong)
    cdef void _spread(self) except *

    @cython.locals(words=Words, table=Halves, size=Py_ssize_t, place=Py_ssize_t, free=Py_ssize_t, at=Py_ssize_t,
                   mark=cython.ulonglong)
    cdef void _find_parents(self) except *

    @cython.locals(words=Words, found=list, place=Py_ssize_t, at=Py_ssize_t, kinds=cython.ulonglong,
                   alike=cython.ulonglong)
    cdef list _repeating(self)

    @cython.locals(owner=cython.ulonglong)
    cdef int _is_other(self, unsigned long long answer, unsigned long long span, unsigned long long start,
                       unsigned long long end) except -1

cdef unsigned long long _stirred(unsigned long long word) noexcept

@cython.locals(mark=cython.ulonglong)
cdef unsigned long long _marked(unsigned long long word) noexcept
