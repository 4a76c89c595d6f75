"""Messages of any form, as OpenTelemetry's conventions have them: {role, parts}.

Nothing that a message says is lost: members and parts that are not understood stay as they are. What a model has
thought is a part of its own, of the type `reasoning`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tracekeeper_sidecar.process.normalize.values import UnusableError, dumped, parsed

MOST_BYTES: Final = 1 << 20
"""Of messages that are translated."""

_ROLES: Final = {"human": "user", "ai": "assistant", "model": "assistant", "function": "tool", "bot": "assistant"}
_TEXTS: Final = ("text", "input_text", "output_text")
_THOUGHTS: Final = ("reasoning", "thinking", "summary_text")
_CALLS: Final = ("tool_use", "tool-call", "tool_call", "function_call")
_RESULTS: Final = ("tool_result", "tool-result", "tool_call_response", "function_call_output")
_THINKING: Final = ("reasoning_content", "reasoning", "thinking")
_LISTS: Final = ("messages", "contents", "input", "choices", "output", "prompt")
_KNOWN_TYPES: Final = frozenset(
    ("text", "reasoning", "tool_call", "tool_call_response", "server_tool_call", "server_tool_call_response", "blob",
     "file", "uri")
)  # fmt: skip


def listed(value: Any, role: str) -> list[dict[str, Any]]:
    """The messages of a list of them, of an object that has one, of an answer of OpenAI's or Anthropic's API, or of
    text, which is `role`'s. Raises UnusableError where nothing of that is there."""
    if isinstance(value, str):
        return [{"role": role, "parts": [_text(value)]}]
    if isinstance(value, dict):
        return _of_object(value, role)
    if isinstance(value, list) and value:
        if len(value) == 1 and isinstance(value[0], list):  # One prompt of a batch of one.
            return listed(value[0], role)
        return [message(item, role) for item in value]
    raise UnusableError("messages")


def _of_object(value: Mapping[str, Any], role: str) -> list[dict[str, Any]]:
    if "role" in value or "parts" in value:
        return [message(value, role)]
    for name in _LISTS:
        inner = value.get(name)
        if isinstance(inner, list) and inner:
            found = listed(inner, role)
            system = value.get("system", value.get("instructions"))
            if isinstance(system, str) and system:
                found.insert(0, {"role": "system", "parts": [_text(system)]})
            return found
        if isinstance(inner, str) and inner:
            return listed(inner, role)
    if "content" in value:
        return [message(value, role)]
    raise UnusableError("messages")


def message(value: Any, role: str) -> dict[str, Any]:
    """One message; raises UnusableError where it is none."""
    if isinstance(value, str):
        return {"role": role, "parts": [_text(value)]}
    if not isinstance(value, dict):
        raise UnusableError("messages")
    if isinstance(value.get("message"), dict):  # A choice, or an event's body.
        inner = message(value["message"], role)
        if isinstance(value.get("finish_reason"), str):
            inner["finish_reason"] = value["finish_reason"]
        return inner
    rest = {key: item for key, item in value.items() if item is not None}
    said = rest.pop("role", None)
    whose = _ROLES.get(said, said) if isinstance(said, str) and said else role
    if isinstance(rest.get("parts"), list):
        parts = [_part(item) for item in rest.pop("parts")]
        return {"role": whose, "parts": parts, **rest}
    if said is None and isinstance(rest.get("type"), str) and rest["type"] not in ("message", "chat"):
        # An item of OpenAI's Responses API, which stands beside messages.
        return {"role": "tool" if rest["type"] in _RESULTS else role, "parts": [_part(rest)]}
    rest.pop("type", None)
    parts = [{"type": "reasoning", "content": rest.pop(name)} for name in _THINKING if isinstance(rest.get(name), str)]
    content = rest.pop("content", rest.pop("text", None))
    if whose == "tool" and "tool_call_id" in rest:
        parts.append({"type": "tool_call_response", "id": rest.pop("tool_call_id"), "response": content})
    elif isinstance(content, list):
        parts += [_part(item) for item in content]
    elif isinstance(content, str):
        if content or not parts:
            parts.append(_text(content))
    elif content is not None:
        parts.append({"type": "text", "content": dumped(content)})
    calls = rest.pop("tool_calls", rest.pop("toolCalls", None))
    if isinstance(calls, str):
        calls = parsed(calls)
    if isinstance(calls, list):
        if parts == [_text("")]:
            parts = []
        parts += [call(item) for item in calls]
    if isinstance(rest.get("function_call"), dict):
        parts.append(call(rest.pop("function_call")))
    return {"role": whose, "parts": parts, **rest}


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "content": text}


def _part(item: Any) -> dict[str, Any]:
    """A part of a message's content."""
    if isinstance(item, str):
        return _text(item)
    if not isinstance(item, dict):
        return _text(dumped(item))
    rest = {key: value for key, value in item.items() if value is not None}
    kind = rest.get("type")
    if kind is None and isinstance(rest.get("text"), str):
        kind = "text"
    if kind in _TEXTS and isinstance(rest.get("text"), str):
        rest.pop("type", None)
        return {"type": "text", "content": rest.pop("text"), **rest}
    if kind in _THOUGHTS and "content" not in rest:
        rest.pop("type")
        return {"type": "reasoning", "content": _thought(rest), **rest}
    if kind in _CALLS:
        return call(rest)
    if kind in _RESULTS and "response" not in rest:
        rest.pop("type")
        named = _first(rest, "id", "tool_use_id", "toolCallId", "call_id", "tool_call_id")
        return {
            "type": "tool_call_response",
            "id": named,
            "response": _first(rest, "content", "result", "output"),
            **rest,
        }
    if kind in ("image_url", "image", "input_image") and (uri := _uri(rest)):
        return {"type": "uri", "modality": "image", "uri": uri}
    if isinstance(kind, str):
        return rest
    return _text(dumped(rest))


def _thought(rest: dict[str, Any]) -> str:
    found = _first(rest, "thinking", "text", "reasoning", "summary", "data")
    if isinstance(found, str):
        return found
    if isinstance(found, list):
        texts = [item.get("text") for item in found if isinstance(item, dict)]
        if all(isinstance(text, str) for text in texts):
            return "\n".join(map(str, texts))
    return "" if found is None else dumped(found)


def _uri(rest: Mapping[str, Any]) -> str:
    for name in ("image_url", "image", "url"):
        value = rest.get(name)
        value = value.get("url") if isinstance(value, dict) else value
        if isinstance(value, str):
            return value
    return ""


def call(item: Any) -> dict[str, Any]:
    """A tool call. Its arguments stay the text, or the object, that they were."""
    if not isinstance(item, dict):
        raise UnusableError("messages")
    rest = {key: value for key, value in item.items() if value is not None and key != "type"}
    inner = rest.pop("function", None)
    if isinstance(inner, dict):
        rest |= {key: value for key, value in inner.items() if value is not None}
    elif inner is not None:
        rest["name"] = inner
    made: dict[str, Any] = {"type": "tool_call"}
    named = _first(rest, "id", "toolCallId", "call_id", "tool_call_id")
    if named is not None:
        made["id"] = named
    made["name"] = _first(rest, "name", "toolName")
    arguments = _first(rest, "arguments", "args", "input")
    if arguments is not None:
        made["arguments"] = arguments
    return made | rest


def _first(rest: dict[str, Any], *names: str) -> Any:
    """Takes the first of these that is there."""
    for name in names:
        if name in rest:
            return rest.pop(name)
    return None
