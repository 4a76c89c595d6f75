"""OpenTelemetry's own earlier generations: semantic conventions up to 1.36, and 1.37 to 1.41."""

from __future__ import annotations

from typing import Final

from tracekeeper_sidecar.process.normalize import keys
from tracekeeper_sidecar.process.normalize.row import Dialect, Form, How, MessageRow, Row

OTEL_1_36: Final = Dialect(
    "otel_1_36",
    "OpenTelemetry up to 1.36",
    silent=(
        "enduser.id",
        "gen_ai.openai.request.service_tier",
        "gen_ai.openai.response.service_tier",
        "gen_ai.openai.response.system_fingerprint",
    ),
    rows=(
        Row(keys.PROVIDER, "gen_ai.system", How.PROVIDER),
        Row(keys.INPUT, "gen_ai.usage.prompt_tokens", How.TOKENS),
        Row(keys.OUTPUT, "gen_ai.usage.completion_tokens", How.TOKENS),
        Row(keys.USER, "enduser.id"),
        Row(keys.SEED, "gen_ai.openai.request.seed", How.WHOLE),
        Row("gen_ai.output.type", "gen_ai.openai.request.response_format"),
        Row("openai.request.service_tier", "gen_ai.openai.request.service_tier"),
        Row("openai.response.service_tier", "gen_ai.openai.response.service_tier"),
        Row("openai.response.system_fingerprint", "gen_ai.openai.response.system_fingerprint"),
    ),
    messages=(
        MessageRow(keys.INPUT_MESSAGES, "event gen_ai.system.message", Form.EVENTS, "system"),
        MessageRow(keys.INPUT_MESSAGES, "event gen_ai.user.message", Form.EVENTS),
        MessageRow(keys.INPUT_MESSAGES, "event gen_ai.assistant.message", Form.EVENTS, "assistant"),
        MessageRow(keys.INPUT_MESSAGES, "event gen_ai.tool.message", Form.EVENTS, "tool"),
        MessageRow(keys.OUTPUT_MESSAGES, "event gen_ai.choice", Form.EVENTS, "assistant"),
        MessageRow(keys.INPUT_MESSAGES, "event gen_ai.content.prompt", Form.CONTENT_EVENT),
        MessageRow(keys.OUTPUT_MESSAGES, "event gen_ai.content.completion", Form.CONTENT_EVENT, "assistant"),
        MessageRow(keys.INPUT_MESSAGES, "gen_ai.prompt", Form.CHAT),
        MessageRow(keys.OUTPUT_MESSAGES, "gen_ai.completion", Form.CHAT, "assistant"),
    ),
)

OTEL_1_41: Final = Dialect(
    "otel_1_41",
    "OpenTelemetry 1.37 to 1.41",
    rows=(Row(keys.CACHE_WRITE, keys.CACHE_CREATION, How.TOKENS),),
)
