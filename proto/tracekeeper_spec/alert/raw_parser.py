"""PromQL that somebody wrote: finds what is wrong with it, and where its selectors are.

The grammar is that of Prometheus 2.42 (promql/parser/generated_parser.y), less what few need. What this takes,
Prometheus takes: the tests hold it against the real one. It makes no tree: the text itself is kept, and what is put in
goes into the places that are found here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tracekeeper_spec.alert.raw_functions import AGGREGATIONS, FUNCTIONS, KEYWORDS, Function, Type
from tracekeeper_spec.alert.raw_tokens import Kind, Token, tokens
from tracekeeper_spec.condition import regex
from tracekeeper_spec.condition.lookup import nearest
from tracekeeper_spec.condition.problem import Unreadable

MAX_DEPTH = 32
MAX_OPERATIONS = 64
"""Signs and words between two operands in one text. Who reads it again, here or in Prometheus, takes more than twice as
long for twice as many, and the tree that they make is as deep as there are.
"""
MAX_STEPS = 11_000
"""Of a subquery; more than so many points of a series Prometheus does not answer either."""
DEFAULT_STEP = 60.0

_COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")
_SETS = ("and", "or", "unless")
_STRENGTH = {
    "or": 1,
    "and": 2,
    "unless": 2,
    **dict.fromkeys(_COMPARISONS, 3),
    "+": 4,
    "-": 4,
    "*": 5,
    "/": 5,
    "%": 5,
    "atan2": 5,
    "^": 6,
}
_UNARY = 5
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a matcher can be put into a selector."""

    at: int
    """Offset in the text."""
    braces: bool
    """Whether it is within braces that are there, else after a name without any."""
    empty: bool
    """Whether there is nothing in the braces."""


@dataclass(slots=True)
class _Value:
    """What was read."""

    type: Type
    selector: bool = False
    """A name or braces, with nothing behind that."""
    movable: bool = False
    """Something that may have an offset, and has none."""


class Parser:
    """Reads one expression; the first problem ends it."""

    def __init__(self, text: str) -> None:
        self._tokens = list(tokens(text))
        self._next = 0
        self.operations = 0
        self.places: list[Place] = []

    def parse(self) -> Type:
        """The type of the whole text; raises Unreadable."""
        value = self._expression(0, MAX_DEPTH)
        if self._token.kind is not Kind.END:
            raise self._unexpected("an operator is missing here")
        return value.type

    @property
    def _token(self) -> Token:
        return self._tokens[self._next]

    @property
    def _word(self) -> str:
        """The token's text, if it is a keyword in small letters."""
        token = self._token
        if token.kind is Kind.SIGN:
            return token.text
        lower = token.text.lower()
        return lower if token.kind is Kind.NAME and (lower in KEYWORDS or lower in AGGREGATIONS) else ""

    def _take(self) -> Token:
        token = self._token
        self._next += token.kind is not Kind.END
        return token

    def _accept(self, word: str) -> bool:
        if self._word != word:
            return False
        self._take()
        return True

    def _expect(self, sign: str) -> Token:
        if self._word != sign:
            raise self._unexpected(f"{sign} is missing here")
        return self._take()

    def _unexpected(self, otherwise: str) -> Unreadable:
        token = self._token
        what = "the text ends" if token.kind is Kind.END else f"found {token.text[:40]}"
        return Unreadable(token.at, f"{otherwise}; {what}")

    def _expression(self, strength: int, depth: int) -> _Value:
        if depth == 0:
            raise Unreadable(self._token.at, f"is nested more than {MAX_DEPTH} deep", "write it flatter")
        left = self._unary(depth)
        while (mine := _STRENGTH.get(self._word, 0)) > strength:
            sign = self._take()
            left = self._binary(sign, left, mine, depth)
        return left

    def _binary(self, sign: Token, left: _Value, strength: int, depth: int) -> _Value:
        word = sign.text.lower()
        compares = word in _COMPARISONS
        self.operations += 1
        if self.operations > MAX_OPERATIONS:
            hint = "write several rules, or sum() over a metric with more labels"
            raise Unreadable(sign.at, f"joins more than {MAX_OPERATIONS} times", hint)
        as_number = self._accept("bool")
        if as_number and not compares:
            raise Unreadable(sign.at, "bool goes only with comparisons")
        matching = self._matching(word)
        # `^` is the one that is read from the right.
        right = self._expression(strength - (word == "^"), depth - 1)
        for side in (left, right):
            if side.type not in (Type.SCALAR, Type.VECTOR):
                hint = "wrap it in rate(…), for example" if side.type is Type.MATRIX else ""
                raise Unreadable(sign.at, f"{sign.text} does not go with {side.type}", hint)
        scalars = [side.type for side in (left, right)].count(Type.SCALAR)
        if scalars and word in _SETS:
            raise Unreadable(sign.at, f"{word} joins instant vectors, and not numbers", "compare with > or <")
        if scalars and matching:
            raise Unreadable(sign.at, "labels are matched only between instant vectors", "leave on, ignoring out")
        if scalars == 2 and compares and not as_number:
            raise Unreadable(sign.at, "compares two numbers", "one side must be a metric")
        return _Value(Type.SCALAR if scalars == 2 else Type.VECTOR)

    def _matching(self, word: str) -> bool:
        if self._word not in ("on", "ignoring"):
            if self._word in ("group_left", "group_right"):
                raise self._unexpected("on (…) or ignoring (…) is missing before it")
            return False
        on = self._take().text.lower() == "on"
        labels = self._labels()
        if self._word in ("group_left", "group_right"):
            group = self._take()
            if word in _SETS:
                raise Unreadable(group.at, f"{group.text} does not go with {word}")
            more = self._labels() if self._word == "(" else []
            both = [label for label in more if label in labels]
            if on and both:
                raise Unreadable(group.at, f"{both[0]} is in on (…) already", "leave it out of one of them")
        return True

    def _labels(self) -> list[str]:
        """`(a, b)`"""
        self._expect("(")
        found: list[str] = []
        while self._word != ")":
            if found:
                self._expect(",")
                if self._word == ")":
                    break
            token = self._token
            plain = token.kind is Kind.NAME and _LABEL.fullmatch(token.text)
            if not plain or token.text.lower() in KEYWORDS:
                raise self._unexpected("the name of a label is missing here")
            found.append(self._take().text)
        self._take()
        return found

    def _unary(self, depth: int) -> _Value:
        if self._word not in ("+", "-"):
            return self._postfix(self._primary(depth))
        sign = self._take()
        value = self._expression(_UNARY, depth - 1)
        if value.type not in (Type.SCALAR, Type.VECTOR):
            raise Unreadable(sign.at, f"{sign.text} does not go with {value.type}")
        return _Value(value.type)

    def _primary(self, depth: int) -> _Value:
        token, word = self._token, self._word
        if token.kind is Kind.NUMBER:
            self._take()
            return _Value(Type.SCALAR)
        if token.kind is Kind.TEXT:
            self._take()
            return _Value(Type.STRING)
        if token.kind is Kind.DURATION:
            raise Unreadable(token.at, "a duration stands only in [ ] and behind offset", "write a number of seconds")
        if word == "(":
            self._take()
            inner = self._expression(0, depth - 1)
            self._expect(")")
            return _Value(inner.type)
        if word == "{":
            return self._selector(None)
        if word in AGGREGATIONS:
            return self._aggregation(self._take(), depth)
        if token.kind is Kind.NAME and not word:
            self._take()
            return self._call(token, depth) if self._word == "(" else self._selector(token)
        raise self._unexpected("a value is missing here")

    def _postfix(self, value: _Value) -> _Value:
        """Ranges, subqueries and offsets."""
        while True:
            if self._word == "[":
                value = self._range(value)
            elif self._word == "offset":
                at = self._take().at
                if not value.movable:
                    raise Unreadable(at, "offset comes once, directly behind a selector, a range or a subquery")
                self._accept("-")
                self._duration()
                value = _Value(value.type)
            else:
                return value

    def _range(self, value: _Value) -> _Value:
        bracket = self._take()
        window = self._duration()
        if self._accept(":"):
            step = DEFAULT_STEP if self._word == "]" else self._duration().seconds
            self._expect("]")
            if value.type is not Type.VECTOR:
                raise Unreadable(bracket.at, f"a subquery goes with an instant vector, and not with {value.type}")
            if window.seconds / step > MAX_STEPS:
                raise Unreadable(window.at, f"the subquery has more than {MAX_STEPS} steps", "write a longer step")
            return _Value(Type.MATRIX, movable=True)
        self._expect("]")
        if not value.selector:
            hint = "write [5m:] for a subquery; offset comes behind the range"
            raise Unreadable(bracket.at, "a range stands only directly behind a selector", hint)
        return _Value(Type.MATRIX, movable=True)

    def _duration(self) -> Token:
        if self._token.kind is not Kind.DURATION:
            raise self._unexpected("a duration such as 5m is missing here")
        return self._take()

    def _selector(self, name: Token | None) -> _Value:
        if self._word != "{":
            assert name is not None
            self.places.append(Place(name.end, braces=False, empty=True))
            return _Value(Type.VECTOR, selector=True, movable=True)
        brace = self._take()
        count = narrow = 0
        while self._word != "}":
            if count:
                self._expect(",")
                if self._word == "}":
                    break
            narrow += self._matcher(name)
            count += 1
        self._take()
        if name is None and not narrow:
            hint = 'write a metric\'s name, or a matcher such as job="agents"'
            raise Unreadable(brace.at, "selects everything there is", hint)
        self.places.append(Place(brace.end, braces=True, empty=not count))
        return _Value(Type.VECTOR, selector=True, movable=True)

    def _matcher(self, name: Token | None) -> bool:
        """One matcher; whether it leaves out what has no such label."""
        label = self._token
        if label.kind not in (Kind.NAME, Kind.NUMBER) or not _LABEL.fullmatch(label.text):
            hint = "names in quotes are of later versions of Prometheus" if label.kind is Kind.TEXT else ""
            raise Unreadable(label.at, "the name of a label is missing here", hint)
        self._take()
        if label.text == "__name__" and name is not None:
            raise Unreadable(label.at, "the metric has two names", "leave one of them out")
        sign = self._take()
        if sign.text not in ("=", "!=", "=~", "!~") or sign.kind is not Kind.SIGN:
            hint = "write =" if sign.text == "==" else ""
            raise Unreadable(sign.at, "one of = != =~ !~ is missing here", hint)
        value = self._take()
        if value.kind is not Kind.TEXT:
            raise Unreadable(value.at, "a text in quotes is missing here")
        if sign.text in ("=", "!="):
            return (sign.text == "=") is (value.value != "")
        machine = pattern(value)
        takes_nothing = machine.accept in machine.closure([machine.start], at_begin=True, at_end=True)
        return takes_nothing is (sign.text == "!~")

    def _aggregation(self, name: Token, depth: int) -> _Value:
        before = self._grouping()
        at = self._expect("(").at
        wanted = AGGREGATIONS[name.text.lower()]
        types = (Type.VECTOR,) if wanted is None else (wanted, Type.VECTOR)
        self._arguments(name, Function(types), at, depth)
        if self._word in ("by", "without"):
            if before:
                raise self._unexpected("the labels were given already")
            self._grouping()
        return _Value(Type.VECTOR)

    def _grouping(self) -> bool:
        if self._word not in ("by", "without"):
            return False
        self._take()
        self._labels()
        return True

    def _call(self, name: Token, depth: int) -> _Value:
        function = FUNCTIONS.get(name.text)
        if function is None:
            hint = nearest(name.text, [*FUNCTIONS, *AGGREGATIONS], "{}")
            hint = hint if hint.startswith("did") else "it must be one of Prometheus 2.42"
            raise Unreadable(name.at, f"there is no function {name.text[:40]}", hint)
        self._arguments(name, function, self._take().at, depth)
        return _Value(function.result)

    def _arguments(self, name: Token, function: Function, at: int, depth: int) -> None:
        found: list[tuple[int, Type]] = []
        texts: list[Token] = []
        while self._word != ")":
            if found:
                self._expect(",")
            first = self._token
            found.append((first.at, self._expression(0, depth - 1).type))
            if first.kind is Kind.TEXT:
                texts.append(first)
        self._take()
        wanted = function.arguments
        least = len(wanted) - function.optional - function.endless
        if not (least <= len(found) and (function.endless or len(found) <= len(wanted))):
            count = f"{least}" if least == len(wanted) else f"{least} or more"
            raise Unreadable(at, f"{name.text} takes {count} arguments, and has {len(found)}")
        for index, (place, type) in enumerate(found):
            expected = wanted[min(index, len(wanted) - 1)]
            if type is not expected:
                hint = "write [5m] behind it" if (expected, type) == (Type.MATRIX, Type.VECTOR) else ""
                raise Unreadable(place, f"{name.text} takes {expected} here, and this is {type}", hint)
        _check_texts(name.text, texts)


def pattern(token: Token) -> regex.Machine:
    """Refuses a pattern that Prometheus might refuse."""
    try:
        return regex.machine(token.value)
    except regex.PatternError as error:
        raise Unreadable(token.at, f"the pattern {error}", error.hint) from error


def _check_texts(function: str, texts: list[Token]) -> None:
    """What Prometheus finds only when it runs a rule."""
    if function == "label_replace" and len(texts) == 4:
        pattern(texts[3])
    names = {"label_replace": texts[:1], "label_join": texts[:1], "count_values": texts[:1]}.get(function, [])
    for token in names:
        if not _LABEL.fullmatch(token.value):
            raise Unreadable(token.at, "is not the name of a label")
