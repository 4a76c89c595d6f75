# cython: annotation_typing=False, boundscheck=False, wraparound=False, language_level=3
"""One pass over a request's bytes: is it OTLP all the way down, how many spans does it hold, and what are they.

Nothing is decoded and no object is made per span. What is checked is all that a receiver further on may choke on, so
that nothing is ever acknowledged that no backend can take: lengths stay within their message, every known field has
its wire type, strings are UTF-8, messages nest at most `schema.MAX_DEPTH` deep, and each span has a trace id of 16 and
a span id of 8 bytes, not all zero. Whatever passes is parsed by the protobuf library too (a property test says so).
Unknown fields pass; groups do not, because proto3 has none. On the way it is noted which spans are requests, for the
meter, and whether one must not wait.

This file is compiled by Cython with the types in scan.pxd, and runs as it is where it was not compiled.
Failures travel as one negative number, 16 times the byte offset plus a code, and become words in `where.explain`.
"""

from __future__ import annotations

from tracekeeper_sidecar.wire import schema, where
from tracekeeper_sidecar.wire.meter import Sight

_PRIORITY = b"tracekeeper.priority"
_CRITICAL = b"critical"
_SERVER = 2
_CONSUMER = 5
_ERROR = 2
_MOST = 2**63 - 1
_LOW_32 = 0xFFFFFFFF

_RULES = schema.RULES
_DEPTH = schema.MAX_DEPTH
_SPAN = schema.NAMES.index("Span")
_ATTRIBUTE = schema.NAMES.index("KeyValue")
_STATUS = schema.NAMES.index("Status")

_TAG = where.TAG
_CUT_OFF = where.CUT_OFF
_WIRE_TYPE = where.WIRE_TYPE
_GROUP = where.GROUP
_UTF8 = where.UTF8
_TOO_DEEP = where.DEPTH
_TRACE_ID = where.TRACE_ID
_SPAN_ID = where.SPAN_ID
_PARENT_ID = where.PARENT_ID
_NO_TRACE_ID = where.NO_TRACE_ID
_NO_SPAN_ID = where.NO_SPAN_ID

# Wire types (0 varint, 1 eight bytes, 2 length-delimited, 5 four bytes) and the rules of `schema` (0 unknown, 1 varint,
# 2 eight bytes, 3 four bytes, 4 bytes, 5 string, 6 trace id, 7 span id, 8 parent id, from 16 on messages) stand below
# as numbers: named, they would be variables to the C compiler. A test compares them with `schema`.


def look(body: bytes) -> Sight:
    """What a serialised ExportTraceServiceRequest holds.

    Raises WireError naming the field, such as resource_spans[0].scope_spans[0].spans[3].trace_id, and its byte offset.
    """
    sight = Sight()
    result = _message(body, _RULES, 0, len(body), 0, _DEPTH, sight)
    if result < 0:
        result = -1 - result
        raise where.explain(body, result & 15, result >> 4)
    sight.spans = result
    return sight


def count_spans(body: bytes) -> int:
    """How many spans it holds; raises as `look` does."""
    return look(body).spans


def _failure(code: int, offset: int) -> int:
    return -1 - (offset * 16 + code)


def _message(data: bytes, rules: bytes, pos: int, end: int, kind: int, depth: int, sight: Sight) -> int:
    """Spans in the message at [pos, end), or a failure. `kind` is its index in `schema.NAMES`."""
    spans = 0
    if depth == 0:
        return _failure(_TOO_DEEP, pos)
    while pos < end:
        start = pos
        tag = data[pos]
        pos += 1
        if tag >= 128:
            packed = _long_varint(data, start, end)
            if packed < 0:
                return _failure(_TAG, start)
            tag = packed >> 4
            pos = start + (packed & 15)
        wire = tag & 7
        number = tag >> 3
        if number == 0:
            return _failure(_TAG, start)
        rule = 0
        if number < 32:
            rule = rules[kind * 32 + number]
        if wire != 2:
            pos = _scalar(data, pos, end, wire, rule)
            if pos < 0:
                return _failure(-pos, start)
            continue
        if pos >= end:
            return _failure(_CUT_OFF, start)
        length = data[pos]
        pos += 1
        if length >= 128:
            packed = _long_varint(data, pos - 1, end)
            if packed < 0:
                return _failure(_CUT_OFF, start)
            length = packed >> 4
            pos += (packed & 15) - 1
        if length > end - pos:
            return _failure(_CUT_OFF, start)
        if rule >= 16:
            if rule - 16 == _SPAN:
                inner = _span(data, rules, pos, pos + length, depth - 1, sight)
            else:
                inner = _message(data, rules, pos, pos + length, rule - 16, depth - 1, sight)
            if inner < 0:
                return inner
            spans += inner
        elif rule == 5:
            if not _utf8(data, pos, pos + length):
                return _failure(_UTF8, start)
        elif rule != 0 and rule != 4:
            return _failure(_WIRE_TYPE, start)
        pos += length
    return spans


def _span(data: bytes, rules: bytes, begin: int, end: int, depth: int, sight: Sight) -> int:
    """1 for the span at [begin, end), or a failure. Reads it as `_message` would, and notes what it is."""
    pos = begin
    seen = kind = error = flags = 0
    began = ended = -1
    root = 1
    if depth == 0:
        return _failure(_TOO_DEEP, begin)
    while pos < end:
        start = pos
        tag = data[pos]
        pos += 1
        if tag >= 128:
            packed = _long_varint(data, start, end)
            if packed < 0:
                return _failure(_TAG, start)
            tag = packed >> 4
            pos = start + (packed & 15)
        wire = tag & 7
        number = tag >> 3
        if number == 0:
            return _failure(_TAG, start)
        rule = 0
        if number < 32:
            rule = rules[_SPAN * 32 + number]
        if wire != 2:
            value = pos
            pos = _scalar(data, pos, end, wire, rule)
            if pos < 0:
                return _failure(-pos, start)
            if number == 7:
                began = value
            elif number == 8:
                ended = value
            elif number == 6:
                kind = _enumerated(data, value, pos)
            elif number == 16:
                flags = data[value + 1]
            continue
        if pos >= end:
            return _failure(_CUT_OFF, start)
        length = data[pos]
        pos += 1
        if length >= 128:
            packed = _long_varint(data, pos - 1, end)
            if packed < 0:
                return _failure(_CUT_OFF, start)
            length = packed >> 4
            pos += (packed & 15) - 1
        if length > end - pos:
            return _failure(_CUT_OFF, start)
        if rule >= 16:
            if rule - 16 != _ATTRIBUTE or not _plain(data, pos, pos + length):
                inner = _message(data, rules, pos, pos + length, rule - 16, depth - 1, sight)
                if inner < 0:
                    return inner
            if rule - 16 == _ATTRIBUTE:
                if not sight.critical and _is_critical(data, pos, pos + length):
                    sight.critical = True
            elif rule - 16 == _STATUS:
                error = _status(data, pos, pos + length, error)
        elif rule == 5:
            if not _utf8(data, pos, pos + length):
                return _failure(_UTF8, start)
        elif rule != 0 and rule != 4:
            code = _id(data, pos, length, rule)
            if code != 0:
                return _failure(code, start)
            if rule == 6:
                seen |= 1
            elif rule == 7:
                seen |= 2
            else:
                root = length == 0
        pos += length
    if seen != 3:
        if seen & 1:
            return _failure(_NO_SPAN_ID, begin)
        return _failure(_NO_TRACE_ID, begin)
    if root or kind == _SERVER or kind == _CONSUMER or flags & 3 == 3:
        sight.note(_nanoseconds(data, began, ended), error)
    return 1


def _plain(data: bytes, pos: int, end: int) -> int:
    """1 if the KeyValue at [pos, end) has the usual form: a key and a value, both short, with texts in ASCII. Then it
    is right; of others nothing is said."""
    if end - pos < 6 or end - pos > 127 or data[pos] != 10:
        return 0
    value = pos + 2 + data[pos + 1]
    if value > end - 4 or data[value] != 18 or data[value + 1] != end - value - 2:
        return 0
    kind = data[value + 2]
    if kind == 10:
        if data[value + 3] != end - value - 4:
            return 0
        return _ascii(data, pos, end)
    if kind == 24 or kind == 16:
        if _skip_varint(data, value + 3, end) != end:
            return 0
    elif kind != 33 or end - value != 11:
        return 0
    return _ascii(data, pos, value)


def _is_critical(data: bytes, pos: int, end: int) -> int:
    """Whether the KeyValue at [pos, end) is `tracekeeper.priority` with the text `critical`, written as every library
    does: the key first. What is looked at has been scanned."""
    if end - pos != 34 or data[pos] != 10 or data[pos + 1] != 20:
        return 0
    if data[pos + 22] != 18 or data[pos + 24] != 10 or data[pos + 25] != 8:
        return 0
    return _same(data, pos + 2, _PRIORITY, 20) and _same(data, pos + 26, _CRITICAL, 8)


def _same(data: bytes, pos: int, text: bytes, size: int) -> int:
    index = 0
    while index < size:
        if data[pos + index] != text[index]:
            return 0
        index += 1
    return 1


def _status(data: bytes, pos: int, end: int, error: int) -> int:
    """1 if the Status at [pos, end), which has been scanned, is an error; `error` if it does not say."""
    while pos < end:
        tag = data[pos]
        pos += 1
        if tag == 24:
            value = pos
            pos = _skip_varint(data, pos, end)
            error = _enumerated(data, value, pos) == _ERROR
        elif tag == 18:
            length = data[pos]
            pos += 1
            if length >= 128:
                packed = _long_varint(data, pos - 1, end)
                length = packed >> 4
                pos += (packed & 15) - 1
            pos += length
        else:
            return error  # A field that nobody writes, and whatever is behind it.
    return error


def _enumerated(data: bytes, pos: int, end: int) -> int:
    """The low 32 bits of the varint at [pos, end), as protobuf takes an enumeration."""
    value = 0
    shift = 0
    while pos < end and shift < 32:
        byte = data[pos]
        value |= (byte & 127) << shift
        shift += 7
        pos += 1
    return value & _LOW_32


def _nanoseconds(data: bytes, began: int, ended: int) -> int:
    """The time between those at two offsets; 0 where one is not there or they are the wrong way round."""
    if began < 0 or ended < 0:
        return 0
    begin = _fixed(data, began)
    finish = _fixed(data, ended)
    if begin == 0 or finish <= begin:
        return 0
    if finish - begin > _MOST:
        return _MOST
    return finish - begin


def _fixed(data: bytes, pos: int) -> int:
    value = 0
    shift = 0
    while shift < 64:
        byte = data[pos]
        value |= byte << shift
        pos += 1
        shift += 8
    return value


def _id(data: bytes, pos: int, length: int, rule: int) -> int:
    """0 when the value is the id that the rule says, else a code; rules 1 to 3 are never length-delimited."""
    if rule == 6:
        if length != 16 or _all_zero(data, pos, pos + length):
            return _TRACE_ID
    elif rule == 7:
        if length != 8 or _all_zero(data, pos, pos + length):
            return _SPAN_ID
    elif rule == 8:
        if length != 0 and length != 8:
            return _PARENT_ID
    else:
        return _WIRE_TYPE
    return 0


def _scalar(data: bytes, pos: int, end: int, wire: int, rule: int) -> int:
    """Offset after a varint, eight-byte or four-byte value that fits the rule, or a negative code."""
    if wire == 0:
        if rule > 1:
            return -_WIRE_TYPE
        pos = _skip_varint(data, pos, end)
        if pos < 0:
            return -_CUT_OFF
        return pos
    if wire == 1:
        if rule != 0 and rule != 2:
            return -_WIRE_TYPE
        pos += 8
    elif wire == 5:
        if rule != 0 and rule != 3:
            return -_WIRE_TYPE
        pos += 4
    else:
        return -_GROUP
    if pos > end:
        return -_CUT_OFF
    return pos


def _long_varint(data: bytes, pos: int, end: int) -> int:
    """Value times 16 plus bytes taken of the varint at `pos`, or -1: cut off, over five bytes, or over 32 bits."""
    value = 0
    taken = 0
    while taken < 5:
        if pos + taken >= end:
            return -1
        byte = data[pos + taken]
        value |= (byte & 127) << (7 * taken)
        taken += 1
        if byte < 128:
            if value >> 32 != 0:
                return -1
            return value * 16 + taken
    return -1


def _skip_varint(data: bytes, pos: int, end: int) -> int:
    """Offset after the varint at `pos`, or -1: cut off, over ten bytes, or over 64 bits."""
    taken = 0
    while taken < 10:
        if pos + taken >= end:
            return -1
        byte = data[pos + taken]
        taken += 1
        if byte < 128:
            if taken == 10 and byte > 1:
                return -1
            return pos + taken
    return -1


def _all_zero(data: bytes, pos: int, end: int) -> int:
    found = 0
    while pos < end:
        found |= data[pos]
        pos += 1
    if found == 0:
        return 1
    return 0


def _utf8(data: bytes, pos: int, end: int) -> int:
    """1 when [pos, end) is UTF-8 by RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF."""
    if _ascii(data, pos, end):
        return 1
    return _utf8_sequences(data, pos, end)


def _ascii(data: bytes, pos: int, end: int) -> int:
    high = 0
    while pos < end:  # Without a branch in it, so that the C compiler makes it 16 bytes at a time.
        high |= data[pos]
        pos += 1
    if high < 128:
        return 1
    return 0


def _utf8_sequences(data: bytes, pos: int, end: int) -> int:
    while pos < end:
        lead = data[pos]
        pos += 1
        if lead < 0x80:
            continue
        low = 0x80
        high = 0xBF
        if lead < 0xC2 or lead > 0xF4:
            return 0
        if lead < 0xE0:
            more = 1
        elif lead < 0xF0:
            more = 2
            if lead == 0xE0:
                low = 0xA0
            elif lead == 0xED:
                high = 0x9F
        else:
            more = 3
            if lead == 0xF0:
                low = 0x90
            elif lead == 0xF4:
                high = 0x8F
        if end - pos < more:
            return 0
        if data[pos] < low or data[pos] > high:
            return 0
        pos += 1
        while more > 1:
            if data[pos] & 0xC0 != 0x80:
                return 0
            pos += 1
            more -= 1
    return 1
