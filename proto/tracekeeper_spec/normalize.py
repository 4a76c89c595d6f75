"""How spans of all dialects come to speak one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class DialectName(StrEnum):
    """Those that are known. A member's name, in lower case, is what spans say in `tracekeeper.dialect`."""

    OTEL_1_36 = "OpenTelemetry136"
    OTEL_1_41 = "OpenTelemetry141"
    OPENINFERENCE = "OpenInference"
    TRACELOOP = "Traceloop"
    LANGFUSE = "Langfuse"
    OPENLIT = "OpenLIT"
    VERCEL = "Vercel"
    PYDANTIC_AI = "PydanticAI"
    OPENAI_AGENTS = "OpenAIAgents"


@dataclass(frozen=True, slots=True)
class Normalize:
    """As `processors[].normalize` says."""

    dialects: tuple[DialectName, ...] = ()
    """Those that are translated; all, if there are none."""
    keep_originals: bool = True
    """Whether what was translated stays under its own name as well."""
    messages: bool = True
    """Whether messages are translated."""
