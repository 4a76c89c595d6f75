"""OpenInference (Arize Phoenix)."""

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
    TOOL,
    Component,
    Dialect,
    Form,
    How,
    Kind,
    KindRow,
    MessageRow,
    Row,
)

_PARAMETERS = "llm.invocation_parameters"
_EMBEDDING_PARAMETERS = "embedding.invocation_parameters"

OPENINFERENCE: Final = Dialect(
    "openinference",
    "OpenInference",
    silent=(
        "session.id", "agent.name", "graph.node.id", "graph.node.name", "tool.name", "tool.id", "tool.description",
        "tool_call.id", "tool_call.function.name", "tool_call.function.arguments", "input.value", "output.value",
        "prompt.id",
    ),
    kinds=(
        KindRow(
            "openinference.span.kind",
            {
                "llm": CHAT,
                "embedding": EMBEDDINGS,
                "agent": AGENT,
                "tool": TOOL,
                "retriever": RETRIEVAL,
                "reranker": Component(Kind.RETRIEVER),
                "guardrail": GUARDRAIL,
                "chain": PIPELINE,
                "evaluator": PIPELINE,
                "prompt": PIPELINE,
            },
            1,
        ),
    ),
    rows=(
        Row(keys.PROVIDER, "llm.provider", How.PROVIDER),
        Row(keys.PROVIDER, "llm.system", How.PROVIDER),
        Row(keys.REQUEST_MODEL, "llm.request.model_name"),
        Row(keys.REQUEST_MODEL, _PARAMETERS, member="model"),
        Row(keys.REQUEST_MODEL, "llm.model_name"),
        Row(keys.REQUEST_MODEL, "embedding.model_name"),
        Row(keys.REQUEST_MODEL, _EMBEDDING_PARAMETERS, member="model"),
        Row(keys.REQUEST_MODEL, "reranker.model_name"),
        Row(keys.RESPONSE_MODEL, "llm.response.model_name"),
        Row(keys.RESPONSE_MODEL, "llm.model_name", kinds=(Kind.LLM,), unlike=keys.REQUEST_MODEL),
        Row(keys.RESPONSE_ID, "output.value", member="id", kinds=(Kind.LLM,)),
        Row(keys.INPUT, "llm.token_count.prompt", How.TOKENS),
        Row(keys.OUTPUT, "llm.token_count.completion", How.TOKENS),
        Row(keys.CACHE_READ, "llm.token_count.prompt_details.cache_read", How.TOKENS),
        Row(keys.CACHE_READ, "llm.token_count.prompt_details.cache_input", How.TOKENS),
        Row(keys.CACHE_WRITE, "llm.token_count.prompt_details.cache_write", How.TOKENS),
        Row(keys.REASONING, "llm.token_count.completion_details.reasoning", How.TOKENS),
        Row(keys.AUDIO_INPUT, "llm.token_count.prompt_details.audio", How.TOKENS),
        Row(keys.AUDIO_OUTPUT, "llm.token_count.completion_details.audio", How.TOKENS),
        Row(keys.COST, "llm.cost.total", How.DOLLARS),
        Row(keys.FINISH_REASONS, "llm.finish_reason", How.LIST),
        Row(keys.AGENT_NAME, "agent.name"),
        Row(keys.AGENT_NAME, "graph.node.name", kinds=(Kind.AGENT,)),
        Row(keys.AGENT_NAME, "graph.node.id", kinds=(Kind.AGENT,)),
        Row(keys.TOOL_NAME, "tool.name", kinds=(Kind.TOOL,)),
        Row(keys.TOOL_NAME, "tool_call.function.name", kinds=(Kind.TOOL,)),
        Row(keys.TOOL_DESCRIPTION, "tool.description", kinds=(Kind.TOOL,)),
        Row(keys.TOOL_CALL_ID, "tool.id", kinds=(Kind.TOOL,)),
        Row(keys.TOOL_CALL_ID, "tool_call.id", kinds=(Kind.TOOL,)),
        Row(keys.TOOL_ARGUMENTS, "tool_call.function.arguments", How.CONTENT, kinds=(Kind.TOOL,)),
        Row(keys.TOOL_ARGUMENTS, "input.value", How.CONTENT, kinds=(Kind.TOOL,)),
        Row(keys.TOOL_RESULT, "output.value", How.CONTENT, kinds=(Kind.TOOL,)),
        Row(keys.CONVERSATION, "session.id"),
        Row(keys.PROMPT_NAME, "prompt.id"),
        Row(keys.PROMPT_VERSION, "llm.prompt_template.version"),
        Row(keys.TEMPERATURE, _PARAMETERS, How.NUMBER, "temperature"),
        Row(keys.TOP_P, _PARAMETERS, How.NUMBER, "top_p"),
        Row(keys.MAX_TOKENS, _PARAMETERS, How.WHOLE, "max_tokens"),
        Row(keys.MAX_TOKENS, _PARAMETERS, How.WHOLE, "max_completion_tokens"),
        Row(keys.MAX_TOKENS, _PARAMETERS, How.WHOLE, "max_output_tokens"),
        Row(keys.SEED, _PARAMETERS, How.WHOLE, "seed"),
    ),
    messages=(
        MessageRow(keys.INPUT_MESSAGES, "llm.input_messages.", Form.OPENINFERENCE),
        MessageRow(keys.OUTPUT_MESSAGES, "llm.output_messages.", Form.OPENINFERENCE, "assistant"),
        MessageRow(keys.INPUT_MESSAGES, "llm.prompts.", Form.TEXTS),
        MessageRow(keys.OUTPUT_MESSAGES, "llm.choices.", Form.TEXTS, "assistant"),
        MessageRow(keys.INPUT_MESSAGES, "input.value", Form.CHAT),
        MessageRow(keys.OUTPUT_MESSAGES, "output.value", Form.CHAT, "assistant"),
    ),
)
