"""Conditions about whole traces, the slow and plain way: with all spans of a trace at hand, straight from the tree.

Written from the reference page, like `condition_oracle`, which it goes on from.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from condition_oracle import STATUSES, Missing, SpanView, Time, check, path, span_field
from tracekeeper_spec.condition import tree
from tracekeeper_spec.condition.parser import Parser

Trace = Sequence[tuple[Span, Resource]]
"""Spans, in the order in which they came, each with what it comes from."""

REMOTE = 0x300
"""Bits of a span's flags that say that its parent is known to be elsewhere."""


@dataclass(frozen=True)
class TraceView:
    trace: Trace

    @property
    def root(self) -> tuple[Span, Resource] | None:
        """The first span without a parent, else the first local root."""
        parentless = [one for one in self.trace if not one[0].parent_span_id]
        entries = [one for one in self.trace if local_root(one[0])]
        return next(iter([*parentless, *entries]), None)

    def pairs(self, scope: str) -> Iterable[KeyValue]:
        if self.root is None:
            return ()
        return self.root[0].attributes if scope == "trace.root" else self.root[1].attributes

    def field(self, scope: str, name: str) -> Any:
        if scope == "trace.root":
            return span_field(name, self.root[0]) if self.root is not None else Missing
        errors = sum(span.status.code == 2 for span, _ in self.trace)
        match name:
            case "spans":
                return len(self.trace)
            case "errors":
                return errors
            case "priority":
                return "critical" if any(critical(span) for span, _ in self.trace) else Missing
            case "duration":
                begins = [span.start_time_unix_nano for span, _ in self.trace if span.start_time_unix_nano]
                end = max(span.end_time_unix_nano for span, _ in self.trace)
                return Time(min(max(end - min(begins), 0), 2**63 - 1)) if begins else Time(0)
        if self.root is None:
            return "error" if errors else "unset"
        code = self.root[0].status.code
        return STATUSES[code] if code < len(STATUSES) else Missing


def local_root(span: Span) -> bool:
    """Whether a span with a parent is where its trace comes into this process."""
    return bool(span.flags & REMOTE == REMOTE) or span.kind in (Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CONSUMER)


def critical(span: Span) -> bool:
    first = next((pair.value for pair in span.attributes if pair.key == "tracekeeper.priority"), None)
    return first is not None and first.string_value == "critical"


def trace_holds(text: str, trace: Trace) -> bool:
    """Whether the condition `text` holds for `trace`."""
    return _holds(Parser(text).parse(), trace)


def _holds(node: tree.Node, trace: Trace) -> bool:
    scopes = set(_scopes(node))
    if scopes and scopes <= {"span", "resource", "event"}:
        return _some(node, trace)
    if isinstance(node, tree.Unary) and node.sign == "!":
        return not _holds(node.operand, trace)
    if isinstance(node, tree.Binary) and node.sign in ("&&", "||"):
        links = list(_links(node.sign, node))
        together = [link for link in links if (of := set(_scopes(link))) and of <= {"span", "resource", "event"}]
        answers = [_holds(link, trace) for link in links if link not in together]
        answers += [_some(_joined(node.sign, together), trace)] if together else []
        return all(answers) if node.sign == "&&" else any(answers)
    return check(node, TraceView(trace))


def _some(node: tree.Node, trace: Trace) -> bool:
    """Whether some span is as `node` says."""
    if isinstance(node, tree.Unary) and node.sign == "!":
        return not _some(node.operand, trace)
    if isinstance(node, tree.Binary) and node.sign == "||":
        links = list(_links("||", node))
        return any(check(link, view) for link in links for span in trace for view in _views(link, span))
    return any(check(node, view) for span in trace for view in _views(node, span))


def _views(node: tree.Node, span: tuple[Span, Resource]) -> Iterator[SpanView]:
    if "event" in _scopes(node):
        yield from (SpanView(*span, event) for event in span[0].events)
    else:
        yield SpanView(*span)


def _links(sign: str, node: tree.Node) -> Iterator[tree.Node]:
    if isinstance(node, tree.Binary) and node.sign == sign:
        yield from _links(sign, node.left)
        yield from _links(sign, node.right)
    else:
        yield node


def _joined(sign: str, links: Sequence[tree.Node]) -> tree.Node:
    first, *rest = links
    for link in rest:
        first = tree.Binary(0, sign, first, link)
    return first


def _scopes(node: tree.Node) -> Iterator[str]:
    """The first words of all names in `node`, with `trace.root` for what is below it."""
    name = path(node)
    if name:
        yield name.partition(".")[0]
        return
    for part in fields(node):
        inner = getattr(node, part.name)
        for one in inner if isinstance(inner, tuple) else (inner,):
            if isinstance(one, tree.Node):
                yield from _scopes(one)
