"""Traceloop's OpenLLMetry."""

from __future__ import annotations

from typing import Final

from tracekeeper_sidecar.process.normalize import keys
from tracekeeper_sidecar.process.normalize.row import (
    AGENT,
    CHAT,
    COMPLETION,
    EMBEDDINGS,
    PIPELINE,
    TOOL,
    WORKFLOW,
    Component,
    Dialect,
    Form,
    How,
    Kind,
    KindRow,
    MessageRow,
    Row,
)

_OWN = "traceloop.association.properties."

TRACELOOP: Final = Dialect(
    "traceloop",
    "Traceloop (OpenLLMetry)",
    marks=(
        "traceloop.",
        "llm.usage.total_tokens",
        "llm.is_streaming",
        "gen_ai.usage.total_tokens",
        "gen_ai.is_streaming",
    ),
    silent=("llm.usage.total_tokens", "llm.is_streaming", "gen_ai.usage.total_tokens", "gen_ai.is_streaming"),
    scopes=("traceloop.", "opentelemetry.instrumentation.openai.v"),
    kinds=(
        KindRow("traceloop.span.kind", {"workflow": WORKFLOW, "task": PIPELINE, "agent": AGENT, "tool": TOOL}, 3),
        KindRow(
            "llm.request.type",
            {"chat": CHAT, "completion": COMPLETION, "embedding": EMBEDDINGS, "rerank": Component(Kind.RETRIEVER)},
            4,
        ),
    ),
    rows=(
        Row(keys.AGENT_NAME, "traceloop.entity.name", kinds=(Kind.AGENT,)),
        Row(keys.TOOL_NAME, "traceloop.entity.name", kinds=(Kind.TOOL,)),
        Row(keys.WORKFLOW, "traceloop.workflow.name"),
        Row(keys.TOOL_ARGUMENTS, "traceloop.entity.input", How.CONTENT, kinds=(Kind.TOOL,)),
        Row(keys.TOOL_RESULT, "traceloop.entity.output", How.CONTENT, kinds=(Kind.TOOL,)),
        Row(keys.CACHE_READ, "gen_ai.usage.cache_read_input_tokens", How.TOKENS),
        Row(keys.CACHE_WRITE, "gen_ai.usage.cache_creation_input_tokens", How.TOKENS),
        Row(keys.REASONING, "gen_ai.usage.reasoning_tokens", How.TOKENS),
        Row(keys.REASONING, "llm.usage.reasoning_tokens", How.TOKENS),
        Row(keys.FINISH_REASONS, "gen_ai.response.finish_reason", How.LIST),
        Row(keys.FINISH_REASONS, "gen_ai.response.stop_reason", How.LIST),
        Row(keys.FINISH_REASONS, "llm.response.finish_reason", How.LIST),
        Row(keys.FINISH_REASONS, "llm.response.stop_reason", How.LIST),
        Row(keys.TOP_K, "llm.top_k", How.WHOLE),
        Row(keys.FREQUENCY_PENALTY, "llm.frequency_penalty", How.NUMBER),
        Row(keys.PRESENCE_PENALTY, "llm.presence_penalty", How.NUMBER),
        Row(keys.USER, "gen_ai.user"),
        Row(keys.USER, "llm.user"),
        Row(keys.USER, _OWN + "user_id"),
        Row(keys.CONVERSATION, _OWN + "session_id"),
        Row(keys.CONVERSATION, _OWN + "conversation_id"),
        Row(keys.CONVERSATION, _OWN + "thread_id"),
        Row(keys.PROMPT_NAME, "traceloop.prompt.key"),
        Row(keys.PROMPT_VERSION, "traceloop.prompt.version", How.CONTENT),
    ),
    messages=(
        MessageRow(keys.INPUT_MESSAGES, "gen_ai.prompt.", Form.TRACELOOP),
        MessageRow(keys.OUTPUT_MESSAGES, "gen_ai.completion.", Form.TRACELOOP, "assistant"),
    ),
)
