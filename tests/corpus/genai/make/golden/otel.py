"""OpenTelemetry's own instrumentations of OpenAI's client."""

from __future__ import annotations

from golden.cases import openai_calls
from golden.spans import Case

_NO_PARTS = ("cache_read", "reasoning")

STABLE: dict[str, Case] = openai_calls(
    "chat {model}", "embeddings text-embedding-3-small", None, deaf=True, lost=_NO_PARTS
)
OPT_IN: dict[str, Case] = STABLE
LATEST: dict[str, Case] = openai_calls("chat {model}", "embeddings text-embedding-3-small", "chat {model}")
