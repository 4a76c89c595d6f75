"""The calls of OpenAI's client that every instrumentation of it is asked to record."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from local import refused

TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city now.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
FLAT_TOOL = {"type": "function", "strict": False, **TOOL["function"]}


def _ask(client: Any, text: str, model: str = "gpt-4o", **more: Any) -> Any:
    messages = [{"role": "system", "content": "You are brief."}, {"role": "user", "content": text}]
    return client.chat.completions.create(model=model, messages=messages, **more)


def plain(client: Any) -> None:
    """A question and its answer."""
    _ask(client, "Say hello.", temperature=0.5, max_tokens=64)


def stream(client: Any) -> None:
    """The same streamed, with usage asked for."""
    for _ in _ask(client, "Say it as a stream.", stream=True, stream_options={"include_usage": True}):
        pass


def think(client: Any) -> None:
    """Cached tokens in what went in, reasoning tokens in what came out."""
    _ask(client, "Think about it.", "o4-mini")


def tool_call(client: Any) -> None:
    """The model calls a tool, and answers when it has its result."""
    messages: list[Any] = [{"role": "user", "content": "What is the weather in Lyon?"}]
    first = client.chat.completions.create(model="gpt-4o", messages=messages, tools=[TOOL])
    call = first.choices[0].message.tool_calls[0]
    messages.append(
        {
            "role": "assistant",
            "tool_calls": [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.function.name, "arguments": call.function.arguments},
                }
            ],
        }
    )
    messages.append({"role": "tool", "tool_call_id": call.id, "content": "18 degrees, cloudy"})
    client.chat.completions.create(model="gpt-4o", messages=messages, tools=[TOOL])


def audio(client: Any) -> None:
    """Tokens of sound among those that went in and came out."""
    sound = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}
    messages = [{"role": "user", "content": [{"type": "text", "text": "Listen."}, sound]}]
    client.chat.completions.create(model="gpt-audio", messages=messages)


def length(client: Any) -> None:
    """An answer that was cut off."""
    _ask(client, "Write a poem.", max_tokens=16)


def error(client: Any) -> None:
    """A call that is refused."""
    refused(lambda: _ask(client, "This must fail."))


def embeddings(client: Any) -> None:
    """A vector for a text."""
    client.embeddings.create(model="text-embedding-3-small", input="The harbour sleeps beneath a paper moon.")


def responses(client: Any) -> None:
    """The responses interface, with cached and reasoning tokens."""
    client.responses.create(model="o4-mini", input="Think about it.")


def cases(client: Any, but: tuple[str, ...] = ()) -> dict[str, Callable[[], object]]:
    """All of them with this client, by name, without those named in `but`."""
    calls = {
        "chat": plain,
        "chat_stream": stream,
        "chat_think": think,
        "chat_tool": tool_call,
        "chat_audio": audio,
        "chat_length": length,
        "chat_error": error,
        "embeddings": embeddings,
        "responses_think": responses,
    }
    return {name: (lambda call=call: call(client)) for name, call in calls.items() if name not in but}
