"""A condition as a tree, as the parser makes it. `at` is the offset that a problem with the node is told at."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Literal:
    at: int
    value: bool | int | float | str


@dataclass(frozen=True, slots=True)
class Duration:
    at: int
    nanoseconds: int


@dataclass(frozen=True, slots=True)
class Name:
    at: int
    name: str


@dataclass(frozen=True, slots=True)
class Member:
    """`of.name`"""

    at: int
    of: Node
    name: str


@dataclass(frozen=True, slots=True)
class Index:
    """`of[key]`"""

    at: int
    of: Node
    key: Node


@dataclass(frozen=True, slots=True)
class Call:
    """`name(arguments)`, or `of.name(arguments)`."""

    at: int
    of: Node | None
    name: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Items:
    """`[a, b, c]`"""

    at: int
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Unary:
    """`!operand` or `-operand`."""

    at: int
    sign: str
    operand: Node


@dataclass(frozen=True, slots=True)
class Binary:
    at: int
    sign: str
    left: Node
    right: Node


Node = Literal | Duration | Name | Member | Index | Call | Items | Unary | Binary
