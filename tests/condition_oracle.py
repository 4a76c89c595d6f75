"""Conditions once more, the slow and plain way: on spans that protobuf has parsed, straight from the tree.

What the evaluator of the sidecar does with bytes and cells is done here with Python's own values, and written from the
reference page, not from the evaluator.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tracekeeper_spec.condition import tree
from tracekeeper_spec.condition.parser import Parser

KINDS = ["unspecified", "internal", "server", "client", "producer", "consumer"]
STATUSES = ["unset", "ok", "error"]
SCOPES = ["span", "resource", "event", "trace.root", "trace.root.resource"]
"""Those that have attributes."""


class Missing:
    """An attribute that is not there, or a sum that has no number."""


class Other:
    """A value that is there, and that nothing compares with."""


class Time(int):
    """A duration, in nanoseconds."""


class View(Protocol):
    """What names mean. A scope is what stands before a name's last dot, such as `span` or `trace.root`."""

    def pairs(self, scope: str) -> Iterable[KeyValue]:
        """The attributes of `scope`."""
        ...

    def field(self, scope: str, name: str) -> Any:
        """The field `name` of `scope`."""
        ...


@dataclass(frozen=True)
class SpanView:
    span: Span
    resource: Resource
    event: Span.Event | None = None

    def pairs(self, scope: str) -> Iterable[KeyValue]:
        found = {"span": self.span, "resource": self.resource, "event": self.event}[scope]
        return found.attributes if found is not None else ()

    def field(self, scope: str, name: str) -> Any:
        if scope == "event":
            return self.event.name if self.event is not None else Missing
        return span_field(name, self.span)


def holds(text: str, span: Span, resource: Resource) -> bool:
    """Whether the condition `text` holds for `span`."""
    return check(Parser(text).parse(), SpanView(span, resource))


def kept(text: str, body: bytes) -> list[bytes]:
    """The ids of the spans in the request for which it holds."""
    message = ExportTraceServiceRequest.FromString(body)
    return [
        span.span_id
        for one in message.resource_spans
        for scope in one.scope_spans
        for span in scope.spans
        if holds(text, span, one.resource)
    ]


def check(node: tree.Node, view: View) -> bool:
    """Whether the condition `node` holds for what `view` shows."""
    match node:
        case tree.Binary(sign="&&"):
            return check(node.left, view) and check(node.right, view)
        case tree.Binary(sign="||"):
            return check(node.left, view) or check(node.right, view)
        case tree.Unary(sign="!"):
            return not check(node.operand, view)
        case tree.Binary(sign="in", right=tree.Items(items=items)):
            x = _value(node.left, view)
            return any(order(x, _value(item, view)) == 0 for item in items)
        case tree.Binary(sign="in", right=tree.Member(name="attributes", of=scope)) if path(scope) in SCOPES:
            assert isinstance(node.left, tree.Literal)
            return any(pair.key == node.left.value for pair in view.pairs(path(scope)))
        case tree.Binary(sign="in"):
            array = _value(node.right, view)
            x = _value(node.left, view)
            return isinstance(array, list) and any(order(x, item) == 0 for item in array)
        case tree.Binary():
            return compare(node.sign, _value(node.left, view), _value(node.right, view))
        case tree.Call() if node.name != "size":
            assert node.of is not None
            text, part = _value(node.of, view), _value(node.arguments[0], view)
            return isinstance(text, str) and isinstance(part, str) and text_test(node.name, text, part)
    return _value(node, view) is True


def text_test(name: str, text: str, part: str) -> bool:
    """What the function `name` of the language says."""
    match name:
        case "startsWith":
            return text.startswith(part)
        case "endsWith":
            return text.endswith(part)
        case "contains":
            return part in text
    return re.search(part.replace("$", r"\Z"), text, re.ASCII) is not None


def compare(sign: str, x: Any, y: Any) -> bool:
    """Whether `x sign y` holds."""
    found = order(x, y)
    if found is None or (isinstance(x, bool) and sign not in ("==", "!=")):
        return False
    return {"==": found == 0, "!=": found != 0, "<": found < 0, "<=": found <= 0, ">": found > 0, ">=": found >= 0}[
        sign
    ]


def order(x: Any, y: Any) -> int | None:
    """Less than, equal to or more than 0 as x is to y; None where they cannot be compared."""
    for kind in (bool, Time, str):
        both: Any = (x, y)
        if any(isinstance(value, kind) for value in both):
            return (both[0] > both[1]) - (both[0] < both[1]) if all(isinstance(v, kind) for v in both) else None
    if not isinstance(x, (int, float)) or not isinstance(y, (int, float)):
        return None
    if isinstance(x, float) or isinstance(y, float):
        x, y = float(x), float(y)
    return None if math.isnan(x) or math.isnan(y) else (x > y) - (x < y)


def _value(node: tree.Node, view: View) -> Any:
    match node:
        case tree.Literal(value=value):
            return value
        case tree.Duration(nanoseconds=nanoseconds):
            return Time(nanoseconds)
        case tree.Unary(operand=operand):
            return total("-", Time(0) if isinstance(x := _value(operand, view), Time) else 0, x)
        case tree.Binary():
            return total(node.sign, _value(node.left, view), _value(node.right, view))
        case tree.Call():
            of = node.arguments[0] if node.of is None else node.of
            value = _value(of, view)
            return len(value) if isinstance(value, (str, list, dict)) else Missing
        case tree.Index(of=tree.Member(of=scope), key=tree.Literal(value=key)):
            return _attribute(str(key), path(scope), view)
        case tree.Member(of=tree.Member(of=scope, name="attributes"), name=key):
            return _attribute(key, path(scope), view)
        case tree.Member(of=scope, name=name):
            return view.field(path(scope), name)
    raise AssertionError(node)


def total(sign: str, x: Any, y: Any) -> Any:
    """x + y or x - y, or Missing."""
    times = [isinstance(value, Time) for value in (x, y)]
    plain = [isinstance(v, (int, float)) and not isinstance(v, (bool, Time)) for v in (x, y)]
    if not all(times) and not all(plain):
        return Missing
    if isinstance(x, float) or isinstance(y, float):
        return float(x) + float(y) if sign == "+" else float(x) - float(y)
    result = int(x) + int(y) if sign == "+" else int(x) - int(y)
    if not -(2**63) <= result < 2**63:
        return Missing
    return Time(result) if all(times) else result


def path(node: tree.Node) -> str:
    """`trace.root` of the node that was written so; an empty text of one that is no such chain of names."""
    match node:
        case tree.Name(name=name):
            return name
        case tree.Member(of=of, name=name):
            return f"{path(of)}.{name}"
    return ""


def _attribute(key: str, scope: str, view: View) -> Any:
    for pair in view.pairs(scope):
        if pair.key == key:
            return any_value(pair.value)
    return Missing


def any_value(value: AnyValue) -> Any:
    """An attribute's value as Python has it."""
    match value.WhichOneof("value"):
        case "array_value":
            return [any_value(item) for item in value.array_value.values]
        case "kvlist_value":
            return dict(enumerate(value.kvlist_value.values))
        case None | "bytes_value" | "string_value_strindex":
            return Other
        case name:
            return getattr(value, name)


def span_field(name: str, span: Span) -> Any:
    """The field `name` of `span`."""
    match name:
        case "name":
            return span.name
        case "kind":
            return KINDS[span.kind] if 0 <= span.kind < len(KINDS) else Missing
        case "status":
            return STATUSES[span.status.code] if 0 <= span.status.code < len(STATUSES) else Missing
        case "status_message":
            return span.status.message
        case "is_root":
            return not span.parent_span_id
        case "cost":
            return next((any_value(pair.value) for pair in span.attributes if pair.key == "gen_ai.usage.cost"), Missing)
    begin, end = span.start_time_unix_nano, span.end_time_unix_nano
    return Time(0) if begin == 0 else Time(min(max(end - begin, 0), 2**63 - 1))
