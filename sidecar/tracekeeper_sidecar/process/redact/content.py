"""Which attributes hold what was said to models and tools and what they answered, in every dialect, and what of it
stays when the rest is blanked.

One table: adding a dialect is adding rows. Keys are compared exactly, or by what they begin with, where an index
follows.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

KEYS: Final = frozenset(
    (
        # OpenTelemetry, three generations.
        b"gen_ai.input.messages",
        b"gen_ai.output.messages",
        b"gen_ai.system_instructions",
        b"gen_ai.tool.definitions",
        b"gen_ai.tool.call.arguments",
        b"gen_ai.tool.call.result",
        b"gen_ai.prompt",
        b"gen_ai.completion",
        b"gen_ai.retrieval.query.text",
        b"gen_ai.retrieval.documents",
        b"gen_ai.memory.query.text",
        b"gen_ai.memory.records",
        b"gen_ai.event.content",
        # OpenInference.
        b"input.value",
        b"output.value",
        b"llm.prompts",
        b"llm.prompt_template.variables",
        b"llm.prompt_template.template",
        b"llm.function_call",
        b"llm.invocation_parameters",
        b"tool.parameters",
        b"retrieval.query",
        b"reranker.query",
        b"embedding.text",
        # Traceloop.
        b"traceloop.entity.input",
        b"traceloop.entity.output",
        b"traceloop.prompt.template_variables",
        b"llm.request.functions",
        # Langfuse.
        b"langfuse.observation.input",
        b"langfuse.observation.output",
        b"langfuse.trace.input",
        b"langfuse.trace.output",
        # OpenLIT.
        b"gen_ai.content.prompt",
        b"gen_ai.content.completion",
        b"gen_ai.content.reasoning",
        b"gen_ai.tool.input",
        b"gen_ai.tool.output",
        b"gen_ai.tool.args",
        # Vercel AI.
        b"ai.prompt",
        b"ai.prompt.messages",
        b"ai.prompt.tools",
        b"ai.response.text",
        b"ai.response.object",
        b"ai.response.reasoning",
        b"ai.response.toolCalls",
        b"ai.result.text",
        b"ai.result.object",
        b"ai.result.toolCalls",
        b"ai.toolCall.args",
        b"ai.toolCall.result",
        b"ai.value",
        b"ai.values",
        b"ai.schema",
        # Frameworks that say it in their own way.
        b"pydantic_ai.all_messages",
        b"all_messages_events",
        b"final_result",
        b"tool_arguments",
        b"tool_response",
        b"mlflow.spanInputs",
        b"mlflow.spanOutputs",
        b"gcp.vertex.agent.llm_request",
        b"gcp.vertex.agent.llm_response",
        b"gcp.vertex.agent.tool_call_args",
        b"gcp.vertex.agent.tool_response",
        b"gcp.vertex.agent.data",
        b"genkit:input",
        b"genkit:output",
        b"crewai.task.description",
        b"crewai.task.expected_output",
        b"lk.input_text",
        b"lk.response.text",
        b"lk.chat_ctx",
        b"lk.user_transcript",
        b"lk.function_tool.arguments",
        b"lk.function_tool.output",
    )
)
"""Attributes of spans and events."""

BEGINNINGS: Final = (
    b"gen_ai.prompt.",
    b"gen_ai.completion.",
    b"llm.input_messages.",
    b"llm.output_messages.",
    b"llm.prompts.",
    b"llm.completions.",
    b"llm.choices.",
    b"llm.request.functions.",
    b"retrieval.documents.",
    b"reranker.input_documents.",
    b"reranker.output_documents.",
    b"embedding.embeddings.",
    b"gen_ai.request.messages.",
    b"tool_call.function.arguments",
    b"message.content",
    b"message.tool_calls.",
)
"""What keys of attributes with an index begin with."""

NEVER: Final = frozenset((b"gen_ai.prompt.name", b"gen_ai.prompt.version", b"gen_ai.prompt.id"))
"""Keys that begin so and say which prompt it was."""

OF_EVENTS: Final = frozenset(
    (b"content", b"message", b"prompt", b"completion", b"tool_calls", b"arguments", b"body", b"text", b"response")
)
"""Attributes of events, such as `gen_ai.user.message` and `gen_ai.choice`, besides KEYS."""

_STRUCTURE: Final = re.compile(
    rb"[._](?:role|type|finish_reason|mime_type|modality|index|score|id|tool_call_id|function\.name|name)$"
)
_WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./+:-]{0,63}")
_KIND: Final = re.compile(r"[a-z][a-z0-9_/+.-]{0,31}")
_KINDS: Final = frozenset(("role", "type", "finish_reason", "stop_reason", "modality", "mime_type"))
_IDS: Final = frozenset(("id", "tool_call_id", "call_id"))
_MOST_INDEX: Final = 100_000
"""What is greater is no place in a list."""
_CALLS: Final = frozenset(("tool_call", "function", "server_tool_call", "function_call", "tool_use", "tool-call"))
_MOST_DEPTH: Final = 64
_MOST_BYTES: Final = 1 << 20
_MOST_SIGNS: Final = 50_000
"""Commas and opening brackets: parsed, each may take 150 bytes and a microsecond."""


def is_content(key: bytes, of_event: bool) -> bool:
    """Whether what the key names is what was said."""
    if key in KEYS or (of_event and key in OF_EVENTS):
        return True
    return key.startswith(BEGINNINGS) and key not in NEVER


def is_structure(key: bytes) -> bool:
    """Whether a key with an index names who spoke, or of what kind it was: a single word, if it is that, stays."""
    return key.startswith(BEGINNINGS) and _STRUCTURE.search(key) is not None


def is_word(text: bytes) -> bool:
    """Whether it is a single word, as roles and kinds and names of tools are."""
    return len(text) <= 64 and _KIND.fullmatch(text.decode(errors="replace")) is not None


def blanked(text: bytes, mask: bytes) -> bytes:
    """`text` with what was said in it in place of which `mask` stands; JSON keeps its form, its roles and its kinds,
    unless it is large."""
    if not text:
        return text
    if text.lstrip()[:1] in (b"{", b"[") and _is_small(text):
        try:
            found = json.loads(text)
            blank = _blank(found, mask.decode(), _MOST_DEPTH)
            return json.dumps(blank, separators=(",", ":"), ensure_ascii=False).encode(errors="surrogatepass")
        except (ValueError, RecursionError):
            pass  # No JSON, or cut off.
    return mask


def _is_small(text: bytes) -> bool:
    """Whether it may be parsed, in one go and in memory."""
    return len(text) <= _MOST_BYTES and sum(map(text.count, (b",", b"[", b"{"))) <= _MOST_SIGNS


def _blank(value: Any, mask: str, depth: int) -> Any:
    if value is None or value == "":
        return value
    if depth == 0:
        return mask
    if isinstance(value, list):
        return [_blank(each, mask, depth - 1) for each in value]
    if not isinstance(value, dict):
        return mask
    # Whoever wrote it has chosen the keys of arguments, too: only those that messages have are known to say nothing.
    return {
        (key if _KIND.fullmatch(key) else mask): each if _stays(key, each, value) else _blank(each, mask, depth - 1)
        for key, each in value.items()
    }


def _stays(key: str, each: Any, around: dict[str, Any]) -> bool:
    if key == "index" and isinstance(each, int):
        return 0 <= each < _MOST_INDEX
    if not isinstance(each, str):
        return False
    if key in _KINDS:
        return _KIND.fullmatch(each) is not None
    if key in _IDS:
        return _WORD.fullmatch(each) is not None and ("role" in around or "type" in around)
    return (
        key == "name" and (around.get("type") in _CALLS or "arguments" in around) and _WORD.fullmatch(each) is not None
    )
