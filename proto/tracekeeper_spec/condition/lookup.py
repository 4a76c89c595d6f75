"""Finds the names of a condition in the scopes that there are."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

from tracekeeper_spec.condition import meaning, tree
from tracekeeper_spec.condition.code import Slot
from tracekeeper_spec.condition.names import ELSEWHERE, Scope, Type
from tracekeeper_spec.condition.problem import Unreadable

_EXAMPLES = ("duration", "name")


class Lookup:
    """All methods raise Unreadable for what cannot be found."""

    def __init__(self, scopes: Mapping[str, Scope]) -> None:
        self._scopes = scopes

    def attributes(self, node: tree.Node) -> Scope | None:
        """The scope whose attributes `node` is as a whole, if that is what it is."""
        if not isinstance(node, tree.Member) or node.name != "attributes":
            return None
        scope = self._scopes.get(_path(node.of))
        return scope if scope is not None and scope.attributes is not None else None

    def has(self, scope: Scope, key: str) -> meaning.Has:
        """Whether `scope` has the attribute `key`."""
        assert scope.attributes is not None
        return meaning.Has(Slot(scope.attributes, key), scope.subject)

    def value(self, node: tree.Name | tree.Member | tree.Index) -> meaning.Read:
        """The field or attribute that `node` names."""
        if isinstance(node, tree.Name):
            raise self._alone(node)
        scope = self.attributes(node.of)
        if scope is not None:
            return self._attribute(node, scope)
        if isinstance(node, tree.Member) and _path(node.of) in self._scopes:
            return self._member(node, _path(node.of))
        inner = node.of
        if isinstance(inner, (tree.Member, tree.Index)) and self.attributes(inner.of) is not None:
            hint = 'names with dots are written span.attributes["http.route"]'
            raise Unreadable(node.at, "attributes have nothing below them", hint)
        if isinstance(inner, (tree.Name, tree.Member, tree.Index)):
            self.value(inner)
        raise Unreadable(node.at, "there is nothing below this")

    def _attribute(self, node: tree.Member | tree.Index, scope: Scope) -> meaning.Read:
        key: object = None
        if isinstance(node, tree.Member):
            key = node.name
        elif isinstance(node.key, tree.Literal):
            key = node.key.value
        if isinstance(key, str) and scope.attributes is not None:
            return meaning.Read(Type.ANY, Slot(scope.attributes, key), subject=scope.subject)
        raise Unreadable(node.at, "the name of an attribute is wanted here, in quotes")

    def _member(self, node: tree.Member, path: str) -> meaning.Read:
        scope, below = self._scopes[path], f"{path}.{node.name}"
        if below in self._scopes:
            raise Unreadable(node.at, f"which field of {below}?", f"{self._example(below)}, for example")
        if node.name == "attributes":
            raise self._no_attributes(node, path, scope)
        member = scope.members.get(node.name)
        if member is None:
            raise self._no_member(node, path, scope)
        return meaning.Read(member.type, Slot(member.place, member.key), member.values, scope.subject)

    def _no_attributes(self, node: tree.Member, path: str, scope: Scope) -> Unreadable:
        if scope.attributes is None:
            hint = f'{path}.root.attributes["key"] is the root\'s, span.attributes["key"] some span\'s'
            return Unreadable(node.at, f"a {path} has no attributes of its own", hint)
        return Unreadable(node.at, "which of the attributes?", f'write {path}.attributes["key"]')

    def _no_member(self, node: tree.Member, path: str, scope: Scope) -> Unreadable:
        names = [*scope.members, *(["attributes"] if scope.attributes is not None else [])]
        names += [last for of, _, last in (name.rpartition(".") for name in self._scopes) if of == path]
        hint = nearest(node.name, names, f"{path}.{{}}")
        if scope.attributes is not None and not hint.startswith("did"):
            hint = f'attributes are {path}.attributes["{node.name}"]'
        return Unreadable(node.at, f"{path} has no field {node.name}", hint)

    def _alone(self, node: tree.Name) -> Unreadable:
        if node.name in self._scopes:
            example = self._example(node.name)
            hint = example if example.endswith("]") else f"{example}, for example"
            return Unreadable(node.at, f"which field of {node.name}?", hint)
        if node.name in ELSEWHERE:
            return Unreadable(node.at, f"{node.name} is not for here: {ELSEWHERE[node.name]}")
        for path, scope in self._scopes.items():
            if path.endswith(f".{node.name}"):
                return Unreadable(node.at, f"there is no {node.name} by itself", f"did you mean {path}?")
            if node.name in scope.members or (node.name == "attributes" and scope.attributes is not None):
                hint = f"did you mean {path}.{node.name}?"
                return Unreadable(node.at, f"there is no {node.name} by itself", hint)
        hint = nearest(node.name, [path for path in self._scopes if "." not in path], "{}")
        return Unreadable(node.at, f"there is no {node.name[:40]}", f"{hint}; texts are in quotes")

    def _example(self, path: str) -> str:
        members = self._scopes[path].members
        return next((f"{path}.{name}" for name in _EXAMPLES if name in members), f'{path}.attributes["key"]')


def _path(node: tree.Node) -> str:
    """`trace.root` of the node that was written so; an empty text of one that is no such chain of names."""
    if isinstance(node, tree.Name):
        return node.name
    if isinstance(node, tree.Member):
        of = _path(node.of)
        return f"{of}.{node.name}" if of else ""
    return ""


def nearest(name: str, names: Iterable[str], form: str) -> str:
    """`did you mean X?` with the likeliest of `names`, else all of them."""
    close = difflib.get_close_matches(name.lower()[:64], list(names), n=1, cutoff=0.6)
    return f"did you mean {form.format(close[0])}?" if close else f"there are {listed(names)}"


def listed(names: Iterable[str]) -> str:
    return ", ".join(names)
