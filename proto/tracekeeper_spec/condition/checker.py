"""Types: from the tree that was written to one in which every name is known and every comparison makes sense."""

from __future__ import annotations

from collections.abc import Mapping

from tracekeeper_spec.condition import meaning, tree
from tracekeeper_spec.condition.code import Constant, Kind
from tracekeeper_spec.condition.lookup import Lookup, listed, nearest
from tracekeeper_spec.condition.names import Scope, Subject, Type
from tracekeeper_spec.condition.pattern import MAX_STATES, PatternError, PatternTooLarge, compile_pattern
from tracekeeper_spec.condition.problem import Problem, Unreadable

TEXT_TESTS = ("startsWith", "endsWith", "contains", "matches")
_FUNCTIONS = (*TEXT_TESTS, "size")
_ORDER = ("<", "<=", ">", ">=")
_ATTRIBUTE_HINT = "an attribute is a text, a number, or true or false; write span.duration, or a number"


class Checker:
    """Checks one tree."""

    def __init__(self, scopes: Mapping[str, Scope]) -> None:
        self._names = Lookup(scopes)
        self.problems: list[Problem] = []
        self._room = MAX_STATES
        """States that the patterns may still have: a webhook must answer in time, whatever it is asked."""

    def check(self, node: tree.Node) -> meaning.Test | None:
        """What the whole condition means; None after a problem, and then `problems` holds all of them."""
        try:
            meant = self.test(node)
        except Unreadable as error:
            self.problems.append(error.found)
        return None if self.problems else meant

    def test(self, node: tree.Node) -> meaning.Test:
        """What `node` means where true or false is wanted. Raises Unreadable, as the rest does."""
        match node:
            case tree.Unary(sign="!"):
                return meaning.Not(self.test(node.operand))
            case tree.Binary(sign="&&" | "||"):
                return self._logic(node)
        meant = self._single(node)
        self._about_one(node, meant)
        return meant

    def _single(self, node: tree.Node) -> meaning.Test:
        """What `node` means if it is a condition without logic."""
        match node:
            case tree.Binary(sign="in"):
                return self._in(node)
            case tree.Binary(sign="+" | "-"):
                raise Unreadable(node.at, "is a sum, and a condition is wanted", "compare it with something")
            case tree.Binary():
                return self._compare(node)
            case tree.Call(name=name) if name != "size":
                return self._text_test(node)
            case tree.Items():
                raise Unreadable(node.at, "a list alone is no condition", "write VALUE in [ … ]")
        value = self.value(node)
        if value.type not in (Type.TRUTH, Type.ANY):
            raise Unreadable(node.at, f"is {value.type}, and a condition is wanted", "compare it with something")
        return meaning.Truth(value)

    def _about_one(self, node: tree.Node, meant: meaning.Test) -> None:
        """Refuses to compare what is found at different times: a trace as a whole, its root, and its spans."""
        subjects = meaning.subjects(meant)
        if Subject.EVENT in subjects:
            subjects -= {Subject.SPAN}
        if len(subjects) > 1:
            both = " with ".join(subject for subject in Subject if subject in subjects)
            hint = "compare each with a fixed value, and join the two with && or ||"
            raise Unreadable(node.at, f"compares {both}", hint)

    def value(self, node: tree.Node) -> meaning.Value:
        """What `node` means where a value is wanted."""
        match node:
            case tree.Literal(value=value):
                return _constant(value)
            case tree.Duration(nanoseconds=nanoseconds):
                return meaning.Fixed(Type.DURATION, Constant(Kind.DURATION, nanoseconds))
            case tree.Unary(sign="-"):
                return self._negative(node)
            case tree.Binary(sign="+" | "-"):
                return self._sum(node)
            case tree.Call(name="size"):
                return self._size(node)
            case tree.Name() | tree.Member() | tree.Index():
                return self._names.value(node)
            case tree.Items():
                raise Unreadable(node.at, "a list stands only behind in", "write VALUE in [ … ]")
        hint = "leave == true out, and write ! before it for == false"
        raise Unreadable(node.at, "is a condition, and a value is wanted", hint)

    def _logic(self, node: tree.Binary) -> meaning.Test:
        """Looks at both sides before it gives up, so that what is wrong in each is told."""
        sides: list[meaning.Test] = []
        for side in (node.left, node.right):
            try:
                sides.append(self.test(side))
            except Unreadable as error:
                self.problems.append(error.found)
        return meaning.Logic(node.sign, sides[0], sides[-1]) if sides else meaning.Truth(_constant(False))

    def _compare(self, node: tree.Binary) -> meaning.Test:
        left, right = self.value(node.left), self.value(node.right)
        self._comparable(node, left, right)
        self._possible(node, left, right)
        self._possible(node, right, left)
        if node.sign in (">", ">="):
            return meaning.Compare("<" if node.sign == ">" else "<=", right, left)
        return meaning.Compare(node.sign, left, right)

    def _comparable(self, node: tree.Binary, left: meaning.Value, right: meaning.Value) -> None:
        types = {left.type, right.type}
        if Type.DURATION in types and Type.ANY in types:
            raise Unreadable(node.at, "compares an attribute with a duration", _ATTRIBUTE_HINT)
        elif len(types - {Type.ANY}) == 2:
            hint = "durations have a unit: 100ms, 10s" if Type.DURATION in types else ""
            raise Unreadable(node.at, f"compares {left.type} with {right.type}, which is never true", hint)
        elif node.sign in _ORDER and Type.TRUTH in types:
            raise Unreadable(node.at, f"{node.sign} does not go with true and false", "write == or !=")

    def _possible(self, node: tree.Binary, value: meaning.Value, other: meaning.Value) -> None:
        """Refuses to compare a field with what it never is."""
        if not isinstance(value, meaning.Read) or not value.values or not isinstance(other, meaning.Fixed):
            return
        text = other.constant.value
        if node.sign in _ORDER:
            raise Unreadable(node.at, f"{node.sign} does not go with it", f"its values are {listed(value.values)}")
        elif text not in value.values:
            raise Unreadable(node.at, f"is never {text!r}", nearest(str(text), value.values, '"{}"'))
        elif node.sign == "!=" and len(value.values) == 1:
            hint = "write ! before the comparison with =="
            raise Unreadable(node.at, "is never true, because a comparison with a missing value is false", hint)

    def _in(self, node: tree.Binary) -> meaning.Test:
        if isinstance(node.right, tree.Items):
            return self._among(node, node.right)
        scope = self._names.attributes(node.right)
        if scope is not None:
            if isinstance(node.left, tree.Literal) and isinstance(node.left.value, str):
                return self._names.has(scope, node.left.value)
            hint = '"http.route" in span.attributes, for example'
            raise Unreadable(node.left.at, "the name of an attribute is wanted here, in quotes", hint)
        left, right = self.value(node.left), self.value(node.right)
        if right.type is not Type.ANY:
            hint = "lists are in [ ], or are an attribute"
            raise Unreadable(node.right.at, f"is {right.type}, and behind in there must be a list", hint)
        if left.type is Type.DURATION:
            raise Unreadable(node.left.at, "a list never holds durations")
        return meaning.Within(left, right)

    def _among(self, node: tree.Binary, items: tree.Items) -> meaning.Test:
        left = self.value(node.left)
        values = [self.value(item) for item in items.items]
        fixed: list[meaning.Fixed] = []
        for item, value in zip(items.items, values, strict=True):
            if not isinstance(value, meaning.Fixed):
                raise Unreadable(item.at, "a list holds only fixed texts, numbers and durations")
            pair = tree.Binary(item.at, "==", node.left, item)
            self._comparable(pair, left, value)
            self._possible(pair, left, value)
            fixed.append(value)
        if not fixed:
            raise Unreadable(items.at, "the list is empty, so this is never true")
        return meaning.Among(left, tuple(fixed))

    def _text_test(self, node: tree.Call) -> meaning.Test:
        if node.name not in TEXT_TESTS:
            if node.name == "has":
                raise Unreadable(node.at, "has() is not part of this language", 'write "key" in span.attributes')
            raise Unreadable(node.at, f"there is no function {node.name}", nearest(node.name, _FUNCTIONS, "{}()"))
        if node.of is None or len(node.arguments) != 1:
            hint = f'span.name.{node.name}("text"), for example'
            raise Unreadable(node.at, f"{node.name} comes after a text, and takes one", hint)
        text, part = self.value(node.of), self.value(node.arguments[0])
        for at, value in ((node.of.at, text), (node.arguments[0].at, part)):
            if value.type not in (Type.TEXT, Type.ANY):
                raise Unreadable(at, f"is {value.type}, and {node.name} is for texts")
        if node.name == "matches":
            return self._pattern(node, text, part)
        return meaning.TextTest(node.name, text, part)

    def _pattern(self, node: tree.Call, text: meaning.Value, part: meaning.Value) -> meaning.Test:
        at = node.arguments[0].at
        if not isinstance(part, meaning.Fixed):
            raise Unreadable(at, "the pattern must be a fixed text, in quotes")
        if self._room <= 0:
            raise Unreadable(at, "the patterns of this condition are too large together", "use fewer or simpler ones")
        try:
            pattern = compile_pattern(str(part.constant.value))
        except PatternError as error:
            self._room -= MAX_STATES * isinstance(error, PatternTooLarge)
            raise Unreadable(at, f"the pattern {error}", error.hint) from error
        self._room -= len(pattern.final)
        return meaning.Matches(text, pattern)

    def _negative(self, node: tree.Unary) -> meaning.Value:
        value = self.value(node.operand)
        if value.type not in (Type.NUMBER, Type.DURATION, Type.ANY):
            raise Unreadable(node.at, f"- does not go with {value.type}")
        if isinstance(value, meaning.Fixed):
            number = value.constant.value
            assert isinstance(number, (int, float))
            return meaning.Fixed(value.type, Constant(value.constant.kind, -number))
        if value.type is Type.DURATION:
            return meaning.Sum("-", Type.DURATION, meaning.Fixed(Type.DURATION, Constant(Kind.DURATION, 0)), value)
        return meaning.Sum("-", Type.NUMBER, meaning.Fixed(Type.NUMBER, Constant(Kind.INTEGER, 0)), value)

    def _sum(self, node: tree.Binary) -> meaning.Value:
        left, right = self.value(node.left), self.value(node.right)
        types = {left.type, right.type}
        if types == {Type.DURATION}:
            return meaning.Sum(node.sign, Type.DURATION, left, right)
        if types <= {Type.NUMBER, Type.ANY}:
            return meaning.Sum(node.sign, Type.NUMBER, left, right)
        raise Unreadable(node.at, f"{node.sign} does not go with {left.type} and {right.type}")

    def _size(self, node: tree.Call) -> meaning.Value:
        arguments = node.arguments if node.of is None else (node.of, *node.arguments)
        if len(arguments) != 1:
            raise Unreadable(node.at, "size takes one text or attribute", "size(span.name), for example")
        value = self.value(arguments[0])
        if value.type not in (Type.TEXT, Type.ANY):
            raise Unreadable(arguments[0].at, f"is {value.type}, which has no size")
        return meaning.Size(Type.NUMBER, value)


def _constant(value: bool | int | float | str) -> meaning.Fixed:
    if isinstance(value, bool):
        return meaning.Fixed(Type.TRUTH, Constant(Kind.TRUTH, value))
    if isinstance(value, str):
        return meaning.Fixed(Type.TEXT, Constant(Kind.TEXT, value))
    return meaning.Fixed(Type.NUMBER, Constant(Kind.INTEGER if isinstance(value, int) else Kind.DECIMAL, value))
