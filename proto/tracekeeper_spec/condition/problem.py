"""What is wrong with a condition, and where in its text."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a condition."""

    at: int
    """Offset of the character that it is about, from 0."""
    problem: str
    hint: str = ""
    """What to write instead; empty when the problem says it already."""

    @property
    def sentence(self) -> str:
        """`at character 6: span has no field durations`"""
        return f"at character {self.at + 1}: {self.problem}"

    def __str__(self) -> str:
        """`at character 6: span has no field durations (did you mean span.duration?)`"""
        return f"{self.sentence} ({self.hint})" if self.hint else self.sentence


class Unreadable(Exception):
    """Raised by lexer and parser, which stop at the first problem; `compile_condition` catches it."""

    def __init__(self, at: int, problem: str, hint: str = "") -> None:
        super().__init__(problem)
        self.found = Problem(at, problem, hint)
