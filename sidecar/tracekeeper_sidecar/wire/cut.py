"""Cutting one request into smaller ones, for a backend that calls it too large. Off the hot path, so plain Python.

Each piece is a valid ExportTraceServiceRequest: its spans keep their scope and their resource, with schema URLs and
unknown fields, which are repeated in every piece that needs them. Spans keep their order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tracekeeper_sidecar.wire.varint import delimited, fields

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
class _Piece:
    """A request under construction: spans in the order they came, grouped by what surrounds them."""

    groups: list[tuple[_Scope, list[bytes]]] = field(default_factory=list)
    spans: int = 0
    size: int = 0

    def cost(self, scope: _Scope, span: bytes) -> int:
        """Bytes that the span adds, at most."""
        if self.groups and self.groups[-1][0] is scope:
            return len(span)
        shared = bool(self.groups) and self.groups[-1][0].resource_at == scope.resource_at
        around = _HEADER + len(scope.scope)
        return len(span) + around + (0 if shared else _HEADER + len(scope.resource))

    def add(self, scope: _Scope, span: bytes) -> None:
        self.size += self.cost(scope, span)
        self.spans += 1
        if not self.groups or self.groups[-1][0] is not scope:
            self.groups.append((scope, []))
        self.groups[-1][1].append(span)

    def serialise(self) -> bytes:
        out = bytearray()
        index = 0
        while index < len(self.groups):
            first = self.groups[index][0]
            content = bytearray(first.resource)
            while index < len(self.groups) and self.groups[index][0].resource_at == first.resource_at:
                scope, spans = self.groups[index]
                content += delimited(2, scope.scope + b"".join(spans))
                index += 1
            out += delimited(1, bytes(content))
        return bytes(out)


def cut(body: bytes, max_spans: int, max_bytes: int) -> list[tuple[bytes, int]]:
    """Cut a valid request into requests of at most `max_spans` spans and `max_bytes` bytes; returns (request, spans).

    A request within both limits comes back as it is, and a single span beyond `max_bytes` comes out alone. Raises
    ValueError when the body is not protobuf, which cannot happen to what the scanner has let pass.
    """
    everything = list(_spans(body))
    if not everything:
        return []
    if len(everything) <= max_spans and len(body) <= max_bytes:
        return [(body, len(everything))]
    pieces = [_Piece()]
    for scope, span in everything:
        piece = pieces[-1]
        if piece.spans and (piece.spans >= max_spans or piece.size + piece.cost(scope, span) > max_bytes):
            piece = _Piece()
            pieces.append(piece)
        piece.add(scope, span)
    return [(piece.serialise(), piece.spans) for piece in pieces]


def _spans(body: bytes) -> Iterator[tuple[_Scope, bytes]]:
    """Each span, tag and all, with what surrounds it."""
    for outer in fields(body, 0, len(body)):
        if outer.number != 1:
            continue
        resource = _without(body, outer.value, outer.end)
        for inner in fields(body, outer.value, outer.end):
            if inner.number != 2:
                continue
            scope = _Scope(resource, _without(body, inner.value, inner.end), outer.start)
            for span in fields(body, inner.value, inner.end):
                if span.number == 2:
                    yield scope, body[span.start : span.end]


def _without(body: bytes, start: int, end: int) -> bytes:
    """The message at [start, end) less its field 2: scope_spans in a ResourceSpans, spans in a ScopeSpans."""
    return b"".join(body[one.start : one.end] for one in fields(body, start, end) if one.number != 2)
