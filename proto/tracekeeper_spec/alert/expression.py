"""PromQL as a tree, and how it is written. Every selector that Tracekeeper makes itself comes from here.

Binary operations within others are always in brackets, so that nothing depends on precedence. Texts are written with
double quotes, and everything in them that is not plain is escaped: nothing that somebody wrote can end one early.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from tracekeeper_spec.units import format_duration

_HARMLESS = re.compile(r"[ !#-\[\]-_a-~]*")
_PLAIN = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}


@dataclass(frozen=True, slots=True)
class Matcher:
    label: str
    sign: str
    """One of = != =~ !~."""
    value: str


@dataclass(frozen=True, slots=True)
class Selector:
    """An instant vector; with `window`, a range vector. Times are seconds."""

    metric: str
    matchers: tuple[Matcher, ...] = ()
    window: float = 0.0
    offset: float = 0.0


@dataclass(frozen=True, slots=True)
class Number:
    value: float


@dataclass(frozen=True, slots=True)
class Text:
    value: str


@dataclass(frozen=True, slots=True)
class Call:
    name: str
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Aggregate:
    """`sum by (a, b) (of)`"""

    name: str
    by: tuple[str, ...]
    of: Expression


@dataclass(frozen=True, slots=True)
class Binary:
    sign: str
    left: Expression
    right: Expression
    on: tuple[str, ...] | None = None
    """None: all labels are compared."""


Expression = Selector | Number | Text | Call | Aggregate | Binary


def written(node: Expression) -> str:
    """The PromQL."""
    match node:
        case Selector():
            return _selector(node)
        case Number(value=value):
            return number(value)
        case Text(value=value):
            return quoted(value)
        case Call(name=name, arguments=arguments):
            return f"{name}({', '.join(written(argument) for argument in arguments)})"
        case Aggregate(name=name, by=by, of=of):
            return f"{name} by ({', '.join(by)}) ({written(of)})"
        case Binary(sign=sign, left=left, right=right, on=on):
            matching = "" if on is None else f" on ({', '.join(on)})"
            return f"{_operand(left)} {sign}{matching} {_operand(right)}"


def quoted(text: str) -> str:
    """`text` as a string of PromQL, and of Go."""
    if _HARMLESS.fullmatch(text):
        return f'"{text}"'
    return '"' + "".join(_char(char) for char in text) + '"'


def number(value: float) -> str:
    """As Go reads it back: 0.05, 10, 1e-09."""
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


def duration(seconds: float) -> str:
    """`10m`"""
    return format_duration(seconds)


def matchers(items: Iterable[Matcher]) -> str:
    """What stands in braces."""
    return ",".join(f"{item.label}{item.sign}{quoted(item.value)}" for item in items)


def walk(node: Expression) -> Iterable[Expression]:
    """`node` and all below it."""
    yield node
    match node:
        case Call(arguments=arguments):
            for argument in arguments:
                yield from walk(argument)
        case Aggregate(of=of):
            yield from walk(of)
        case Binary(left=left, right=right):
            yield from walk(left)
            yield from walk(right)


def replaced(node: Expression, news: Mapping[Expression, Expression], fits: Callable[[Expression], bool]) -> Expression:
    """`node` with what `news` has in place of its parts. Only those that `fits` says are looked up: it takes as long as
    they are large.
    """
    if fits(node) and node in news:
        return news[node]
    match node:
        case Call(arguments=arguments):
            return replace(node, arguments=tuple(replaced(argument, news, fits) for argument in arguments))
        case Aggregate(of=of):
            return replace(node, of=replaced(of, news, fits))
        case Binary(left=left, right=right):
            return replace(node, left=replaced(left, news, fits), right=replaced(right, news, fits))
    return node


def _operand(node: Expression) -> str:
    return f"({written(node)})" if isinstance(node, Binary) else written(node)


def _selector(node: Selector) -> str:
    text = node.metric + (f"{{{matchers(node.matchers)}}}" if node.matchers else "")
    if node.window:
        text += f"[{duration(node.window)}]"
    return f"{text} offset {duration(node.offset)}" if node.offset else text


def _char(char: str) -> str:
    if char in _PLAIN:
        return _PLAIN[char]
    # A backtick would end the text of a template that the PromQL is in.
    if char == "`" or ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0:
        return f"\\u{ord(char):04x}"
    return char
