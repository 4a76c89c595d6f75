"""OpenAI's answers: chat completions, responses, embeddings, whole and streamed.

Shapes: the official Python client's types `ChatCompletion`, `ChatCompletionChunk`, `Response`,
`CreateEmbeddingResponse`.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator
from typing import Any

from answers import ARGUMENTS, EMBEDDING, OPENAI, TOOL, VECTOR, Answer, which

_MADE = 1_760_000_000


def choose(asked: dict[str, Any]) -> Answer | None:
    """The answer to a request for a chat completion or a response; None: refuse it."""
    messages = asked["messages"] if "messages" in asked else asked["input"]
    if isinstance(messages, str):
        name = which(messages, False, OPENAI)
    else:
        last = messages[-1]
        after_tool = last.get("role") == "tool" or last.get("type") == "function_call_output"
        told = [item for item in messages if item.get("role") == "user"]
        content = told[-1]["content"] if told else ""
        text = content if isinstance(content, str) else " ".join(part.get("text", "") for part in content)
        name = which(text, after_tool, OPENAI)
    return None if name == "fail" else OPENAI[name]


def _chat_usage(answer: Answer) -> dict[str, Any]:
    used = answer.usage
    return {
        "prompt_tokens": used.input,
        "completion_tokens": used.output,
        "total_tokens": used.input + used.output,
        "prompt_tokens_details": {"cached_tokens": used.cache_read, "audio_tokens": used.input_audio},
        "completion_tokens_details": {
            "reasoning_tokens": used.reasoning,
            "audio_tokens": used.output_audio,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _call() -> dict[str, Any]:
    return {"id": "call_corpus1", "type": "function", "function": {"name": TOOL, "arguments": ARGUMENTS}}


def chat(asked: dict[str, Any], model: str, answer: Answer, number: int) -> dict[str, Any]:
    """The body of a chat completion."""
    message: dict[str, Any] = {"role": "assistant", "content": answer.text or None, "refusal": None}
    if answer.calls_tool:
        message["tool_calls"] = [_call()]
    return {
        "id": f"chatcmpl-corpus{number}",
        "object": "chat.completion",
        "created": _MADE,
        "model": model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": answer.finish}],
        "usage": _chat_usage(answer),
        "service_tier": "default",
        "system_fingerprint": "fp_corpus",
    }


def chat_stream(asked: dict[str, Any], model: str, answer: Answer, number: int) -> Iterator[tuple[str, Any]]:
    """The events of a streamed chat completion; the usage only where `stream_options` asks for it."""

    def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        return {
            "id": f"chatcmpl-corpus{number}",
            "object": "chat.completion.chunk",
            "created": _MADE,
            "model": model,
            "service_tier": "default",
            "system_fingerprint": "fp_corpus",
            "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}],
        }

    yield "", chunk({"role": "assistant", "content": ""})
    if answer.calls_tool:
        yield "", chunk({"tool_calls": [{"index": 0, **_call()}]})
    for word in answer.text.split(" "):
        if word:
            yield "", chunk({"content": word + " "})
    yield "", chunk({}, answer.finish)
    if (asked.get("stream_options") or {}).get("include_usage"):
        yield "", {**chunk({}), "choices": [], "usage": _chat_usage(answer)}
    yield "", "[DONE]"


def response(asked: dict[str, Any], model: str, answer: Answer, number: int) -> dict[str, Any]:
    """The body of a response."""
    used = answer.usage
    output: list[dict[str, Any]] = []
    if answer.thought:
        output.append(
            {
                "id": f"rs_corpus{number}",
                "type": "reasoning",
                "content": [],
                "summary": [{"type": "summary_text", "text": answer.thought}],
            }
        )
    if answer.calls_tool:
        output.append(
            {
                "id": f"fc_corpus{number}",
                "type": "function_call",
                "status": "completed",
                "call_id": "call_corpus1",
                "name": TOOL,
                "arguments": ARGUMENTS,
            }
        )
    else:
        output.append(
            {
                "id": f"msg_corpus{number}",
                "type": "message",
                "status": "completed",
                "role": "assistant",
                "content": [{"type": "output_text", "text": answer.text, "annotations": [], "logprobs": []}],
            }
        )
    short = answer.finish == "length"
    return {
        "id": f"resp_corpus{number}",
        "object": "response",
        "created_at": _MADE,
        "error": None,
        "instructions": None,
        "status": "incomplete" if short else "completed",
        "incomplete_details": {"reason": "max_output_tokens"} if short else None,
        "max_output_tokens": None,
        "model": model,
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "metadata": {},
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "default",
        "store": True,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": asked.get("tools") or [],
        "top_p": 1.0,
        "truncation": "disabled",
        "user": None,
        "usage": {
            "input_tokens": used.input,
            "input_tokens_details": {"cached_tokens": used.cache_read},
            "output_tokens": used.output,
            "output_tokens_details": {"reasoning_tokens": used.reasoning},
            "total_tokens": used.input + used.output,
        },
    }


def response_stream(asked: dict[str, Any], model: str, answer: Answer, number: int) -> Iterator[tuple[str, Any]]:
    """The events of a streamed response."""
    whole = response(asked, model, answer, number)
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": {**whole, "status": "in_progress", "output": [], "usage": None}}
    ]
    for index, item in enumerate(whole["output"]):
        started = {**item, "status": "in_progress", **({"content": []} if item["type"] == "message" else {})}
        events.append({"type": "response.output_item.added", "output_index": index, "item": started})
        if item["type"] == "message":
            at = {"item_id": item["id"], "output_index": index, "content_index": 0}
            part = item["content"][0]
            events.append({"type": "response.content_part.added", **at, "part": {**part, "text": ""}})
            events.extend(
                {"type": "response.output_text.delta", **at, "delta": word + " ", "logprobs": []}
                for word in answer.text.split(" ")
            )
            events.append({"type": "response.output_text.done", **at, "text": answer.text, "logprobs": []})
            events.append({"type": "response.content_part.done", **at, "part": part})
        events.append({"type": "response.output_item.done", "output_index": index, "item": item})
    last = "response.incomplete" if whole["status"] == "incomplete" else "response.completed"
    events.append({"type": last, "response": whole})
    for place, event in enumerate(events):
        yield event["type"], {**event, "sequence_number": place}


def embedding(asked: dict[str, Any]) -> dict[str, Any]:
    """The body of an answer with one vector for each input."""
    asked_for = asked["input"]
    count = len(asked_for) if isinstance(asked_for, list) and asked_for and isinstance(asked_for[0], str) else 1
    vector: Any = VECTOR
    if asked.get("encoding_format") == "base64":
        vector = base64.b64encode(struct.pack(f"<{len(VECTOR)}f", *VECTOR)).decode()
    return {
        "object": "list",
        "model": asked["model"],
        "data": [{"object": "embedding", "index": index, "embedding": vector} for index in range(count)],
        "usage": {"prompt_tokens": EMBEDDING.input, "total_tokens": EMBEDDING.input},
    }
