"""Messages of every form come to be {role, parts}; what a model has thought is a part of its own."""

from __future__ import annotations

import json
from typing import Any

import pytest

import normalize_world as world

INPUT, OUTPUT = "gen_ai.input.messages", "gen_ai.output.messages"
LLM = {"openinference.span.kind": "LLM"}
CALL = {"type": "tool_call", "id": "call_1", "name": "get_weather", "arguments": '{"city":"Lyon"}'}


def text(role: str, content: str) -> dict[str, Any]:
    return {"role": role, "parts": [{"type": "text", "content": content}]}


def test_openinferences_indexed_messages() -> None:
    before = "llm.input_messages."
    found = world.one(
        LLM
        | {
            f"{before}10.message.role": "user",
            f"{before}10.message.content": "last",
            f"{before}0.message.role": "system",
            f"{before}0.message.content": "You are brief.",
            f"{before}1.message.role": "user",
            f"{before}1.message.contents.0.message_content.type": "text",
            f"{before}1.message.contents.0.message_content.text": "What is this?",
            f"{before}1.message.contents.1.message_content.type": "image",
            f"{before}1.message.contents.1.message_content.image.image.url": "https://example.com/a.png",
            f"{before}2.message.role": "assistant",
            f"{before}2.message.tool_calls.0.tool_call.id": "call_1",
            f"{before}2.message.tool_calls.0.tool_call.function.name": "get_weather",
            f"{before}2.message.tool_calls.0.tool_call.function.arguments": '{"city":"Lyon"}',
            f"{before}3.message.role": "tool",
            f"{before}3.message.tool_call_id": "call_1",
            f"{before}3.message.content": "18 degrees",
        }
    )

    assert world.messages(found, INPUT) == [
        text("system", "You are brief."),
        {
            "role": "user",
            "parts": [
                {"type": "text", "content": "What is this?"},
                {"type": "uri", "modality": "image", "uri": "https://example.com/a.png"},
            ],
        },
        {"role": "assistant", "parts": [CALL]},
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "call_1", "response": "18 degrees"}]},
        text("user", "last"),
    ]


def test_what_openinference_says_was_thought_is_reasoning() -> None:
    before = "llm.output_messages.0.message."
    found = world.one(
        LLM
        | {
            before + "role": "assistant",
            before + "contents.0.message_content.type": "reasoning",
            before + "contents.0.message_content.text": "The user greets me.",
            before + "contents.1.message_content.type": "text",
            before + "contents.1.message_content.text": "Hello.",
        }
    )

    assert world.messages(found, OUTPUT) == [
        {
            "role": "assistant",
            "parts": [{"type": "reasoning", "content": "The user greets me."}, {"type": "text", "content": "Hello."}],
        }
    ]


def test_traceloops_indexed_messages() -> None:
    found = world.one(
        {
            "llm.request.type": "chat",
            "gen_ai.prompt.0.role": "user",
            "gen_ai.prompt.0.content": '[{"type":"text","text":"What is the weather?"}]',
            "gen_ai.completion.0.role": "assistant",
            "gen_ai.completion.0.finish_reason": "tool_calls",
            "gen_ai.completion.0.tool_calls.0.id": "call_1",
            "gen_ai.completion.0.tool_calls.0.name": "get_weather",
            "gen_ai.completion.0.tool_calls.0.arguments": '{"city":"Lyon"}',
        }
    )

    assert world.messages(found, INPUT) == [text("user", "What is the weather?")]
    assert world.messages(found, OUTPUT) == [{"role": "assistant", "parts": [CALL], "finish_reason": "tool_calls"}]


def test_events_of_opentelemetrys_earlier_generation() -> None:
    calls = [{"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Lyon"}'}}]
    choice = {"role": "assistant", "content": "It is 18 degrees."}
    found = world.one(
        {"gen_ai.operation.name": "chat"},
        events=(
            ("gen_ai.system.message", {"gen_ai.system": "openai", "content": "You are brief."}),
            ("gen_ai.user.message", {"content": "What is the weather?"}),
            ("gen_ai.assistant.message", {"tool_calls": json.dumps(calls)}),
            ("gen_ai.tool.message", {"id": "call_1", "content": "18 degrees"}),
            ("exception", {"exception.type": "none of ours"}),
            ("gen_ai.choice", {"index": 0, "finish_reason": "stop", "message": json.dumps(choice)}),
        ),
    )

    assert world.messages(found, INPUT) == [
        text("system", "You are brief."),
        text("user", "What is the weather?"),
        {"role": "assistant", "parts": [CALL]},
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "call_1", "response": "18 degrees"}]},
    ]
    assert world.messages(found, OUTPUT) == [text("assistant", "It is 18 degrees.") | {"finish_reason": "stop"}]
    assert found["tracekeeper.dialect"] == "otel_1_36"


def test_events_with_all_that_was_said() -> None:
    found = world.one(
        {"gen_ai.operation.name": "chat"},
        events=(
            ("gen_ai.content.prompt", {"gen_ai.prompt": '[{"role":"user","content":"Hi"}]'}),
            ("gen_ai.content.completion", {"gen_ai.completion": "Hello."}),
        ),
    )

    assert world.messages(found, INPUT) == [text("user", "Hi")]
    assert world.messages(found, OUTPUT) == [text("assistant", "Hello.")]


def test_langfuses_json() -> None:
    found = world.one(
        {
            "langfuse.observation.type": "generation",
            "langfuse.observation.input": json.dumps({"messages": [{"role": "user", "content": "Hi"}], "tools": []}),
            "langfuse.observation.output": json.dumps(
                {"role": "assistant", "content": "Hello.", "reasoning_content": "A greeting."}
            ),
        }
    )

    assert world.messages(found, INPUT) == [text("user", "Hi")]
    assert world.messages(found, OUTPUT) == [
        {
            "role": "assistant",
            "parts": [{"type": "reasoning", "content": "A greeting."}, {"type": "text", "content": "Hello."}],
        }
    ]


def test_vercels_answer() -> None:
    calls = [{"type": "tool-call", "toolCallId": "call_1", "toolName": "get_weather", "input": '{"city":"Lyon"}'}]
    found = world.one(
        {
            "ai.operationId": "ai.streamText.doStream",
            "ai.prompt.messages": json.dumps([{"role": "user", "content": [{"type": "text", "text": "Weather?"}]}]),
            "ai.response.text": "I will look.",
            "ai.response.reasoning": "A tool is needed.",
            "ai.response.toolCalls": json.dumps(calls),
            "ai.response.finishReason": "tool-calls",
        }
    )

    assert world.messages(found, INPUT) == [text("user", "Weather?")]
    assert world.messages(found, OUTPUT) == [
        {
            "role": "assistant",
            "parts": [
                {"type": "reasoning", "content": "A tool is needed."},
                {"type": "text", "content": "I will look."},
                CALL,
            ],
            "finish_reason": "tool-calls",
        }
    ]
    assert found["gen_ai.response.finish_reasons"] == ["tool-calls"]


@pytest.mark.parametrize("structured", [False, True])
def test_canonical_messages_without_parts_get_them(structured: bool) -> None:
    flat: Any = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]
    found = world.one({"gen_ai.operation.name": "chat", INPUT: flat if structured else json.dumps(flat)})

    assert world.messages(found, INPUT) == [text("user", "Hi"), text("assistant", "Hello.")]


@pytest.mark.parametrize(
    "value",
    [
        "plain text",
        "[]",
        '[{"role": "user", "parts": []}]',
        '[ {"role": "user", "name": "Ann", "parts": [{"type": "text", "content": "Hi"}]}]',
        '{"role": "user"}',
        "[1, 2, 3]",
        '[{"role": "user", "content": "Hi"',
    ],
)
def test_other_canonical_messages_stay_as_they_are(value: str) -> None:
    assert world.new({"gen_ai.operation.name": "chat", INPUT: value}) == {}


@pytest.mark.parametrize(
    "answer",
    [
        {"choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello."}}]},
        {"content": [{"type": "text", "text": "Hello."}], "role": "assistant", "finish_reason": "stop"},
        [{"role": "assistant", "content": "Hello.", "finish_reason": "stop"}],
    ],
)
def test_answers_as_the_apis_give_them(answer: Any) -> None:
    found = world.one(LLM | {"output.value": json.dumps(answer)})

    assert world.messages(found, OUTPUT) == [text("assistant", "Hello.") | {"finish_reason": "stop"}]


@pytest.mark.parametrize("value", ['{"a": ', '[{"role": "user", "content": "cut o', "[" * 100_000, "[1, 2]", "{}"])
def test_json_that_is_cut_off_or_something_else_is_counted_and_stays(value: str) -> None:
    by = world.step()
    before = {"langfuse.observation.type": "generation", "langfuse.observation.input": value}
    found = world.one(before, by)

    assert INPUT not in found
    assert before.items() <= found.items()
    assert sum(world.samples(by, "tracekeeper_normalize_unusable_total").values()) == 1


def test_messages_that_are_very_large_are_not_stored_twice() -> None:
    by = world.step()
    before = {"langfuse.observation.type": "generation", "langfuse.observation.input": "x" * 1_100_000}

    assert INPUT not in world.one(before, by)
    assert world.samples(by, "tracekeeper_normalize_unusable_total") == {("langfuse", "too_large"): 1}


def test_text_that_is_not_unicode_does_no_harm() -> None:
    found = world.one(LLM | {"input.value": '[{"role": "user", "content": "\\ud800"}]'})

    assert world.messages(found, INPUT) == [text("user", "?")]


def test_prompts_of_chains_are_no_messages() -> None:
    assert INPUT not in world.one({"openinference.span.kind": "CHAIN", "input.value": "Hi"})


def test_messages_can_be_left_alone() -> None:
    by = world.step(messages=False)
    before = LLM | {"llm.input_messages.0.message.content": "Hi", "input.value": "Hi", INPUT: '[{"role":"user"}]'}
    events = (("gen_ai.user.message", {"content": "Hi"}),)

    assert world.new(before, by, events=events) == {
        "gen_ai.operation.name": "chat",
        "tracekeeper.dialect": "openinference",
    }
