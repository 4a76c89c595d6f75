"""Langfuse's SDKs, from 3.0 on, which are OpenTelemetry underneath."""

from __future__ import annotations

from typing import Final

from tracekeeper_sidecar.process.normalize import keys
from tracekeeper_sidecar.process.normalize.row import (
    AGENT,
    CHAT,
    EMBEDDINGS,
    GUARDRAIL,
    PIPELINE,
    RETRIEVAL,
    SPAN_NAME,
    TOOL,
    Dialect,
    Form,
    How,
    Kind,
    KindRow,
    MessageRow,
    Row,
)

_USAGE = "langfuse.observation.usage_details"
_PARAMETERS = "langfuse.observation.model.parameters"

LANGFUSE: Final = Dialect(
    "langfuse",
    "Langfuse",
    marks=("langfuse.",),
    silent=("session.id",),
    scopes=("langfuse-sdk",),
    kinds=(
        KindRow(
            "langfuse.observation.type",
            {
                "generation": CHAT,
                "embedding": EMBEDDINGS,
                "agent": AGENT,
                "tool": TOOL,
                "retriever": RETRIEVAL,
                "guardrail": GUARDRAIL,
                "chain": PIPELINE,
                "evaluator": PIPELINE,
            },
            0,
        ),
    ),
    rows=(
        Row(keys.REQUEST_MODEL, "langfuse.observation.model.name"),
        # What OpenAI's API answers, as it came: everything is in these two.
        Row(keys.INPUT, _USAGE, How.TOKENS, "prompt_tokens"),
        Row(keys.OUTPUT, _USAGE, How.TOKENS, "completion_tokens"),
        Row(keys.CACHE_READ, _USAGE, How.TOKENS, "prompt_tokens_details.cached_tokens"),
        Row(keys.REASONING, _USAGE, How.TOKENS, "completion_tokens_details.reasoning_tokens"),
        Row(keys.AUDIO_INPUT, _USAGE, How.TOKENS, "prompt_tokens_details.audio_tokens"),
        Row(keys.AUDIO_OUTPUT, _USAGE, How.TOKENS, "completion_tokens_details.audio_tokens"),
        # Anthropic's, which alone has these names, and leaves the cached ones out.
        Row(keys.INPUT, _USAGE, How.TOKENS, "input_tokens", having="cache_read_input_tokens", exclusive=True),
        Row(keys.INPUT, _USAGE, How.TOKENS, "input_tokens", having="cache_creation_input_tokens", exclusive=True),
        Row(keys.INPUT, _USAGE, How.TOKENS, "input_tokens"),
        Row(keys.OUTPUT, _USAGE, How.TOKENS, "output_tokens"),
        Row(keys.CACHE_READ, _USAGE, How.TOKENS, "input_tokens_details.cached_tokens"),
        Row(keys.REASONING, _USAGE, How.TOKENS, "output_tokens_details.reasoning_tokens"),
        Row(keys.AUDIO_INPUT, _USAGE, How.TOKENS, "input_tokens_details.audio_tokens"),
        Row(keys.AUDIO_OUTPUT, _USAGE, How.TOKENS, "output_tokens_details.audio_tokens"),
        # Langfuse's own form, in which no token is in two of them.
        Row(keys.INPUT, _USAGE, How.TOKENS, "input", exclusive=True),
        Row(keys.OUTPUT, _USAGE, How.TOKENS, "output", exclusive=True),
        Row(keys.CACHE_READ, _USAGE, How.TOKENS, "input_cached_tokens"),
        Row(keys.CACHE_READ, _USAGE, How.TOKENS, "input_cache_read"),
        Row(keys.CACHE_READ, _USAGE, How.TOKENS, "cache_read_input_tokens"),
        Row(keys.CACHE_WRITE, _USAGE, How.TOKENS, "input_cache_creation"),
        Row(keys.CACHE_WRITE, _USAGE, How.TOKENS, "cache_creation_input_tokens"),
        Row(keys.REASONING, _USAGE, How.TOKENS, "output_reasoning_tokens"),
        Row(keys.REASONING, _USAGE, How.TOKENS, "output_reasoning"),
        Row(keys.AUDIO_INPUT, _USAGE, How.TOKENS, "input_audio_tokens"),
        Row(keys.AUDIO_OUTPUT, _USAGE, How.TOKENS, "output_audio_tokens"),
        Row(keys.COST, "langfuse.observation.cost_details", How.DOLLARS, "total"),
        Row(keys.COST, "langfuse.observation.cost_details", How.SUM),
        Row(keys.FIRST_CHUNK, "langfuse.observation.completion_start_time", How.SINCE),
        Row(keys.AGENT_NAME, SPAN_NAME, kinds=(Kind.AGENT,)),
        Row(keys.TOOL_NAME, SPAN_NAME, kinds=(Kind.TOOL,)),
        Row(keys.TOOL_ARGUMENTS, "langfuse.observation.input", How.CONTENT, kinds=(Kind.TOOL,)),
        Row(keys.TOOL_RESULT, "langfuse.observation.output", How.CONTENT, kinds=(Kind.TOOL,)),
        Row(keys.WORKFLOW, "langfuse.trace.name"),
        Row(keys.CONVERSATION, "langfuse.session.id"),
        Row(keys.CONVERSATION, "session.id"),
        Row(keys.USER, "langfuse.user.id"),
        Row(keys.ENVIRONMENT, "langfuse.environment"),
        Row(keys.PROMPT_NAME, "langfuse.observation.prompt.name"),
        Row(keys.PROMPT_VERSION, "langfuse.observation.prompt.version", How.CONTENT),
        Row(keys.TEMPERATURE, _PARAMETERS, How.NUMBER, "temperature"),
        Row(keys.TOP_P, _PARAMETERS, How.NUMBER, "top_p"),
        Row(keys.MAX_TOKENS, _PARAMETERS, How.WHOLE, "max_tokens"),
    ),
    messages=(
        MessageRow(keys.INPUT_MESSAGES, "langfuse.observation.input", Form.CHAT),
        MessageRow(keys.OUTPUT_MESSAGES, "langfuse.observation.output", Form.CHAT, "assistant"),
    ),
)
