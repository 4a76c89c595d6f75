"""The syntax of patterns, and their non-deterministic machines over the bytes of UTF-8 (Thompson's construction).

Taken: characters, `.`, classes, `\\d \\w \\s` and their opposites, groups, `|`, `* + ?`, counts, `^` and `$` for
the begin and the end of the text, and `(?i)` at the start. Not taken: look-around and back references, which RE2 has
not either, word boundaries, and named classes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

Ranges = list[tuple[int, int]]
"""Of code points, both ends included."""

MAX_REPEAT = 100
MAX_NODES = 1500
MAX_DEPTH = 32
LAST = 0x10FFFF

_BEGIN, _END = -1, -2
_DIGIT: Ranges = [(0x30, 0x39)]
_WORD: Ranges = [(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)]
_SPACE: Ranges = [(0x09, 0x0A), (0x0C, 0x0D), (0x20, 0x20)]
_SETS = {"d": _DIGIT, "w": _WORD, "s": _SPACE}
_CHARS = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v", "a": "\a"}
_COUNT = re.compile(r"\{([0-9]{1,4})(,?)([0-9]{0,4})\}")


class PatternError(ValueError):
    """A pattern that cannot be used: what is wrong, as the end of a sentence, and what to write instead."""

    def __init__(self, problem: str, hint: str = "") -> None:
        self.hint = hint
        super().__init__(problem)


class PatternTooLarge(PatternError):
    """A pattern that was given up on the way."""

    def __init__(self) -> None:
        super().__init__("is too large", "write it without counts such as {5,50}, or split it up")


class Machine:
    """States are numbers; edges lead on with a byte of a range, or without any."""

    def __init__(self) -> None:
        self._free: list[list[int]] = []
        """States that are reached without a byte."""
        self._conditions: list[int] = []
        """0, or _BEGIN or _END: where the free edges hold."""
        self._edges: list[list[tuple[int, int, int]]] = []
        """Lowest byte, highest byte, target."""
        self.start = 0
        self.accept = 0

    def state(self, condition: int = 0) -> int:
        if len(self._free) >= MAX_NODES:
            raise PatternTooLarge
        self._free.append([])
        self._edges.append([])
        self._conditions.append(condition)
        return len(self._free) - 1

    def free(self, source: int, target: int) -> None:
        self._free[source].append(target)

    def edge(self, source: int, low: int, high: int, target: int) -> None:
        self._edges[source].append((low, high, target))

    def ranges(self) -> Iterator[tuple[int, int]]:
        """The byte ranges of all edges."""
        for edges in self._edges:
            for low, high, _ in edges:
                yield low, high

    def closure(self, states: Iterable[int], at_begin: bool, at_end: bool = False) -> frozenset[int]:
        """What is reached from `states` without a byte."""
        found = set(states)
        waiting = list(found)
        while waiting:
            state = waiting.pop()
            condition = self._conditions[state]
            if (condition == _BEGIN and not at_begin) or (condition == _END and not at_end):
                continue
            for target in self._free[state]:
                if target not in found:
                    found.add(target)
                    waiting.append(target)
        return frozenset(found)

    def step(self, states: frozenset[int], byte: int) -> frozenset[int]:
        """What is reached from `states` with `byte`."""
        targets = {to for state in states for low, high, to in self._edges[state] if low <= byte <= high}
        return self.closure(targets, at_begin=False)


def machine(pattern: str) -> Machine:
    """The machine of `pattern`; raises PatternError."""
    return _Reader(pattern).read()


class _Reader:
    """Reads a pattern from left to right. Parts are pairs of states: where they begin and end."""

    def __init__(self, text: str) -> None:
        self._fold = text.startswith("(?i)")
        self._text = text[4:] if self._fold else text
        self._at = 0
        self._machine = Machine()

    def read(self) -> Machine:
        self._machine.start, self._machine.accept = self._choice(MAX_DEPTH)
        if self._at < len(self._text):
            raise PatternError("has a ) that closes nothing", r"write \) for the character")
        return self._machine

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self) -> str:
        char = self._peek()
        self._at += 1
        return char

    def _choice(self, depth: int) -> tuple[int, int]:
        if depth == 0:
            raise PatternError(f"is nested more than {MAX_DEPTH} deep")
        begin, end = self._sequence(depth)
        while self._peek() == "|":
            self._take()
            first, last = self._sequence(depth)
            fork = self._machine.state()
            join = self._machine.state()
            for source, target in ((fork, begin), (fork, first), (end, join), (last, join)):
                self._machine.free(source, target)
            begin, end = fork, join
        return begin, end

    def _sequence(self, depth: int) -> tuple[int, int]:
        begin = end = self._machine.state()
        while self._peek() not in ("", "|", ")"):
            first, last = self._repeated(depth)
            self._machine.free(end, first)
            end = last
        # A state of its own, so that nothing that is added behind changes what was read.
        last = self._machine.state()
        self._machine.free(end, last)
        return begin, last

    def _repeated(self, depth: int) -> tuple[int, int]:
        """An atom with what stands behind it: `*`, `+`, `?` or a count. A count reads the atom again each time."""
        at = self._at
        begin, end = self._atom(depth)
        low, high = self._count()
        if (low, high) == (1, 1):
            return begin, end
        behind, self._at = self._at, at
        parts = [(begin, end)]
        for _ in range(max(low, 1 if high < 0 else high) - 1):
            self._at = at
            parts.append(self._atom(depth))
        self._at = behind
        return self._joined(parts, low, high < 0)

    def _joined(self, parts: list[tuple[int, int]], low: int, endless: bool) -> tuple[int, int]:
        begin, last = self._machine.state(), self._machine.state()
        at = begin
        for number, (first, end) in enumerate(parts):
            self._machine.free(at, first)
            if number >= low:
                self._machine.free(at, last)
            at = self._machine.state()
            self._machine.free(end, at)
        self._machine.free(at, last)
        if endless:
            self._machine.free(at, parts[-1][0])
        return begin, last

    def _count(self) -> tuple[int, int]:
        """How often at least and at most (-1: without end); (1, 1) where nothing is said."""
        simple = {"*": (0, -1), "+": (1, -1), "?": (0, 1)}
        found = _COUNT.match(self._text, self._at)
        if self._peek() in simple and self._peek():
            low, high = simple[self._take()]
        elif found is not None:
            self._at = found.end()
            low = int(found.group(1))
            high = int(found.group(3)) if found.group(3) else (-1 if found.group(2) else low)
            if max(low, high) > MAX_REPEAT or (0 <= high < low) or high == 0:
                raise PatternError(f"has the count {found.group()}", f"counts go from 1 to {MAX_REPEAT}")
        else:
            return 1, 1
        if self._peek() == "?":
            self._take()  # Lazy: it makes no difference to whether something is found.
        if self._peek() and self._peek() in "*+?":
            raise PatternError(f"has {self._text[self._at - 1 : self._at + 1]}, one too many", "put it in brackets")
        return low, high

    def _atom(self, depth: int) -> tuple[int, int]:
        char = self._take()
        if char == "(":
            return self._group(depth)
        if char in "^$":
            return self._assertion(_BEGIN if char == "^" else _END)
        if char == "[":
            return self._set(self._class())
        if char == ".":
            return self._set([(0, 9), (11, LAST)])
        if char == "\\":
            return self._set(self._escape())
        if char in "*+?":
            raise PatternError(f"has a {char} with nothing before it", f"write \\{char} for the character")
        return self._set([(ord(char), ord(char))])

    def _assertion(self, condition: int) -> tuple[int, int]:
        begin, end = self._machine.state(condition), self._machine.state()
        self._machine.free(begin, end)
        return begin, end

    def _group(self, depth: int) -> tuple[int, int]:
        if self._peek() == "?":
            found = re.compile(r"\?(?::|P?<[A-Za-z_][A-Za-z0-9_]*>)").match(self._text, self._at)
            if found is None:
                raise PatternError(f"has ({self._text[self._at : self._at + 2]}, which is not known", "(?i) goes first")
            self._at = found.end()
        inner = self._choice(depth - 1)
        if self._take() != ")":
            raise PatternError("has a ( that is never closed", r"write \( for the character")
        return inner

    def _escape(self) -> Ranges:
        char = self._take()
        if not char:
            raise PatternError("ends with a backslash", r"write \\ for the character")
        if char.lower() in _SETS:
            ranges = _SETS[char.lower()]
            return _opposite(ranges) if char.isupper() else ranges
        if char in _CHARS:
            char = _CHARS[char]
        elif char == "x":
            char = self._hexadecimal()
        elif char.isalnum():
            raise PatternError(f"has \\{char}, which is not known")
        return [(ord(char), ord(char))]

    def _hexadecimal(self) -> str:
        found = re.compile(r"([0-9A-Fa-f]{2})|\{([0-9A-Fa-f]{1,6})\}").match(self._text, self._at)
        code = int(found.group(1) or found.group(2), 16) if found else LAST + 1
        if found is None or code > LAST:
            raise PatternError(r"has \x without a code", r"write \x41 or \x{1F642}")
        self._at = found.end()
        return chr(code)

    def _class(self) -> Ranges:
        negated = self._peek() == "^"
        if negated:
            self._take()
        ranges: Ranges = []
        first = True
        while first or self._peek() != "]":
            first = False
            if not self._peek():
                raise PatternError("has a [ that is never closed", r"write \[ for the character")
            if self._text.startswith("[:", self._at):
                raise PatternError("has a named class", r"write \d, \w, \s, or the range itself")
            ranges += self._class_item()
        self._take()
        ranges = self._folded(ranges)
        return _opposite(ranges) if negated else ranges

    def _class_item(self) -> Ranges:
        char = self._take()
        low = self._escape() if char == "\\" else [(ord(char), ord(char))]
        if self._peek() != "-" or self._text[self._at + 1 : self._at + 2] in ("", "]"):
            return low
        self._take()
        char = self._take()
        high = self._escape() if char == "\\" else [(ord(char), ord(char))]
        if len(low) != 1 or low[0][0] != low[0][1] or len(high) != 1 or high[0][0] < low[0][0]:
            raise PatternError("has a range whose ends are the wrong way round", r"write \- for the character")
        return [(low[0][0], high[0][0])]

    def _folded(self, ranges: Ranges) -> Ranges:
        if not self._fold:
            return ranges
        more: Ranges = []
        for low, high in ranges:
            for code in range(low, min(high, low + 500) + 1):
                other = chr(code).swapcase()
                if len(other) == 1 and ord(other) != code:
                    more.append((ord(other), ord(other)))
        return ranges + more

    def _set(self, ranges: Ranges) -> tuple[int, int]:
        """One character of `ranges`."""
        begin, end = self._machine.state(), self._machine.state()
        for low, high in _merged(self._folded(ranges)):
            for sequence in utf8(low, high):
                self._chain(begin, end, sequence)
        return begin, end

    def _chain(self, begin: int, end: int, sequence: list[tuple[int, int]]) -> None:
        at = begin
        for number, (low, high) in enumerate(sequence):
            target = end if number == len(sequence) - 1 else self._machine.state()
            self._machine.edge(at, low, high, target)
            at = target


def _merged(ranges: Ranges) -> Ranges:
    merged: Ranges = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], high))
        else:
            merged.append((low, high))
    return merged


def _opposite(ranges: Ranges) -> Ranges:
    found: Ranges = []
    at = 0
    for low, high in _merged(ranges):
        if low > at:
            found.append((at, low - 1))
        at = high + 1
    return [*found, (at, LAST)] if at <= LAST else found


def utf8(low: int, high: int) -> Iterator[list[tuple[int, int]]]:
    """Sequences of byte ranges that together are the UTF-8 of the code points from `low` to `high`."""
    for limit in (0x7F, 0x7FF, 0xFFFF):
        if low <= limit < high:
            yield from utf8(low, limit)
            yield from utf8(limit + 1, high)
            return
    if high <= 0x7F:
        yield [(low, high)]
        return
    for bits in (6, 12, 18):
        mask = (1 << bits) - 1
        if low >> bits == high >> bits:
            continue
        if low & mask:
            yield from utf8(low, low | mask)
            yield from utf8((low | mask) + 1, high)
            return
        if high & mask != mask:
            yield from utf8(low, (high & ~mask) - 1)
            yield from utf8(high & ~mask, high)
            return
    first, last = _encoded(low), _encoded(high)
    yield list(zip(first, last, strict=True))


def _encoded(code: int) -> bytes:
    """UTF-8 of a code point, of surrogates too, which are within ranges and never in texts."""
    return chr(code).encode("utf-8", "surrogatepass")
