"""From a condition's text to its tree, by precedence (Pratt, "Top down operator precedence", 1973)."""

from __future__ import annotations

from tracekeeper_spec.condition.problem import Unreadable
from tracekeeper_spec.condition.tokens import Kind, Token, tokens
from tracekeeper_spec.condition.tree import Binary, Call, Duration, Index, Items, Literal, Member, Name, Node, Unary

MAX_DEPTH = 32
"""Brackets, calls and signs within one another."""
MAX_ITEMS = 64
"""Of a list."""

_STRENGTH = {"||": 1, "&&": 2, "in": 3, "==": 3, "!=": 3, "<": 3, "<=": 3, ">": 3, ">=": 3, "+": 4, "-": 4}
_PREFIX = 6
_ABSENT = {
    "?": "there is no ?: choice; write it with && and ||",
    "*": "there is no multiplication; work the number out",
    "/": "there is no division; work the number out",
    "%": "there is no remainder",
    "{": "there are no maps here; lists are in [ ]",
}
_WORDS = {"and": "&&", "or": "||", "not": "!", "AND": "&&", "OR": "||", "NOT": "!"}


class Parser:
    """Reads one condition; the first problem ends it."""

    def __init__(self, text: str) -> None:
        self._tokens = list(tokens(text))
        self._next = 0

    def parse(self) -> Node:
        """The tree of the whole text; raises Unreadable."""
        node = self._expression(0, MAX_DEPTH)
        if self._token.kind is not Kind.END:
            raise self._unexpected("the condition should end here, or go on with && or ||")
        return node

    @property
    def _token(self) -> Token:
        return self._tokens[self._next]

    def _take(self) -> Token:
        token = self._token
        self._next += token.kind is not Kind.END
        return token

    def _is(self, text: str) -> bool:
        return self._token.text == text and self._token.kind in (Kind.SIGN, Kind.NAME)

    def _expect(self, text: str) -> None:
        if not self._is(text):
            raise self._unexpected(f"{text} is missing here")
        self._take()

    def _unexpected(self, otherwise: str) -> Unreadable:
        token = self._token
        if token.kind is Kind.SIGN and token.text in _ABSENT:
            return Unreadable(token.at, f"{token.text} is not part of this language", _ABSENT[token.text])
        if token.kind is Kind.NAME and token.text in _WORDS:
            return Unreadable(token.at, f"{token.text} is not an operator", f"write {_WORDS[token.text]}")
        what = "the condition ends" if token.kind is Kind.END else f"found {token.text[:40]}"
        return Unreadable(token.at, f"{otherwise}; {what}")

    def _expression(self, strength: int, depth: int) -> Node:
        if depth == 0:
            raise Unreadable(self._token.at, f"is nested more than {MAX_DEPTH} deep", "write it flatter")
        left = self._prefix(depth)
        while True:
            token = self._token
            mine = _STRENGTH.get(token.text, 0) if token.kind in (Kind.SIGN, Kind.NAME) else 0
            if mine <= strength:
                return left
            self._take()
            right = self._expression(mine, depth - 1)
            left = Binary(token.at, token.text, left, right)

    def _prefix(self, depth: int) -> Node:
        token = self._token
        if token.kind is Kind.SIGN and token.text in ("!", "-"):
            self._take()
            return Unary(token.at, token.text, self._expression(_PREFIX, depth - 1))
        node = self._primary(depth)
        while self._is(".") or self._is("["):
            node = self._member(node, depth) if self._take().text == "." else self._index(node, depth)
        return node

    def _primary(self, depth: int) -> Node:
        token = self._token
        if token.kind in (Kind.TEXT, Kind.INTEGER, Kind.DECIMAL):
            return Literal(self._take().at, token.value)
        if token.kind is Kind.DURATION:
            return Duration(self._take().at, int(token.value))
        if token.kind is Kind.NAME and token.text not in ("in", *_WORDS):
            return self._named(self._take(), depth)
        if self._is("("):
            self._take()
            inner = self._expression(0, depth - 1)
            self._expect(")")
            return inner
        if self._is("["):
            self._take()
            return Items(token.at, self._list("]", depth))
        raise self._unexpected("a value is missing here")

    def _named(self, token: Token, depth: int) -> Node:
        if token.text in ("true", "false"):
            return Literal(token.at, token.text == "true")
        if token.text == "null":
            hint = 'a missing attribute makes its comparison false; "key" in span.attributes asks for it'
            raise Unreadable(token.at, "there is no null", hint)
        if self._is("("):
            self._take()
            return Call(token.at, None, token.text, self._list(")", depth))
        return Name(token.at, token.text)

    def _member(self, of: Node, depth: int) -> Node:
        token = self._token
        if token.kind is not Kind.NAME:
            raise self._unexpected("the name of a field or function is missing after the dot")
        self._take()
        if self._is("("):
            self._take()
            return Call(token.at, of, token.text, self._list(")", depth))
        return Member(token.at, of, token.text)

    def _index(self, of: Node, depth: int) -> Node:
        key = self._expression(0, depth - 1)
        self._expect("]")
        return Index(key.at, of, key)

    def _list(self, closing: str, depth: int) -> tuple[Node, ...]:
        items: list[Node] = []
        while not self._is(closing):
            if items:
                self._expect(",")
            items.append(self._expression(0, depth - 1))
            if len(items) > MAX_ITEMS:
                raise Unreadable(items[-1].at, f"a list has at most {MAX_ITEMS} items here")
        self._take()
        return tuple(items)
