"""Cutting one request into smaller ones: for the log, and for a backend that calls it too large. Off the hot path.

Each piece is a valid ExportTraceServiceRequest: its spans keep their scope and their resource, with schema URLs and
unknown fields, which are repeated in every piece that needs them. Spans keep their order. Pieces are made one by one,
as they are asked for, and spans are found without being copied: besides the request there is one piece in memory, and
eight bytes for each span of one scope.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field

from tracekeeper_sidecar.wire.varint import decode, delimited, fields

NO_LIMIT = 1 << 40
"""As `max_spans` or `max_bytes`: as many as there are."""
_HEADER = 6
"""Bytes that a tag of one byte and a length of up to five take at most."""


@dataclass(frozen=True, slots=True)
class _Scope:
    """What surrounds a span."""

    resource: bytes
    """The fields of its ResourceSpans, without the scope_spans."""
    scope: bytes
    """The fields of its ScopeSpans, without the spans."""
    resource_at: int
    """Where its ResourceSpans starts in the request: tells equal ones apart."""


@dataclass(slots=True)
class _Group:
    """Spans of one scope in a piece, as runs of bytes in the request: start, end, start, end, …"""

    scope: _Scope
    runs: list[int]


@dataclass(slots=True)
class _Piece:
    """A request under construction: spans in the order they came, grouped by what surrounds them."""

    groups: list[_Group] = field(default_factory=list)
    spans: int = 0
    size: int = 0
    """Bytes that it will have, at most."""

    def cost(self, scope: _Scope, span: int) -> int:
        """Bytes that a span of `span` bytes adds, at most."""
        if self.groups and self.groups[-1].scope is scope:
            return span
        shared = bool(self.groups) and self.groups[-1].scope.resource_at == scope.resource_at
        around = _HEADER + len(scope.scope)
        return span + around + (0 if shared else _HEADER + len(scope.resource))

    def add(self, scope: _Scope, start: int, end: int, cost: int) -> None:
        self.size += cost
        self.spans += 1
        if not self.groups or self.groups[-1].scope is not scope:
            self.groups.append(_Group(scope, [start, end]))
            return
        runs = self.groups[-1].runs
        if runs[-1] == start:
            runs[-1] = end
        else:
            runs += (start, end)

    def serialise(self, body: bytes) -> bytes:
        out = []
        index = 0
        while index < len(self.groups):
            first = self.groups[index].scope
            content = [first.resource]
            while index < len(self.groups) and self.groups[index].scope.resource_at == first.resource_at:
                group = self.groups[index]
                runs = zip(group.runs[::2], group.runs[1::2], strict=True)
                content.append(delimited(2, group.scope.scope + b"".join(body[start:end] for start, end in runs)))
                index += 1
            out.append(delimited(1, b"".join(content)))
        return b"".join(out)


def cut(body: bytes, max_spans: int, max_bytes: int) -> Iterator[tuple[bytes, int]]:
    """Cut a valid request into requests of at most `max_spans` spans and `max_bytes` bytes; yields (request, spans).

    A request within both limits comes back as it is, and a single span beyond `max_bytes` comes out alone. Raises
    ValueError when the body is not protobuf, which cannot happen to what the scanner has let pass.
    """
    whole = len(body) <= max_bytes
    # No part of a request is larger than it.
    for piece, last in _pieces(body, max_spans, NO_LIMIT if whole else max_bytes):
        if whole and last:
            yield body, piece.spans
            return
        whole = False
        yield piece.serialise(body), piece.spans


def measure(body: bytes, max_spans: int, max_bytes: int) -> tuple[int, int]:
    """What `cut` would give, at most: bytes in all pieces together, and bytes of the largest. Raises as `cut` does."""
    total = largest = 0
    for piece, _ in _pieces(body, max_spans, max_bytes):
        total += piece.size
        largest = max(largest, piece.size)
    return total, largest


def _pieces(body: bytes, max_spans: int, max_bytes: int) -> Iterator[tuple[_Piece, bool]]:
    """Each piece, and whether it is the last."""
    piece = _Piece()
    for scope, bounds in _scopes(body):
        for index in range(0, len(bounds), 2):
            start, end = bounds[index], bounds[index + 1]
            cost = piece.cost(scope, end - start)
            if piece.spans and (piece.spans >= max_spans or piece.size + cost > max_bytes):
                yield piece, False
                piece = _Piece()
                cost = piece.cost(scope, end - start)
            piece.add(scope, start, end, cost)
    if piece.spans:
        yield piece, True


def _scopes(body: bytes) -> Iterator[tuple[_Scope, array[int]]]:
    """Each scope with the bounds of its spans, tag and all: start, end, start, end, …"""
    for outer in fields(body, 0, len(body)):
        if outer.number != 1:
            continue
        resource, scopes = _split(body, outer.value, outer.end)
        for index in range(0, len(scopes), 2):
            inner = next(fields(body, scopes[index], scopes[index + 1]))
            scope, spans = _split(body, inner.value, inner.end)
            yield _Scope(resource, scope, outer.start), spans


def _split(body: bytes, pos: int, end: int) -> tuple[bytes, array[int]]:
    """The message at [pos, end) less its field 2, and where each field 2 is: the scope_spans of a ResourceSpans, the
    spans of a ScopeSpans."""
    others: list[bytes] = []
    bounds = array("I")
    while pos < end:
        start = pos
        if body[pos] == 0x12:  # Field 2, length-delimited: nearly all there is.
            length, value = decode(body, pos + 1, end)
            pos = value + length
            if pos > end:
                raise ValueError(f"field cut off at byte {start}")
            bounds.append(start)
            bounds.append(pos)
            continue
        other = next(fields(body, pos, end))
        pos = other.end
        if other.number == 2:
            bounds.append(start)
            bounds.append(pos)
        else:
            others.append(body[start:pos])
    return b"".join(others), bounds
