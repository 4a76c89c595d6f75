"""The dialects that are known, in the order in which they are asked for an attribute that several have."""

from __future__ import annotations

from typing import Final

from tracekeeper_sidecar.process.normalize.dialects.langfuse import LANGFUSE
from tracekeeper_sidecar.process.normalize.dialects.openai_agents import OPENAI_AGENTS
from tracekeeper_sidecar.process.normalize.dialects.openinference import OPENINFERENCE
from tracekeeper_sidecar.process.normalize.dialects.openlit import OPENLIT
from tracekeeper_sidecar.process.normalize.dialects.otel import OTEL_1_36, OTEL_1_41
from tracekeeper_sidecar.process.normalize.dialects.pydantic_ai import PYDANTIC_AI
from tracekeeper_sidecar.process.normalize.dialects.traceloop import TRACELOOP
from tracekeeper_sidecar.process.normalize.dialects.vercel import VERCEL

DIALECTS: Final = (
    OTEL_1_41,
    OTEL_1_36,
    OPENINFERENCE,
    TRACELOOP,
    LANGFUSE,
    OPENLIT,
    VERCEL,
    PYDANTIC_AI,
    OPENAI_AGENTS,
)

TELLING: Final = (
    "langfuse",
    "openinference",
    "vercel",
    "pydantic_ai",
    "openlit",
    "traceloop",
    "otel_1_36",
    "otel_1_41",
    "openai_agents",
)
"""Which dialect a span is said to be of when rows of several have served: those come first that take over the names of
others."""
