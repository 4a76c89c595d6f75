"""What is wrong with a config: a value, not an exception, so that all of it can be told at once."""

from __future__ import annotations

from dataclasses import dataclass

MAX_FAULTS = 100
"""More faults than this are counted, not listed: nobody reads them, and they must fit into a condition or
an answer."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong: where, what, and what to do about it."""

    path: str
    """The field as a user would write it, `spec.backends[0].otlp.endpoint`; empty for the document as a
    whole."""
    problem: str
    hint: str = ""
    """What to write instead; empty when the problem says it already."""
    line: int = 0
    """Line in the file, from 1; 0 when it is not known."""
    file: str = ""
    """The file that was read; empty for objects that came from the API."""

    def __str__(self) -> str:
        """`spec.backends[0].otlp.endpoint: has no scheme (write http://… or https://…)`"""
        text = f"{self.path}: {self.problem}" if self.path else self.problem
        return f"{text} ({self.hint})" if self.hint else text

    def located(self) -> str:
        """The fault with its place before it, as compilers write it: `file.yaml:12: spec.…: …`."""
        place = f"{self.file}:{self.line}: " if self.line else f"{self.file}: "
        return f"{place}{self}" if self.file else str(self)


def join(path: str, name: str) -> str:
    """The path of the member `name` of `path`; `name` may itself be a path or an index such as `[3]`."""
    if not path or not name:
        return path or name
    return f"{path}{name}" if name.startswith("[") else f"{path}.{name}"


def shorten(faults: list[Fault]) -> list[Fault]:
    """At most MAX_FAULTS of `faults`, the last one saying how many were left out."""
    if len(faults) <= MAX_FAULTS:
        return faults
    more = len(faults) - MAX_FAULTS + 1
    return [*faults[: MAX_FAULTS - 1], Fault("", f"{more} more faults are not listed", "mend these first")]
