# cython: annotation_typing=False, boundscheck=False, wraparound=False, initializedcheck=False, language_level=3
"""Takes out of a request the spans for which one of several conditions holds; compiled with the types in drop.pxd.

Each span is shown to the conditions in their order, until one holds. What is kept keeps its order, its scope and its
resource, byte for byte; scopes and resources that have no span left go, too.
"""

from __future__ import annotations

from collections.abc import Sequence

from tracekeeper_sidecar.wire.match import Matcher
from tracekeeper_sidecar.wire.walker import Walker


class Drop(Walker):
    """Conditions that drop spans. For one thread at a time."""

    def __init__(self, matchers: Sequence[Matcher]) -> None:
        Walker.__init__(self)
        self._matchers = list(matchers)
        self._first = self._matchers[0]
        self._count = len(self._matchers)
        self._index = 0

    def run(self, body: bytes) -> tuple[bytes, int]:
        """The request with the spans for which no condition holds, and how many were taken out.

        When none was the request comes back as it is; when all were, it is empty. Raises ValueError when the body is
        not protobuf, which cannot happen to what the scanner has let pass.
        """
        size = len(body)
        total = self.count(body, size)
        if total < 0:
            raise ValueError("the body is not a request: a message in it is cut off")
        marks = bytearray(total + 1)
        kept = self._judge(body, size, marks, 0)
        if kept == total:
            return body, 0
        if kept == 0:
            return b"", total
        out = bytearray(size)
        written = self._first._write(body, size, marks, out)
        return bytes(memoryview(out)[:written]), total - kept

    def _judge(self, data: bytes, end: int, marks: bytearray, pos: int) -> int:
        """Marks the spans that are kept, and returns how many they are."""
        kept = 0
        self._index = 0
        while pos < end:
            stop = self.next(data, pos, end)
            if self.number == 1 and self.wire == 2:
                begin = self.value
                number = 0
                while number < self._count:
                    matcher = self._matchers[number]
                    matcher.enter(data, begin, stop)
                    number += 1
                kept += self._group(data, begin, stop, marks, 1)
            pos = stop
        return kept

    def _group(self, data: bytes, pos: int, end: int, marks: bytearray, level: int) -> int:
        """The same for ResourceSpans (level 1) and ScopeSpans (level 0)."""
        kept = 0
        while pos < end:
            stop = self.next(data, pos, end)
            if self.number == 2 and self.wire == 2:
                if level > 0:
                    kept += self._group(data, self.value, stop, marks, 0)
                else:
                    if not self._holds(data, self.value, stop):
                        marks[self._index] = 1
                        kept += 1
                    self._index += 1
            pos = stop
        return kept

    def _holds(self, data: bytes, begin: int, end: int) -> int:
        """Whether one of the conditions holds for the span at [begin, end)."""
        number = 0
        while number < self._count:
            matcher = self._matchers[number]
            if matcher.test(data, begin, end):
                return 1
            number += 1
        return 0
