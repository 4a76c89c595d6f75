# cython: annotation_typing=False, boundscheck=False, wraparound=False, initializedcheck=False, language_level=3
"""Puts other spans, resources and scopes into a request in place of those that it has; compiled with the types in
splice.pxd.

Only what is edited is looked into; the rest is copied as it is, in runs as long as they come, unknown fields too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tracekeeper_sidecar.wire.varint import encode
from tracekeeper_sidecar.wire.walker import Walker

Edit = tuple[int, int, "bytes | None"]
"""Where the content of a Span, Resource or InstrumentationScope begins and ends, without its tag and length, and what
comes in its place; None for nothing: the field goes."""

_REQUEST = 0
_RESOURCE_SPANS = 1
_SCOPE_SPANS = 2


class Place(NamedTuple):
    """Where a span is in a request, and what is around it: offsets of contents, -1 where there is none."""

    resource: int
    resource_end: int
    scope: int
    scope_end: int
    span: int
    span_end: int


def splice(body: bytes, edits: Sequence[Edit]) -> bytes:
    """The request with its `edits`, which ascend and do not overlap. The lengths around them are made right; a
    ScopeSpans or ResourceSpans that has lost all its spans goes, too.

    Raises:
        ValueError: An edit is at no such place.
    """
    if not edits:
        return body
    return Splicer(body, edits).run()


def places(body: bytes) -> list[Place]:
    """Where the spans of a request are that the scanner has accepted."""
    return Places(body).run()


class Splicer(Walker):
    """Makes one request of another. Use once."""

    def __init__(self, body: bytes, edits: Sequence[Edit]) -> None:
        Walker.__init__(self)
        self._body = body
        self._edits = list(edits)
        self._parts: list[bytes] = []
        self._next = 0
        """The edit that comes next, and where it is."""
        self._edit = self._edits[0][0]
        self._emptied = 0
        """Whether the group that was written last has lost its spans, and has no other."""

    def run(self) -> bytes:
        self._group(self._body, 0, len(self._body), _REQUEST)
        if self._next < len(self._edits):
            raise ValueError(f"nothing that can be edited begins at byte {self._edits[self._next][0]}")
        return b"".join(self._parts)

    def _group(self, data: bytes, begin: int, end: int, level: int) -> int:
        """Writes what is at [begin, end), and returns its new size."""
        size = 0
        run = begin
        pos = begin
        spans = lost = 0
        while pos < end:
            stop = self.next(data, pos, end)
            if stop < 0:
                break
            number = self.number
            value = self.value
            if self.wire != 2 or number > 2 or number == 0:
                pos = stop
                continue
            if level == _REQUEST and number == 2:
                pos = stop
                continue
            leads = (level == _REQUEST and number == 1) or (level == _RESOURCE_SPANS and number == 2)
            if level == _SCOPE_SPANS and number == 2:
                spans += 1
            # What is empty begins where it ends, and may be the last there is in its group.
            if (
                self._next >= len(self._edits)
                or self._edit > stop
                or (self._edit == stop and value < stop and not leads)
            ):
                if leads:
                    spans += 1
                pos = stop
                continue
            if not leads and self._edit != value:
                pos = stop
                continue
            tag = number << 3 | 2
            if run < pos:
                self._parts.append(self._body[run:pos])
                size += pos - run
            if leads:
                place = len(self._parts)
                self._parts.append(b"")
                inner = self._group(data, value, stop, level + 1)
                if self._emptied:
                    lost = 1
                    del self._parts[place:]
                else:
                    spans += 1
                    head = _head(tag, inner)
                    self._parts[place] = head
                    size += inner + len(head)
            else:
                edit = self._edits[self._next]
                if edit[1] != stop:
                    raise ValueError(f"what begins at byte {value} ends at byte {stop}, and not at {edit[1]}")
                content = edit[2]
                if content is None:
                    if level == _SCOPE_SPANS and number == 2:
                        spans -= 1
                        lost = 1
                else:
                    head = _head(tag, len(content))
                    self._parts.append(head)
                    self._parts.append(content)
                    size += len(head) + len(content)
                self._next += 1
                if self._next < len(self._edits):
                    self._edit = self._edits[self._next][0]
            run = pos = stop
        if run < end:
            self._parts.append(self._body[run:end])
            size += end - run
        self._emptied = lost and spans == 0
        return size


class Places(Walker):
    """Lists the spans of one request. Use once."""

    def __init__(self, body: bytes) -> None:
        Walker.__init__(self)
        self._body = body
        self._found: list[Place] = []

    def run(self) -> list[Place]:
        data, pos, end = self._body, 0, len(self._body)
        while pos < end:
            stop = self.next(data, pos, end)
            if stop < 0:
                break
            if self.number == 1 and self.wire == 2:
                self._resource_spans(data, self.value, stop)
            pos = stop
        return self._found

    def _resource_spans(self, data: bytes, begin: int, end: int) -> int:
        resource = self._own(data, begin, end)
        resource_end = self.value if resource >= 0 else -1
        pos = begin
        while pos < end:
            stop = self.next(data, pos, end)
            if stop < 0:
                break
            if self.number == 2 and self.wire == 2:
                self._scope_spans(data, self.value, stop, resource, resource_end)
            pos = stop
        return 0

    def _scope_spans(self, data: bytes, begin: int, end: int, resource: int, resource_end: int) -> int:
        scope = self._own(data, begin, end)
        scope_end = self.value if scope >= 0 else -1
        pos = begin
        while pos < end:
            stop = self.next(data, pos, end)
            if stop < 0:
                break
            if self.number == 2 and self.wire == 2:
                self._found.append(Place(resource, resource_end, scope, scope_end, self.value, stop))
            pos = stop
        return 0

    def _own(self, data: bytes, begin: int, end: int) -> int:
        """Where the content of field 1 of the message at [begin, end) begins; -1 if there is none. Its end is left in
        `value`. Of two, the last: that is the one that counts in protobuf as far as they differ."""
        found = -1
        last = -1
        pos = begin
        while pos < end:
            stop = self.next(data, pos, end)
            if stop < 0:
                break
            if self.number == 1 and self.wire == 2:
                found = self.value
                last = stop
            pos = stop
        self.value = last
        return found


def _head(tag: int, size: int) -> bytes:
    """The tag, which is one byte, and the length of what follows."""
    if size < 128:
        return bytes((tag, size))
    return bytes((tag,)) + encode(size)
