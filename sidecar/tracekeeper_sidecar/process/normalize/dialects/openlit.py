"""OpenLIT, whose names are mostly those of OpenTelemetry, of several generations."""

from __future__ import annotations

from typing import Final

from tracekeeper_sidecar.process.normalize import keys
from tracekeeper_sidecar.process.normalize.row import AGENT, PIPELINE, RETRIEVAL, Dialect, How, Kind, KindRow, Row

OPENLIT: Final = Dialect(
    "openlit",
    "OpenLIT",
    marks=("gen_ai.sdk.version", "gen_ai.environment", "gen_ai.application_name", "gen_ai.request.is_stream"),
    silent=(
        "gen_ai.sdk.version",
        "gen_ai.environment",
        "gen_ai.application_name",
        "gen_ai.request.is_stream",
        "gen_ai.request.service_tier",
        "gen_ai.response.service_tier",
        "gen_ai.response.system_fingerprint",
        "gen_ai.server.time_to_first_token",
    ),
    scopes=("openlit",),
    exclusive=("anthropic", "aws.bedrock"),
    kinds=(
        KindRow(
            keys.OPERATION,
            {
                "agent": AGENT,
                "execute_task": PIPELINE,
                "framework": PIPELINE,
                "workflow": PIPELINE,
                "vectordb": RETRIEVAL,
                "retrieve": RETRIEVAL,
            },
            5,
        ),
    ),
    rows=(
        Row(keys.CACHE_READ, "gen_ai.usage.details.cache_read", How.TOKENS),
        Row(keys.CACHE_READ, "gen_ai.usage.input_tokens_details.cache_read", How.TOKENS),
        Row(keys.CACHE_WRITE, "gen_ai.usage.input_tokens_details.cache_write", How.TOKENS),
        Row(keys.REASONING, "gen_ai.usage.completion_tokens_details.reasoning", How.TOKENS),
        Row(keys.AUDIO_OUTPUT, "gen_ai.usage.completion_tokens_details.audio", How.TOKENS),
        Row(keys.TOOL_ARGUMENTS, "gen_ai.tool.args", How.CONTENT, kinds=(Kind.TOOL,)),
        Row(keys.TOOL_ARGUMENTS, "gen_ai.tool.input", How.CONTENT, kinds=(Kind.TOOL,)),
        Row(keys.TOOL_RESULT, "gen_ai.tool.output", How.CONTENT, kinds=(Kind.TOOL,)),
        Row(keys.USER, "gen_ai.request.user"),
        Row(keys.ENVIRONMENT, "gen_ai.environment"),
        Row(keys.FIRST_CHUNK, "gen_ai.server.time_to_first_token", How.NUMBER),
        Row("openai.request.service_tier", "gen_ai.request.service_tier"),
        Row("openai.response.service_tier", "gen_ai.response.service_tier"),
        Row("openai.response.system_fingerprint", "gen_ai.response.system_fingerprint"),
    ),
)
