"""The calls of Anthropic's client that every instrumentation of it is asked to record."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from local import refused

MODEL = "claude-sonnet-4-5"
TOOL = {
    "name": "get_weather",
    "description": "The weather in a city now.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


def _ask(client: Any, text: str, **more: Any) -> Any:
    messages = [{"role": "user", "content": text}]
    return client.messages.create(model=MODEL, max_tokens=64, system="You are brief.", messages=messages, **more)


def plain(client: Any) -> None:
    """A question and its answer."""
    _ask(client, "Say hello.")


def cached(client: Any) -> None:
    """More read from the cache than the input that the API names: it is exclusive, and it shows."""
    _ask(client, "Use what is cached.")


def partly(client: Any) -> None:
    """Less read from the cache than the input that the API names: exclusive too, and it does not show."""
    _ask(client, "Use it partly.")


def stream(client: Any) -> None:
    """Streamed."""
    for _ in _ask(client, "Say it as a stream.", stream=True):
        pass


def tool_call(client: Any) -> None:
    """The model calls a tool, and answers when it has its result."""
    messages: list[Any] = [{"role": "user", "content": "What is the weather in Lyon?"}]
    first = client.messages.create(model=MODEL, max_tokens=64, messages=messages, tools=[TOOL])
    call = first.content[0]
    messages.append(
        {"role": "assistant", "content": [{"type": "tool_use", "id": call.id, "name": call.name, "input": call.input}]}
    )
    messages.append(
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "18 degrees, cloudy"}]}
    )
    client.messages.create(model=MODEL, max_tokens=64, messages=messages, tools=[TOOL])


def length(client: Any) -> None:
    """An answer that was cut off."""
    _ask(client, "Write a poem.")


def error(client: Any) -> None:
    """A call that is refused."""
    refused(lambda: _ask(client, "This must fail."))


def cases(client: Any) -> dict[str, Callable[[], object]]:
    """All of them with this client, by name."""
    calls = {
        "anthropic_chat": plain,
        "anthropic_cached": cached,
        "anthropic_partly": partly,
        "anthropic_stream": stream,
        "anthropic_tool": tool_call,
        "anthropic_length": length,
        "anthropic_error": error,
    }
    return {name: (lambda call=call: call(client)) for name, call in calls.items()}
