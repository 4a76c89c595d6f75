"""Conditions once more, the slow and plain way: on spans that protobuf has parsed, straight from the tree.

What the evaluator of the sidecar does with bytes and cells is done here with Python's own values, and written from the
reference page, not from the evaluator.
"""

from __future__ import annotations

import math
import re
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tracekeeper_spec.condition import tree
from tracekeeper_spec.condition.parser import Parser

KINDS = ["unspecified", "internal", "server", "client", "producer", "consumer"]
STATUSES = ["unset", "ok", "error"]


class Missing:
    """An attribute that is not there, or a sum that has no number."""


class Other:
    """A value that is there, and that nothing compares with."""


class Time(int):
    """A duration, in nanoseconds."""


def holds(text: str, span: Span, resource: Resource) -> bool:
    """Whether the condition `text` holds for `span`."""
    return _test(Parser(text).parse(), span, resource)


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


def _test(node: tree.Node, span: Span, resource: Resource) -> bool:
    match node:
        case tree.Binary(sign="&&"):
            return _test(node.left, span, resource) and _test(node.right, span, resource)
        case tree.Binary(sign="||"):
            return _test(node.left, span, resource) or _test(node.right, span, resource)
        case tree.Unary(sign="!"):
            return not _test(node.operand, span, resource)
        case tree.Binary(sign="in", right=tree.Items(items=items)):
            x = _value(node.left, span, resource)
            return any(_order(x, _value(item, span, resource)) == 0 for item in items)
        case tree.Binary(sign="in", right=tree.Member(name="attributes", of=tree.Name(name=scope))):
            assert isinstance(node.left, tree.Literal)
            return any(pair.key == node.left.value for pair in _pairs(scope, span, resource))
        case tree.Binary(sign="in"):
            array = _value(node.right, span, resource)
            x = _value(node.left, span, resource)
            return isinstance(array, list) and any(_order(x, item) == 0 for item in array)
        case tree.Binary():
            return _compare(node.sign, _value(node.left, span, resource), _value(node.right, span, resource))
        case tree.Call() if node.name != "size":
            assert node.of is not None
            text, part = _value(node.of, span, resource), _value(node.arguments[0], span, resource)
            return isinstance(text, str) and isinstance(part, str) and _text_test(node.name, text, part)
    return _value(node, span, resource) is True


def _text_test(name: str, text: str, part: str) -> bool:
    match name:
        case "startsWith":
            return text.startswith(part)
        case "endsWith":
            return text.endswith(part)
        case "contains":
            return part in text
    return re.search(part.replace("$", r"\Z"), text, re.ASCII) is not None


def _compare(sign: str, x: Any, y: Any) -> bool:
    order = _order(x, y)
    if order is None or (isinstance(x, bool) and sign not in ("==", "!=")):
        return False
    return {"==": order == 0, "!=": order != 0, "<": order < 0, "<=": order <= 0, ">": order > 0, ">=": order >= 0}[
        sign
    ]


def _order(x: Any, y: Any) -> int | None:
    for kind in (bool, Time, str):
        both: Any = (x, y)
        if any(isinstance(value, kind) for value in both):
            return (both[0] > both[1]) - (both[0] < both[1]) if all(isinstance(v, kind) for v in both) else None
    if not isinstance(x, (int, float)) or not isinstance(y, (int, float)):
        return None
    if isinstance(x, float) or isinstance(y, float):
        x, y = float(x), float(y)
    return None if math.isnan(x) or math.isnan(y) else (x > y) - (x < y)


def _value(node: tree.Node, span: Span, resource: Resource) -> Any:
    match node:
        case tree.Literal(value=value):
            return value
        case tree.Duration(nanoseconds=nanoseconds):
            return Time(nanoseconds)
        case tree.Unary(operand=operand):
            return _sum("-", Time(0) if isinstance(x := _value(operand, span, resource), Time) else 0, x)
        case tree.Binary():
            return _sum(node.sign, _value(node.left, span, resource), _value(node.right, span, resource))
        case tree.Call():
            of = node.arguments[0] if node.of is None else node.of
            value = _value(of, span, resource)
            return len(value) if isinstance(value, (str, list, dict)) else Missing
        case tree.Index(of=tree.Member(of=tree.Name(name=scope)), key=tree.Literal(value=key)):
            return _attribute(str(key), scope, span, resource)
        case tree.Member(of=tree.Member(of=tree.Name(name=scope)), name=key):
            return _attribute(key, scope, span, resource)
        case tree.Member(name=name):
            return _field(name, span)
    raise AssertionError(node)


def _sum(sign: str, x: Any, y: Any) -> Any:
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


def _pairs(scope: str, span: Span, resource: Resource) -> Any:
    return span.attributes if scope == "span" else resource.attributes


def _attribute(key: str, scope: str, span: Span, resource: Resource) -> Any:
    for pair in _pairs(scope, span, resource):
        if pair.key == key:
            return _any(pair.value)
    return Missing


def _any(value: AnyValue) -> Any:
    match value.WhichOneof("value"):
        case "array_value":
            return [_any(item) for item in value.array_value.values]
        case "kvlist_value":
            return dict(enumerate(value.kvlist_value.values))
        case None | "bytes_value" | "string_value_strindex":
            return Other
        case name:
            return getattr(value, name)


def _field(name: str, span: Span) -> Any:
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
    begin, end = span.start_time_unix_nano, span.end_time_unix_nano
    return Time(0) if begin == 0 else Time(min(max(end - begin, 0), 2**63 - 1))
