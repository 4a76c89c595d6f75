"""Has finished PromQL read by another parser (promql-parser, which follows Prometheus 2.45): what it refuses, or sees
otherwise than we do, is never written.

Who writes rules has it: the operator and the command line. A sidecar's `check` writes none, and does without.
"""

from __future__ import annotations

try:
    import promql_parser
except ModuleNotFoundError:  # in the sidecar's image
    AVAILABLE = False
else:
    AVAILABLE = True

from tracekeeper_spec.alert.expression import Matcher


def verify(text: str, matcher: Matcher | None = None, selectors: int | None = None) -> str:
    """Why `text` must not be written; empty if it may. Each of its selectors must have `matcher`, if there is one, and
    there must be so many `selectors`, if that is known.
    """
    if not AVAILABLE:
        return ""
    try:
        tree = promql_parser.parse(text)
    except ValueError as error:
        return str(error)
    if matcher is None and selectors is None:
        return ""
    try:
        found = _selectors(tree)
    except TypeError as error:
        return str(error)
    if selectors is not None and len(found) != selectors:
        return f"it has {len(found)} selectors where {selectors} were seen"
    if matcher is not None and not all(_has(node, matcher) for node in found):
        return f"a selector would not be kept to {matcher.label} {matcher.value}"
    return ""


def _selectors(tree: promql_parser.Expr) -> list[promql_parser.VectorSelector]:
    """All of them. The parser's own `walk` takes the square of the square of a sum's terms; this takes each node once.
    Raises TypeError at what it does not know.
    """
    found: list[promql_parser.VectorSelector] = []
    nodes = [tree]
    while nodes:
        match nodes.pop():
            case promql_parser.VectorSelector() as selector:
                found.append(selector)
            case promql_parser.MatrixSelector(vector_selector=selector):
                found.append(selector)
            case promql_parser.BinaryExpr() as node:
                nodes += (node.lhs, node.rhs)
            case promql_parser.AggregateExpr() as node:
                nodes += (node.expr,) if node.param is None else (node.expr, node.param)
            case promql_parser.Call() as node:
                nodes += node.args
            case promql_parser.ParenExpr() | promql_parser.SubqueryExpr() | promql_parser.UnaryExpr() as node:
                nodes.append(node.expr)
            case promql_parser.NumberLiteral() | promql_parser.StringLiteral():
                pass
            case node:
                raise TypeError(f"it has {type(node).__name__}, which is not known")
    return found


def _has(node: promql_parser.VectorSelector, matcher: Matcher) -> bool:
    if node.matchers.or_matchers:
        return False
    equal = promql_parser.MatchOp.Equal
    return any(
        (each.name, each.value) == (matcher.label, matcher.value) and each.op == equal
        for each in node.matchers.matchers
    )
