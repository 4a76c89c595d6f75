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

from condition_oracle import STATUSES, Missing, SpanView, Time, any_value, check, path, span_field
from tracekeeper_spec.condition import tree
from tracekeeper_spec.condition.parser import Parser
from tracekeeper_spec.detect import Detector

Trace = Sequence[tuple[Span, Resource]]
"""Spans, in the order in which they came, each with what it comes from."""

DETECTORS = {detector.value for detector in Detector}
REMOTE = 0x300
"""Bits of a span's flags that say that its parent is known to be elsewhere."""


@dataclass(frozen=True)
class TraceView:
    trace: Trace

    @property
    def roots(self) -> Trace:
        """The spans without a parent, else the local roots; mostly one."""
        parentless = [one for one in self.trace if not one[0].parent_span_id]
        return parentless or [one for one in self.trace if local_root(one[0])]

    def pairs(self, scope: str) -> Iterable[KeyValue]:
        raise AssertionError(f"{scope} is not the trace")

    def field(self, scope: str, name: str) -> Any:
        assert scope == "trace"
        errors = sum(span.status.code == 2 for span, _ in self.trace)
        match name:
            case "spans":
                return len(self.trace)
            case "errors":
                return errors
            case "cost" | "tokens":
                spent = [found for span, _ in self.trace if (found := SPENT[name](span)) is not None]
                return sum(spent) if spent else Missing
            case "priority":
                return "critical" if any(critical(span) for span, _ in self.trace) else Missing
            case "detected":
                return any(
                    each.string_value in DETECTORS
                    for span, _ in self.trace
                    for pair in span.attributes
                    if pair.key == "tracekeeper.detected"
                    for each in pair.value.array_value.values
                )
            case "duration":
                begins = [span.start_time_unix_nano for span, _ in self.trace if span.start_time_unix_nano]
                end = max(span.end_time_unix_nano for span, _ in self.trace)
                return Time(min(max(end - min(begins), 0), 2**63 - 1)) if begins else Time(0)
        if not self.roots:
            return "error" if errors else "unset"
        codes = [span.status.code for span, _ in self.roots]
        return STATUSES[max(code if code < len(STATUSES) else 0 for code in codes)]


@dataclass(frozen=True)
class RootView:
    root: Span
    resource: Resource

    def pairs(self, scope: str) -> Iterable[KeyValue]:
        return self.root.attributes if scope == "trace.root" else self.resource.attributes

    def field(self, scope: str, name: str) -> Any:
        return span_field(name, self.root)


def local_root(span: Span) -> bool:
    """Whether a span with a parent is where its trace comes into this process."""
    return bool(span.flags & REMOTE == REMOTE) or span.kind in (Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CONSUMER)


def cost(span: Span) -> float | None:
    """Dollars of a call of a model; None where that is not known."""
    found = said(span).get("gen_ai.usage.cost")
    if not calls(span) or said(span).get("tracekeeper.cost.source") == "unknown" or isinstance(found, bool):
        return None
    return found if isinstance(found, (int, float)) and 0 <= found <= 1e6 else None


def tokens(span: Span) -> int | None:
    """Tokens of a call of a model; None where that is not known."""
    found = [said(span).get(f"gen_ai.usage.{name}_tokens") for name in ("input", "output")]
    known = [each for each in found if isinstance(each, int) and not isinstance(each, bool) and 0 <= each < 2**62]
    return sum(known) if calls(span) and known and max(known) <= 10**9 else None


SPENT = {"cost": cost, "tokens": tokens}


def calls(span: Span) -> bool:
    """Whether it calls a model."""
    operation = said(span).get("gen_ai.operation.name")
    chats = operation in ("chat", "text_completion", "generate_content", "embeddings")
    return chats and said(span).get("tracekeeper.usage.repeated") is not True


def said(span: Span) -> dict[str, Any]:
    """Its attributes; of two with one name the first."""
    return {pair.key: any_value(pair.value) for pair in reversed(span.attributes)}


def critical(span: Span) -> bool:
    first = next((pair.value for pair in span.attributes if pair.key == "tracekeeper.priority"), None)
    return first is not None and first.string_value == "critical"


def trace_holds(text: str, trace: Trace) -> bool:
    """Whether the condition `text` holds for `trace`."""
    return _holds(Parser(text).parse(), trace)


def _holds(node: tree.Node, trace: Trace) -> bool:
    if _of_spans(node):
        return _some(node, trace)
    if _of_roots(node):
        return any(check(node, RootView(*root)) for root in TraceView(trace).roots)
    if isinstance(node, tree.Unary) and node.sign == "!":
        return not _holds(node.operand, trace)
    if isinstance(node, tree.Binary) and node.sign in ("&&", "||"):
        links = list(_links(node.sign, node))
        groups = [[link for link in links if is_one(link)] for is_one in (_of_spans, _of_roots)]
        answers = [_holds(link, trace) for link in links if not _of_spans(link) and not _of_roots(link)]
        answers += [_holds(_joined(node.sign, group), trace) for group in groups if group]
        return all(answers) if node.sign == "&&" else any(answers)
    return check(node, TraceView(trace))


def _of_spans(node: tree.Node) -> bool:
    scopes = set(_scopes(node))
    return bool(scopes) and scopes <= {"span", "resource", "event"}


def _of_roots(node: tree.Node) -> bool:
    """Whether it speaks of the root alone, and has no `!` and nothing fixed in it: what can be asked of one root."""
    match node:
        case tree.Unary(sign="!"):
            return False
        case tree.Binary(sign="&&" | "||", left=left, right=right):
            return _of_roots(left) and _of_roots(right)
    return set(_scopes(node)) == {"trace.root"}


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
        yield "trace.root" if name.startswith("trace.root.") else name.partition(".")[0]
        return
    for part in fields(node):
        inner = getattr(node, part.name)
        for one in inner if isinstance(inner, tuple) else (inner,):
            if isinstance(one, tree.Node):
                yield from _scopes(one)
