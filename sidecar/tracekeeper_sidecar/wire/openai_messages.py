"""Messages of OpenAI's chat completions as OpenTelemetry's conventions for generative AI have them: `{role, parts}`.

Nothing is left out: members of a message that have no place in a part stay where they are, null ones excepted. Schemas:
semantic-conventions-genai, gen-ai-input-messages.json and gen-ai-output-messages.json.
"""

from __future__ import annotations

from collections.abc import Mapping

from tracekeeper_sidecar.wire import otlp_build


def attribute(canonical: str, original: str, value: object) -> bytes:
    """The attribute that holds the messages: `canonical` where each is one that is understood, else all as they came,
    as JSON, under `original`; nothing where there are none."""
    if value is None or value == [] or value == "":
        return b""
    if isinstance(value, list) and all(_is_message(item) for item in value):
        return otlp_build.text(canonical, otlp_build.compact([_message(item) for item in value]))
    return otlp_build.text(original, value if isinstance(value, str) else otlp_build.compact(value))


def _is_message(item: object) -> bool:
    return isinstance(item, Mapping) and isinstance(item.get("role"), str)


def _message(message: Mapping[str, object]) -> dict[str, object]:
    if isinstance(message.get("parts"), list):  # It is one already.
        return dict(message)
    parts: list[object] = []
    rest = {key: value for key, value in message.items() if value is not None}
    role = rest.pop("role")
    reasoning = rest.get("reasoning_content")
    if isinstance(reasoning, str):
        del rest["reasoning_content"]
        parts.append({"type": "reasoning", "content": reasoning})
    content = rest.pop("content", None)
    if role == "tool" and isinstance(rest.get("tool_call_id"), str):
        parts.append({"type": "tool_call_response", "id": rest.pop("tool_call_id"), "response": content})
    elif isinstance(content, str):
        parts.append({"type": "text", "content": content})
    elif isinstance(content, list):
        parts += [_part(item) for item in content]
    elif content is not None:
        rest["content"] = content
    calls = rest.get("tool_calls")
    if isinstance(calls, list):
        del rest["tool_calls"]
        parts += [_call(item) for item in calls]
    return {"role": role, "parts": parts, **rest}


def _part(item: object) -> object:
    """One of a message's content parts: text is understood, all else stays as it is."""
    if isinstance(item, Mapping) and item.keys() == {"type", "text"}:
        if item["type"] in ("text", "input_text", "output_text") and isinstance(item["text"], str):
            return {"type": "text", "content": item["text"]}
    if isinstance(item, str):
        return {"type": "text", "content": item}
    return item


def _call(item: object) -> object:
    """A tool call; its arguments stay the text that the model has written."""
    function = item.get("function") if isinstance(item, Mapping) else None
    if not isinstance(item, Mapping) or not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        return item
    rest = {key: value for key, value in item.items() if key not in ("type", "function", "id") and value is not None}
    rest |= {key: value for key, value in function.items() if key not in ("name", "arguments") and value is not None}
    call = {"type": "tool_call", "id": item.get("id"), "name": function["name"], "arguments": function.get("arguments")}
    return {key: value for key, value in call.items() if value is not None} | rest
