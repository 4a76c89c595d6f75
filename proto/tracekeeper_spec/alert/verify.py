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
    found: list[promql_parser.VectorSelector] = []

    def visit(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            found.append(node)

    promql_parser.walk(tree, pre_visit=visit)
    if selectors is not None and len(found) != selectors:
        return f"it has {len(found)} selectors where {selectors} were seen"
    if matcher is not None and not all(_has(node, matcher) for node in found):
        return f"a selector would not be kept to {matcher.label} {matcher.value}"
    return ""


def _has(node: promql_parser.VectorSelector, matcher: Matcher) -> bool:
    if node.matchers.or_matchers:
        return False
    equal = promql_parser.MatchOp.Equal
    return any(
        (each.name, each.value) == (matcher.label, matcher.value) and each.op == equal
        for each in node.matchers.matchers
    )
