"""Pydantic AI, which speaks OpenTelemetry's names of several generations, and some of its own."""

from __future__ import annotations

from typing import Final

from tracekeeper_sidecar.process.normalize import keys
from tracekeeper_sidecar.process.normalize.row import Dialect, Form, How, Kind, MessageRow, Row

_DETAILS = "gen_ai.usage.details."

PYDANTIC_AI: Final = Dialect(
    "pydantic_ai",
    "Pydantic AI",
    marks=("pydantic_ai.", "model_request_parameters"),
    silent=("pydantic_ai.", "model_request_parameters", "agent_name", "tool_arguments", "tool_response"),
    scopes=("pydantic-ai",),
    rows=(
        Row(keys.REASONING, _DETAILS + "reasoning_tokens", How.TOKENS),
        Row(keys.AUDIO_INPUT, _DETAILS + "input_audio_tokens", How.TOKENS),
        Row(keys.AUDIO_OUTPUT, _DETAILS + "output_audio_tokens", How.TOKENS),
        Row(keys.COST, "operation.cost", How.DOLLARS),
        Row(keys.AGENT_NAME, "agent_name", kinds=(Kind.AGENT,)),
        Row(keys.TOOL_ARGUMENTS, "tool_arguments", How.CONTENT, kinds=(Kind.TOOL,)),
        Row(keys.TOOL_RESULT, "tool_response", How.CONTENT, kinds=(Kind.TOOL,)),
    ),
    messages=(MessageRow(keys.INPUT_MESSAGES, "pydantic_ai.all_messages", Form.CHAT, kinds=(Kind.AGENT,)),),
)
