"""Comparisons of labels in an alert's condition: they become matchers of what they are joined to."""

from __future__ import annotations

from tracekeeper_spec.alert.expression import Matcher
from tracekeeper_spec.alert.meaning import Filter
from tracekeeper_spec.alert.section import Group
from tracekeeper_spec.condition import tree
from tracekeeper_spec.condition.pattern import PatternError, compile_pattern
from tracekeeper_spec.condition.problem import Unreadable

NAMESPACE = "namespace"
LABELS = (*(group.label for group in Group), NAMESPACE)
_SPECIAL = frozenset("\\.+*?()|[]{}^$")
"""Of Go's regular expressions (regexp.QuoteMeta)."""
_ANYTHING = "(?s:.*)"
_OPPOSITE = {"=": "!=", "!=": "=", "=~": "!~", "!~": "=~"}


def names(node: tree.Node) -> bool:
    """Whether `node` is a label."""
    return isinstance(node, tree.Name) and node.name in LABELS


def test(node: tree.Node, *, negated: bool, root: bool) -> Filter:
    """What a comparison of a label means. Raises Unreadable."""
    match node:
        case tree.Binary(sign="in"):
            label, sign, value = _label(node.left, root), "=~", _list(node.right)
        case tree.Binary():
            label, sign, value = _comparison(node, root)
        case tree.Call(of=tree.Name() as of, arguments=(argument,)):
            label, sign, value = _label(of, root), "=~", _pattern(node.name, argument)
        case tree.Call():
            raise Unreadable(node.at, f"{node.name} comes after a label, and takes one text", 'agent.startsWith("a")')
        case _:  # pragma: no cover
            raise AssertionError(node)
    return Filter(node.at, Matcher(label, _OPPOSITE[sign] if negated else sign, value))


def _label(node: tree.Node, root: bool) -> str:
    if not isinstance(node, tree.Name) or node.name not in LABELS:
        raise Unreadable(node.at, "is no label", f"texts are compared with labels: {', '.join(LABELS[:-1])}")
    if node.name == NAMESPACE and not root:
        raise Unreadable(node.at, "only the config's own namespace is looked at", "leave it out")
    return node.name


def _comparison(node: tree.Binary, root: bool) -> tuple[str, str, str]:
    name, other = (node.left, node.right) if names(node.left) else (node.right, node.left)
    label = _label(name, root)
    if node.sign not in ("==", "!="):
        raise Unreadable(node.at, f"{node.sign} does not go with texts", "write == or !=")
    return label, "=" if node.sign == "==" else "!=", _text(other)


def _list(node: tree.Node) -> str:
    if not isinstance(node, tree.Items):
        raise Unreadable(node.at, "behind in there must be a list", 'agent in ["planner", "writer"], for example')
    if not node.items:
        raise Unreadable(node.at, "the list is empty, so this is never true")
    return "|".join(_literally(_text(item)) for item in node.items)


def _pattern(function: str, node: tree.Node) -> str:
    text = _text(node)
    match function:
        case "startsWith":
            return _literally(text) + _ANYTHING
        case "endsWith":
            return _ANYTHING + _literally(text)
        case "contains":
            return _ANYTHING + _literally(text) + _ANYTHING
    try:
        compile_pattern(text)
    except PatternError as error:
        raise Unreadable(node.at, f"the pattern {error}", error.hint) from error
    if text.startswith("(?i)"):
        return f"{_ANYTHING}(?i:{text[4:]}){_ANYTHING}"
    return f"{_ANYTHING}(?:{text}){_ANYTHING}"


def _text(node: tree.Node) -> str:
    if not isinstance(node, tree.Literal) or not isinstance(node.value, str):
        raise Unreadable(node.at, "a fixed text is wanted here, in quotes")
    if any(0xD800 <= ord(char) < 0xE000 for char in node.value):
        raise Unreadable(node.at, "the text holds half a character", "write it anew")
    return node.value


def _literally(text: str) -> str:
    return "".join(f"\\{char}" if char in _SPECIAL else char for char in text)
