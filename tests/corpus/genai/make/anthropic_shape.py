"""Anthropic's answers: messages, whole and streamed. Here `input_tokens` is without what the caches gave or took.

Shapes: the official Python client's types `Message` and `RawMessageStreamEvent`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from answers import ANTHROPIC, ARGUMENTS, TOOL, Answer, which

_STOP = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}


def choose(asked: dict[str, Any]) -> Answer | None:
    """The answer to a request for a message; None: refuse it."""
    texts: list[str] = []
    after_tool = False
    for message in asked["messages"]:
        content = message["content"]
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        after_tool = any(part["type"] == "tool_result" for part in parts)
        if message["role"] == "user":
            texts.extend(part["text"] for part in parts if part["type"] == "text")
    name = which(texts[-1] if texts else "", after_tool, ANTHROPIC)
    return None if name == "fail" else ANTHROPIC[name]


def _usage(answer: Answer) -> dict[str, Any]:
    used = answer.usage
    return {
        "input_tokens": used.input - used.cache_read - used.cache_write,
        "cache_creation_input_tokens": used.cache_write,
        "cache_read_input_tokens": used.cache_read,
        "cache_creation": {"ephemeral_5m_input_tokens": used.cache_write, "ephemeral_1h_input_tokens": 0},
        "output_tokens": used.output,
        "service_tier": "standard",
    }


def message(asked: dict[str, Any], model: str, answer: Answer, number: int) -> dict[str, Any]:
    """The body of a message."""
    content: list[dict[str, Any]]
    if answer.calls_tool:
        content = [{"type": "tool_use", "id": "toolu_corpus1", "name": TOOL, "input": json.loads(ARGUMENTS)}]
    else:
        content = [{"type": "text", "text": answer.text}]
    return {
        "id": f"msg_corpus{number}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": _STOP[answer.finish],
        "stop_sequence": None,
        "usage": _usage(answer),
    }


def message_stream(asked: dict[str, Any], model: str, answer: Answer, number: int) -> Iterator[tuple[str, Any]]:
    """The events of a streamed message: what went in stands in the first, what came out in the last but one."""
    whole = message(asked, model, answer, number)
    usage = _usage(answer)
    yield (
        "message_start",
        {
            "type": "message_start",
            "message": {**whole, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}},
        },
    )
    block = whole["content"][0]
    if block["type"] == "text":
        yield (
            "content_block_start",
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        )
        for word in answer.text.split(" "):
            yield (
                "content_block_delta",
                {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word + " "}},
            )
    else:
        yield (
            "content_block_start",
            {"type": "content_block_start", "index": 0, "content_block": {**block, "input": {}}},
        )
        yield (
            "content_block_delta",
            {
                "type": "content_block_delta",
                "index": 0,
                "delta": {"type": "input_json_delta", "partial_json": ARGUMENTS},
            },
        )
    yield "content_block_stop", {"type": "content_block_stop", "index": 0}
    yield (
        "message_delta",
        {
            "type": "message_delta",
            "usage": {"output_tokens": usage["output_tokens"]},
            "delta": {"stop_reason": whole["stop_reason"], "stop_sequence": None},
        },
    )
    yield "message_stop", {"type": "message_stop"}
