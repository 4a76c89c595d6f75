"""How spans of all dialects come to speak one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class DialectName(StrEnum):
    """Those that are known."""

    OTEL_1_36 = "otel_1_36"
    OTEL_1_41 = "otel_1_41"
    OPENINFERENCE = "openinference"
    TRACELOOP = "traceloop"
    LANGFUSE = "langfuse"
    OPENLIT = "openlit"
    VERCEL = "vercel"
    PYDANTIC_AI = "pydantic_ai"
    OPENAI_AGENTS = "openai_agents"


@dataclass(frozen=True, slots=True)
class Normalize:
    """As `processors[].normalize` says."""

    dialects: tuple[DialectName, ...] = ()
    """Those that are translated; all, if there are none."""
    keep_originals: bool = True
    """Whether what was translated stays under its own name as well."""
    messages: bool = True
    """Whether messages are translated."""
