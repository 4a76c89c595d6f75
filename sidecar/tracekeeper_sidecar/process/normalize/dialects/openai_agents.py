"""The OpenAI Agents SDK's own spans. The receiver of OpenAI's trace ingest says what it can by the canonical names on
the way in, and marks them with this dialect; nothing is left to be translated."""

from __future__ import annotations

from typing import Final

from tracekeeper_sidecar.process.normalize.row import Dialect

OPENAI_AGENTS: Final = Dialect("openai_agents", "OpenAI Agents SDK", scopes=("openai.agents",))
