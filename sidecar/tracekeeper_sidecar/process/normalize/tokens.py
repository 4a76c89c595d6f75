"""What numbers of tokens contain: worked out once, so that all who count or price them afterwards need not ask.

Canonical numbers are inclusive: tokens of input contain those read from a cache and written to one, tokens of output
those of reasoning. What comes otherwise (`exclusive`) is added up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tracekeeper_sidecar.process.normalize.row import Dialect
from tracekeeper_sidecar.process.normalize.values import MOST_TOKENS

INCLUSIVE: Final = "inclusive"
EXCLUSIVE: Final = "exclusive"


@dataclass(slots=True)
class Counted:
    """Tokens as they came; None where none are named."""

    input: int | None = None
    output: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None
    audio_input: int | None = None
    audio_output: int | None = None
    input_exclusive: bool = False
    """The row says so. So for output."""
    output_exclusive: bool = False

    @property
    def cached(self) -> int:
        return (self.cache_read or 0) + (self.cache_write or 0)


def basis(counted: Counted, dialect: Dialect | None, provider: str, keys: frozenset[str]) -> str:
    """What the tokens came as; "" where it makes no difference. Makes `counted` inclusive.

    `keys` are those of the span. Whose tokens of input cannot contain the cached ones, because these are more, is
    exclusive; else its dialect and provider say it, and what nothing says is inclusive, as OpenTelemetry has it.
    """
    found = ""
    # Audio is beside the rest only where the row says that nothing is in two of them.
    beside = counted.cached + (counted.audio_input or 0 if counted.input_exclusive else 0)
    if beside and counted.input is not None:
        found = INCLUSIVE
        if counted.cached > counted.input or counted.input_exclusive or _passed_on(dialect, provider, keys):
            if counted.input + beside <= MOST_TOKENS:
                found = EXCLUSIVE
                counted.input += beside
    beside = (counted.reasoning or 0) + (counted.audio_output or 0 if counted.output_exclusive else 0)
    if beside and counted.output is not None:
        exclusive = (counted.reasoning or 0) > counted.output or counted.output_exclusive
        if exclusive and counted.output + beside <= MOST_TOKENS:
            found = EXCLUSIVE
            counted.output += beside
        found = found or INCLUSIVE
    return found


def _passed_on(dialect: Dialect | None, provider: str, keys: frozenset[str]) -> bool:
    if dialect is None or provider not in dialect.exclusive:
        return False
    return keys.isdisjoint(dialect.inclusive_marks)
