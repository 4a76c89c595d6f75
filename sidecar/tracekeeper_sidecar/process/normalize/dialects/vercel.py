"""The AI SDK of Vercel."""

from __future__ import annotations

from typing import Final

from tracekeeper_sidecar.process.normalize import keys
from tracekeeper_sidecar.process.normalize.row import (
    CHAT,
    EMBEDDINGS,
    PIPELINE,
    TOOL,
    Dialect,
    Form,
    How,
    Kind,
    KindRow,
    MessageRow,
    Row,
)

_DETAILS = "ai.usage.inputTokenDetails."
_METADATA = "ai.response.providerMetadata"
_OWN = "ai.telemetry.metadata."

VERCEL: Final = Dialect(
    "vercel",
    "Vercel AI SDK",
    marks=("ai.operationId", "ai.settings.", _OWN),
    exclusive=("anthropic", "aws.bedrock", "bedrock"),
    inclusive_marks=(_DETAILS + "cacheReadTokens", _DETAILS + "noCacheTokens", _DETAILS + "cacheWriteTokens"),
    kinds=(
        KindRow(
            "ai.operationId",
            {
                "ai.generatetext": PIPELINE,
                "ai.streamtext": PIPELINE,
                "ai.generateobject": PIPELINE,
                "ai.streamobject": PIPELINE,
                "ai.embed": PIPELINE,
                "ai.embedmany": PIPELINE,
                "ai.rerank": PIPELINE,
                "ai.generatetext.dogenerate": CHAT,
                "ai.streamtext.dostream": CHAT,
                "ai.generateobject.dogenerate": CHAT,
                "ai.streamobject.dostream": CHAT,
                "ai.embed.doembed": EMBEDDINGS,
                "ai.embedmany.doembed": EMBEDDINGS,
                "ai.toolcall": TOOL,
            },
            3,
        ),
        # The next generation, which speaks OpenTelemetry's names.
        KindRow(keys.OPERATION, {"agent_step": PIPELINE}, 5),
    ),
    rows=(
        Row(keys.PROVIDER, "ai.model.provider", How.PROVIDER),
        Row(keys.REQUEST_MODEL, "ai.model.id"),
        Row(keys.RESPONSE_MODEL, "ai.response.model"),
        Row(keys.RESPONSE_ID, "ai.response.id"),
        Row(keys.INPUT, "ai.usage.inputTokens", How.TOKENS),
        Row(keys.INPUT, "ai.usage.promptTokens", How.TOKENS),
        Row(keys.INPUT, "ai.usage.tokens", How.TOKENS),
        Row(keys.OUTPUT, "ai.usage.outputTokens", How.TOKENS),
        Row(keys.OUTPUT, "ai.usage.completionTokens", How.TOKENS),
        Row(keys.CACHE_READ, _DETAILS + "cacheReadTokens", How.TOKENS),
        Row(keys.CACHE_READ, "ai.usage.cachedInputTokens", How.TOKENS),
        Row(keys.CACHE_WRITE, _DETAILS + "cacheWriteTokens", How.TOKENS),
        Row(keys.CACHE_WRITE, "ai.usage.cacheCreationInputTokens", How.TOKENS),
        # Some releases have the cached tokens of Anthropic's only in what it answered.
        Row(keys.CACHE_READ, _METADATA, How.TOKENS, "anthropic.usage.cache_read_input_tokens"),
        Row(keys.CACHE_WRITE, _METADATA, How.TOKENS, "anthropic.usage.cache_creation_input_tokens"),
        Row(keys.CACHE_WRITE, _METADATA, How.TOKENS, "anthropic.cacheCreationInputTokens"),
        Row(keys.REASONING, "ai.usage.outputTokenDetails.reasoningTokens", How.TOKENS),
        Row(keys.REASONING, "ai.usage.reasoningTokens", How.TOKENS),
        Row(keys.FINISH_REASONS, "ai.response.finishReason", How.LIST),
        Row(keys.FINISH_REASONS, "ai.finishReason", How.LIST),
        Row(keys.FIRST_CHUNK, "ai.response.msToFirstChunk", How.SECONDS),
        Row(keys.FIRST_CHUNK, "ai.stream.msToFirstChunk", How.SECONDS),
        Row(keys.TOOL_NAME, "ai.toolCall.name", kinds=(Kind.TOOL,)),
        Row(keys.TOOL_CALL_ID, "ai.toolCall.id", kinds=(Kind.TOOL,)),
        Row(keys.TOOL_ARGUMENTS, "ai.toolCall.args", How.CONTENT, kinds=(Kind.TOOL,)),
        Row(keys.TOOL_RESULT, "ai.toolCall.result", How.CONTENT, kinds=(Kind.TOOL,)),
        Row(keys.CONVERSATION, _OWN + "sessionId"),
        Row(keys.CONVERSATION, _OWN + "conversationId"),
        Row(keys.USER, _OWN + "userId"),
        Row(keys.TEMPERATURE, "ai.settings.temperature", How.NUMBER),
        Row(keys.TOP_P, "ai.settings.topP", How.NUMBER),
        Row(keys.TOP_K, "ai.settings.topK", How.WHOLE),
        Row(keys.MAX_TOKENS, "ai.settings.maxOutputTokens", How.WHOLE),
        Row(keys.MAX_TOKENS, "ai.settings.maxTokens", How.WHOLE),
        Row(keys.SEED, "ai.settings.seed", How.WHOLE),
    ),
    messages=(
        MessageRow(keys.INPUT_MESSAGES, "ai.prompt.messages", Form.CHAT),
        MessageRow(keys.OUTPUT_MESSAGES, "ai.response.", Form.ANSWER, "assistant"),
        MessageRow(keys.OUTPUT_MESSAGES, "ai.result.", Form.ANSWER, "assistant"),
    ),
)
