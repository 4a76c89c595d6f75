"""Runs compiled conditions in plain Python, for tests of the compiler: values from a view, operations from `code`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from condition_oracle import SpanView, Time, any_value, compare, order, text_test, total
from trace_oracle import Trace, TraceView
from tracekeeper_spec.condition import Code, TraceCode
from tracekeeper_spec.condition.code import STEP, Constant, Kind, Op, Slot
from tracekeeper_spec.condition.names import Place

_COMPARE = {Op.EQUAL: "==", Op.UNEQUAL: "!=", Op.LESS: "<", Op.AT_MOST: "<="}
_TEXT = {Op.STARTS: "startsWith", Op.ENDS: "endsWith", Op.CONTAINS: "contains"}
_SCOPES = {Place.SPAN_ATTRIBUTE: "span", Place.RESOURCE_ATTRIBUTE: "resource", Place.EVENT_ATTRIBUTE: "event"}
_FIELDS = {
    Place.NAME: "span.name",
    Place.KIND: "span.kind",
    Place.STATUS: "span.status",
    Place.STATUS_MESSAGE: "span.status_message",
    Place.DURATION: "span.duration",
    Place.IS_ROOT: "span.is_root",
    Place.EVENT_NAME: "event.name",
    Place.TRACE_STATUS: "trace.status",
    Place.TRACE_ERRORS: "trace.errors",
    Place.TRACE_DURATION: "trace.duration",
    Place.TRACE_SPANS: "trace.spans",
    Place.TRACE_COST: "trace.cost",
    Place.TRACE_TOKENS: "trace.tokens",
    Place.TRACE_PRIORITY: "trace.priority",
    Place.TRACE_DETECTED: "trace.detected",
}


class Absent:
    """What a slot holds for which there is nothing."""


def trace_code_holds(code: TraceCode, trace: Trace) -> bool:
    """What `code` says of `trace`."""
    whole = TraceView(trace)
    spans = [
        any(run(test, reader(view)) for span in trace for view in views(test, SpanView(*span)))
        for test in code.span_tests
    ]
    roots = [any(run(test, reader(SpanView(*root))) for root in whole.roots) for test in code.root_tests]

    def read(slot: Slot) -> Any:
        if slot.place is Place.SPAN_TEST:
            return spans[int(slot.key)]
        if slot.place is Place.ROOT_TEST:
            return roots[int(slot.key)]
        return _field(whole, slot)

    return run(code.code, read)


def views(test: Code, view: SpanView) -> Iterator[SpanView]:
    """What `test` is run on, of one span."""
    if any(slot.place in (Place.EVENT_NAME, Place.EVENT_ATTRIBUTE) for slot in test.slots):
        yield from (SpanView(view.span, view.resource, event) for event in view.span.events)
    else:
        yield view


def reader(view: SpanView) -> Callable[[Slot], Any]:
    def read(slot: Slot) -> Any:
        if slot.place not in _SCOPES:
            return _field(view, slot)
        pairs = view.pairs(_SCOPES[slot.place])
        return next((any_value(pair.value) for pair in pairs if pair.key == slot.key), Absent)

    return read


def _field(view: SpanView | TraceView, slot: Slot) -> Any:
    scope, _, name = _FIELDS[slot.place].partition(".")
    return view.field(scope, name)


def run(code: Code, read: Callable[[Slot], Any]) -> bool:
    """The answer of `code` where slots hold what `read` says."""
    cells = [*map(_constant, code.constants), *map(read, code.slots), *[Absent] * code.temporaries]
    steps = [code.instructions[at : at + STEP] for at in range(0, len(code.instructions), STEP)]
    flag, at = False, 0
    while at < len(steps):
        op, x, y, z = steps[at]
        at += 1
        match op:
            case Op.SUM | Op.DIFFERENCE:
                cells[z] = total("+" if op == Op.SUM else "-", cells[x], cells[y])
            case Op.SIZE:
                cells[z] = len(cells[x]) if isinstance(cells[x], (str, list, dict)) else Absent
            case Op.IF_FALSE | Op.IF_TRUE:
                at = x if flag is (op == Op.IF_TRUE) else at
            case Op.NOT:
                flag = not flag
            case Op.MATCHES:
                flag = isinstance(cells[x], str) and code.patterns[y].found(cells[x].encode())
            case _:
                flag = _test(Op(op), cells, x, y, z)
    return flag


def _test(op: Op, cells: list[Any], x: int, y: int, z: int) -> bool:
    match op:
        case Op.TRUTH:
            return cells[x] is True
        case Op.HAS:
            return cells[x] is not Absent
        case Op.AMONG:
            return any(order(cells[x], cells[item]) == 0 for item in range(y, y + z))
        case Op.WITHIN:
            return isinstance(cells[y], list) and any(order(cells[x], item) == 0 for item in cells[y])
        case Op.STARTS | Op.ENDS | Op.CONTAINS:
            return isinstance(cells[x], str) and isinstance(cells[y], str) and text_test(_TEXT[op], cells[x], cells[y])
    return compare(_COMPARE[op], cells[x], cells[y])


def _constant(constant: Constant) -> Any:
    return Time(int(constant.value)) if constant.kind is Kind.DURATION else constant.value
