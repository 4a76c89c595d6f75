# cython: annotation_typing=False, boundscheck=False, wraparound=False, initializedcheck=False, language_level=3
"""Runs a compiled condition over cells, whatever filled them; compiled with the types in program.pxd.

What the operations mean stands with `condition.code`. A comparison that cannot be made, because an attribute is missing
or of another kind, is false, whichever it is.
"""

from __future__ import annotations

from collections.abc import Sequence

from tracekeeper_sidecar.wire.walker import Walker
from tracekeeper_spec.condition.code import MAX_CELLS, STEP, Code, Kind, Op
from tracekeeper_spec.condition.names import KINDS, STATUSES, Place

_MISSING = int(Kind.MISSING)
_TRUTH = int(Kind.TRUTH)
_INTEGER = int(Kind.INTEGER)
_DECIMAL = int(Kind.DECIMAL)
_TEXT = int(Kind.TEXT)
_DURATION = int(Kind.DURATION)
_ARRAY = int(Kind.ARRAY)
_MAP = int(Kind.MAP)
_OTHER = int(Kind.OTHER)

_OP_TRUTH = int(Op.TRUTH)
_OP_EQUAL = int(Op.EQUAL)
_OP_UNEQUAL = int(Op.UNEQUAL)
_OP_LESS = int(Op.LESS)
_OP_AT_MOST = int(Op.AT_MOST)
_OP_AMONG = int(Op.AMONG)
_OP_HAS = int(Op.HAS)
_OP_WITHIN = int(Op.WITHIN)
_OP_STARTS = int(Op.STARTS)
_OP_ENDS = int(Op.ENDS)
_OP_CONTAINS = int(Op.CONTAINS)
_OP_MATCHES = int(Op.MATCHES)
_OP_SUM = int(Op.SUM)
_OP_DIFFERENCE = int(Op.DIFFERENCE)
_OP_SIZE = int(Op.SIZE)
_OP_NOT = int(Op.NOT)
_OP_IF_FALSE = int(Op.IF_FALSE)

_KINDS = len(KINDS)
_STATUSES = len(STATUSES)
_MOST = 2**63 - 1
_FRACTION = 0xFFFFFFFFFFFFF
_HIDDEN = 0x10000000000000
_INFINITE = float("inf")
_UNCOMPARABLE = 2


class Program(Walker):
    """A condition and its cells. For one thread at a time."""

    def __init__(self, code: Code) -> None:
        Walker.__init__(self)
        texts = [*KINDS, *STATUSES, *(slot.key for slot in code.slots)]
        texts += [str(constant.value) for constant in code.constants if constant.kind is Kind.TEXT]
        parts = [text.encode() for text in texts]
        begins = [sum(len(part) for part in parts[:index]) for index in range(len(parts))]
        self._pool = b"".join(parts)
        self._text_at = _padded(begins, 288)
        self._text_size = _padded([len(part) for part in parts], 288)
        self._steps = len(code.instructions) // STEP
        self._code = _padded(code.instructions, 2048)
        self._first_slot = len(code.constants)
        self._slots = len(code.slots)
        self._places = _padded([int(slot.place) for slot in code.slots], 256)
        self._span_keys = sum(slot.place == Place.SPAN_ATTRIBUTE for slot in code.slots)
        self._resource_keys = sum(slot.place == Place.RESOURCE_ATTRIBUTE for slot in code.slots)
        self._scratch = MAX_CELLS
        self._kinds = _padded([], 257)
        self._numbers = _padded([], 257)
        self._sizes = _padded([], 257)
        self._in_body = _padded([], 257)
        self._decimals = [0.0] * 257
        self._fill(code, len(KINDS) + len(STATUSES) + len(code.slots))
        self._take_patterns(code)

    def _fill(self, code: Code, text: int) -> None:
        """Sets the constants; `text` is the number of the first one's text."""
        for cell, constant in enumerate(code.constants):
            self._kinds[cell] = int(constant.kind)
            if constant.kind is Kind.TEXT:
                self._numbers[cell], self._sizes[cell] = self._text_at[text], self._text_size[text]
                text += 1
            elif constant.kind is Kind.DECIMAL:
                self._decimals[cell] = float(constant.value)
            else:
                self._numbers[cell] = int(constant.value)

    def _take_patterns(self, code: Code) -> None:
        tables, finals = b"", b""
        table_at, final_at = [], []
        for pattern in code.patterns:
            table_at.append(len(tables) // 2)
            final_at.append(len(finals))
            tables += b"".join(state.to_bytes(2, "little") for state in pattern.table)
            finals += pattern.final
        self._tables, self._finals = tables, finals
        self._table_at = _padded(table_at, 16)
        self._final_at = _padded(final_at, 16)
        self._width = _padded([pattern.classes for pattern in code.patterns], 16)
        self._classes = b"".join(pattern.byte_class for pattern in code.patterns)

    def _set_text(self, cell: int, begin: int, size: int, in_body: int) -> None:
        self._kinds[cell] = _TEXT
        self._numbers[cell] = begin
        self._sizes[cell] = size
        self._in_body[cell] = in_body

    def _set_word(self, cell: int, number: int, first: int, count: int) -> None:
        """The text for an enumeration's number; a number that OTLP does not have is like a missing attribute."""
        if number < count:
            self._set_text(cell, self._text_at[first + number], self._text_size[first + number], 0)
        else:
            self._kinds[cell] = _MISSING

    def _is_key(self, data: bytes, pos: int, size: int, slot: int) -> int:
        """Whether the `size` bytes at `pos` are the name of the attribute that slot number `slot` is for."""
        text = _KINDS + _STATUSES + slot
        if self._text_size[text] != size:
            return 0
        return _same(data, pos, self._pool, self._text_at[text], size)

    def _any(self, data: bytes, pos: int, end: int, cell: int) -> None:
        """Sets `cell` to the AnyValue at [pos, end)."""
        self._kinds[cell] = _OTHER
        while pos < end:
            stop = self.next(data, pos, end)
            if stop < 0:
                return
            number = self.number
            if self.wire == 2:
                if number == 1:
                    self._set_text(cell, self.value, stop - self.value, 1)
                elif number == 5 or number == 6 or number == 7:
                    self._set_text(cell, self.value, stop - self.value, 1)
                    self._kinds[cell] = _ARRAY
                    if number == 6:
                        self._kinds[cell] = _MAP
                    elif number == 7:
                        self._kinds[cell] = _OTHER
            elif self.wire == 0:
                if number == 2:
                    self._kinds[cell] = _TRUTH
                    self._numbers[cell] = self.read != 0
                elif number == 3:
                    self._kinds[cell] = _INTEGER
                    self._numbers[cell] = self.as_signed()
            elif self.wire == 1 and number == 4:
                self._kinds[cell] = _DECIMAL
                self._decimals[cell] = _decimal(self.as_fixed(data, self.value))
            pos = stop

    # Running the program.

    def _holds(self, data: bytes) -> int:
        """Whether the condition holds for what is in the slots."""
        flag = 0
        step = 0
        while step < self._steps:
            at = step * 4
            op = self._code[at]
            x = self._code[at + 1]
            y = self._code[at + 2]
            step += 1
            if op <= _OP_AT_MOST:
                flag = self._compare(data, op, x, y)
            elif op == _OP_NOT:
                flag = 1 - flag
            elif op >= _OP_IF_FALSE:
                if flag == (op - _OP_IF_FALSE):
                    step = x
            elif op == _OP_SUM or op == _OP_DIFFERENCE:
                self._add(x, y, self._code[at + 3], op == _OP_DIFFERENCE)
            elif op == _OP_SIZE:
                self._measure(data, x, self._code[at + 3])
            elif op == _OP_HAS:
                flag = self._kinds[x] != _MISSING
            elif op == _OP_AMONG:
                flag = self._among(data, x, y, self._code[at + 3])
            elif op == _OP_WITHIN:
                flag = self._within(data, x, y)
            else:
                flag = self._text_test(data, op, x, y)
        return flag

    def _compare(self, data: bytes, op: int, x: int, y: int) -> int:
        if op == _OP_TRUTH:
            return self._kinds[x] == _TRUTH and self._numbers[x] != 0
        order = self._order(data, x, y)
        if order == _UNCOMPARABLE:
            return 0
        if op == _OP_EQUAL:
            return order == 0
        if op == _OP_UNEQUAL:
            return order != 0
        if self._kinds[x] == _TRUTH:
            return 0
        if op == _OP_LESS:
            return order < 0
        return order <= 0

    def _order(self, data: bytes, x: int, y: int) -> int:
        """-1, 0 or 1 as x is less than, equal to or more than y, or _UNCOMPARABLE."""
        kind = self._kinds[x]
        other = self._kinds[y]
        if kind == _DECIMAL or other == _DECIMAL:
            if (kind != _DECIMAL and kind != _INTEGER) or (other != _DECIMAL and other != _INTEGER):
                return _UNCOMPARABLE
            left = self._as_decimal(x)
            right = self._as_decimal(y)
            if left < right:
                return -1
            if left > right:
                return 1
            if left == right:
                return 0
            return _UNCOMPARABLE
        if kind != other:
            return _UNCOMPARABLE
        if kind == _TEXT:
            return self._text_order(data, x, y)
        if kind == _INTEGER or kind == _DURATION or kind == _TRUTH:
            if self._numbers[x] < self._numbers[y]:
                return -1
            return self._numbers[x] > self._numbers[y]
        return _UNCOMPARABLE

    def _as_decimal(self, cell: int) -> float:
        if self._kinds[cell] == _DECIMAL:
            return self._decimals[cell]
        return self._numbers[cell] * 1.0

    def _text_order(self, data: bytes, x: int, y: int) -> int:
        left = data
        right = data
        if not self._in_body[x]:
            left = self._pool
        if not self._in_body[y]:
            right = self._pool
        begin = self._numbers[x]
        other = self._numbers[y]
        size = self._sizes[x]
        if self._sizes[y] < size:
            size = self._sizes[y]
        index = 0
        while index < size:
            if left[begin + index] != right[other + index]:
                if left[begin + index] < right[other + index]:
                    return -1
                return 1
            index += 1
        if self._sizes[x] == self._sizes[y]:
            return 0
        if self._sizes[x] < self._sizes[y]:
            return -1
        return 1

    def _among(self, data: bytes, x: int, first: int, count: int) -> int:
        cell = first
        while cell < first + count:
            if self._order(data, x, cell) == 0:
                return 1
            cell += 1
        return 0

    def _within(self, data: bytes, x: int, y: int) -> int:
        """Whether the array y holds x. Arrays come from the request, never from the condition."""
        if self._kinds[y] != _ARRAY:
            return 0
        pos = self._numbers[y]
        end = pos + self._sizes[y]
        while pos < end:
            stop = self.next(data, pos, end)
            if stop < 0:
                return 0
            if self.number == 1 and self.wire == 2:
                self._any(data, self.value, stop, self._scratch)
                if self._order(data, x, self._scratch) == 0:
                    return 1
            pos = stop
        return 0

    def _add(self, x: int, y: int, target: int, minus: int) -> None:
        """Sets `target` to x + y, or x - y; to nothing where there is no such number in 64 bits."""
        kind = self._kinds[x]
        other = self._kinds[y]
        self._kinds[target] = _MISSING
        if kind == _DECIMAL or other == _DECIMAL:
            if (kind != _DECIMAL and kind != _INTEGER) or (other != _DECIMAL and other != _INTEGER):
                return
            real = self._as_decimal(y)
            if minus:
                real = -real
            self._decimals[target] = self._as_decimal(x) + real
            self._kinds[target] = _DECIMAL
            return
        if kind != other or (kind != _INTEGER and kind != _DURATION):
            return
        left = self._numbers[x]
        right = self._numbers[y]
        if minus:
            if (right < 0 and left > _MOST + right) or (right > 0 and left < -_MOST - 1 + right):
                return
            self._numbers[target] = left - right
        else:
            if (right > 0 and left > _MOST - right) or (right < 0 and left < -_MOST - 1 - right):
                return
            self._numbers[target] = left + right
        self._kinds[target] = kind

    def _measure(self, data: bytes, x: int, target: int) -> None:
        """Sets `target` to the characters of a text, or the items of an array or map."""
        kind = self._kinds[x]
        self._kinds[target] = _MISSING
        count = 0
        text = data
        if not self._in_body[x]:
            text = self._pool
        pos = self._numbers[x]
        end = pos + self._sizes[x]
        if kind == _TEXT:
            while pos < end:
                if (text[pos] & 0xC0) != 0x80:
                    count += 1
                pos += 1
        elif kind == _ARRAY or kind == _MAP:
            while pos < end:
                stop = self.next(data, pos, end)
                if stop < 0:
                    return
                if self.number == 1 and self.wire == 2:
                    count += 1
                pos = stop
        else:
            return
        self._kinds[target] = _INTEGER
        self._numbers[target] = count

    def _text_test(self, data: bytes, op: int, x: int, y: int) -> int:
        if self._kinds[x] != _TEXT:
            return 0
        text = data
        if not self._in_body[x]:
            text = self._pool
        begin = self._numbers[x]
        size = self._sizes[x]
        if op == _OP_MATCHES:
            return self._found(text, begin, begin + size, y)
        if self._kinds[y] != _TEXT:
            return 0
        part = data
        if not self._in_body[y]:
            part = self._pool
        other = self._numbers[y]
        length = self._sizes[y]
        if length > size:
            return 0
        if op == _OP_STARTS:
            return _same(text, begin, part, other, length)
        if op == _OP_ENDS:
            return _same(text, begin + size - length, part, other, length)
        last = begin + size - length
        while begin <= last:
            if _same(text, begin, part, other, length):
                return 1
            begin += 1
        return 0

    def _found(self, text: bytes, pos: int, end: int, pattern: int) -> int:
        """Runs an automaton over the text; see condition.pattern."""
        table = self._table_at[pattern]
        final = self._final_at[pattern]
        width = self._width[pattern]
        finals = self._finals
        classes = self._classes
        tables = self._tables
        state = 0
        while pos < end:
            if finals[final + state] == 2:
                return 1
            byte = text[pos]
            entry = 2 * (table + state * width + classes[pattern * 256 + byte])
            state = tables[entry] | (tables[entry + 1] << 8)
            pos += 1
        return finals[final + state] != 0


def _same(left: bytes, at: int, right: bytes, other: int, size: int) -> int:
    index = 0
    while index < size:
        if left[at + index] != right[other + index]:
            return 0
        index += 1
    return 1


def _decimal(bits: int) -> float:
    """The number that 64 bits are by IEEE 754."""
    exponent = (bits >> 52) & 2047
    mantissa = bits & _FRACTION
    if exponent == 2047:
        result = _INFINITE
        if mantissa != 0:
            result = _INFINITE - _INFINITE
    elif exponent == 0:
        result = mantissa * 2.0**-1074
    else:
        shift = exponent - 1075
        result = (mantissa | _HIDDEN) * 2.0**shift
    if bits >> 63:
        result = -result
    return result


def _padded(values: Sequence[int], size: int) -> list[int]:
    """As many numbers as the array of C has, to which it goes."""
    return [*values, *[0] * (size - len(values))]
