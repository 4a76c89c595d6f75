"""Messages that are spread over attributes with an index in their keys, or over events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tracekeeper_sidecar.process.normalize.messages import call, listed, message
from tracekeeper_sidecar.process.normalize.values import UnusableError, parsed

_MOST = 4096
"""Messages, and parts of one, that are put together at most."""


def tree(attributes: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Nested objects of keys with dots: {"0": {"message": {"role": …}}}. A key that goes on where another has ended, or
    the other way round, is left out."""
    root: dict[str, Any] = {}
    for key, value in attributes:
        at = root
        *path, last = key.split(".")
        if len(path) > 16:
            continue
        for name in path:
            inner = at.setdefault(name, {})
            if not isinstance(inner, dict):
                break
            at = inner
        else:
            if not isinstance(at.get(last), dict):
                at[last] = value
    return root


def in_order(nodes: Any) -> list[Any]:
    """The values under keys that are numbers, in their order; gaps are closed."""
    if not isinstance(nodes, dict):
        return []
    numbered = sorted(
        (int(key), value) for key, value in nodes.items() if key.isascii() and key.isdigit() and len(key) < 8
    )
    if len(numbered) > _MOST:
        raise UnusableError("too_large")
    return [value for _, value in numbered]


def openinference(nodes: Mapping[str, Any], role: str) -> list[dict[str, Any]]:
    """Messages of `llm.input_messages.N.message.*` and its like, less what comes before N."""
    return [_openinference(node.get("message"), role) for node in in_order(nodes) if isinstance(node, dict)]


def _openinference(node: Any, role: str) -> dict[str, Any]:
    if not isinstance(node, dict):
        raise UnusableError("messages")
    rest = {key: value for key, value in node.items() if key not in ("contents", "tool_calls")}
    calls = [item.get("tool_call") for item in in_order(node.get("tool_calls")) if isinstance(item, dict)]
    parts = [_content(item.get("message_content")) for item in in_order(node.get("contents")) if isinstance(item, dict)]
    if calls:  # Where the calls stand among the contents is said there, and what they are here.
        parts = [part for part in parts if part.get("type") != "tool_use" or "name" in part]
    if parts and not rest.get("content"):
        rest["content"] = [part for part in parts if part]
    if calls:
        rest["tool_calls"] = [item for item in calls if item]
    name, arguments = rest.pop("function_call_name", None), rest.pop("function_call_arguments_json", None)
    if name is not None:
        rest["function_call"] = {"name": name, "arguments": arguments}
    return message(rest, role)


def _content(node: Any) -> dict[str, Any]:
    """`message_content.*` as OpenAI writes it."""
    if not isinstance(node, dict):
        return {}
    rest = dict(node)
    image = rest.get("image")
    if isinstance(image, dict) and isinstance(image.get("image"), dict):
        rest["image"] = image["image"]
    tool = rest.pop("tool_call", None)
    if isinstance(tool, dict):
        return {"type": "tool_call", **tool}
    return rest


def traceloop(nodes: Mapping[str, Any], role: str) -> list[dict[str, Any]]:
    """Messages of `gen_ai.prompt.N.*` and `gen_ai.completion.N.*`, less what comes before N."""
    made = []
    for node in in_order(nodes):
        if not isinstance(node, dict):
            raise UnusableError("messages")
        rest = {key: value for key, value in node.items() if key != "tool_calls"}
        if calls := in_order(node.get("tool_calls")):
            rest["tool_calls"] = calls
        content = rest.get("content")
        # Content of several parts is there as JSON.
        if isinstance(content, str) and content.startswith("[{"):
            try:
                rest["content"] = parsed(content)
            except UnusableError:
                pass
        made.append(message(rest, role))
    return made


def texts(nodes: Mapping[str, Any], role: str) -> list[dict[str, Any]]:
    """Messages of `llm.prompts.N.prompt.text`, `llm.choices.N.completion.text`, less what comes before N."""
    made = []
    for node in in_order(nodes):
        inner = next(iter(node.values()), None) if isinstance(node, dict) else node
        said = inner.get("text") if isinstance(inner, dict) else inner
        if not isinstance(said, str):
            raise UnusableError("messages")
        made.append(message(said, role))
    return made


def answer(nodes: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The message of Vercel's `ai.response.*`: text, object, reasoning and toolCalls; none where there is nothing of
    it."""
    parts: list[dict[str, Any]] = []
    thought = nodes.get("reasoning", nodes.get("reasoningText"))
    if isinstance(thought, str) and thought:
        parts.append({"type": "reasoning", "content": thought})
    texts_of_it = (nodes.get("text"), nodes.get("object"))
    parts += [{"type": "text", "content": said} for said in texts_of_it if isinstance(said, str) and said]
    calls = nodes.get("toolCalls")
    if isinstance(calls, str) and calls:
        found = parsed(calls)
        if not isinstance(found, list):
            raise UnusableError("messages")
        parts += [call(item) for item in found]
    if not parts:
        return []
    made: dict[str, Any] = {"role": "assistant", "parts": parts}
    if isinstance(nodes.get("finishReason"), str):
        made["finish_reason"] = nodes["finishReason"]
    return [made]


def of_event(said: Mapping[str, Any], role: str) -> dict[str, Any]:
    """The message of an event `gen_ai.user.message`, `gen_ai.choice` and their like, by the event's attributes."""
    rest = dict(said)
    body = rest.pop("gen_ai.event.content", rest.pop("event_body", None))
    if isinstance(body, str):
        body = parsed(body)
    if isinstance(body, dict):
        rest |= body
    for key in ("gen_ai.system", "gen_ai.provider.name", "index", "gen_ai.operation.name", "event.name"):
        rest.pop(key, None)
    inner = rest.pop("message", None)
    if isinstance(inner, str):
        try:
            inner = parsed(inner)
        except UnusableError:
            inner = {"content": inner}
        if isinstance(inner, str):
            inner = {"content": inner}
    if isinstance(inner, dict):
        rest |= inner
    if isinstance(rest.get("tool_calls"), str):
        rest["tool_calls"] = parsed(rest["tool_calls"])
    if "id" in rest and (role == "tool" or rest.get("role") == "tool"):
        rest["tool_call_id"] = rest.pop("id")
    finish = rest.pop("finish_reason", None)
    made = message(rest, role)
    if isinstance(finish, str) and finish:
        made["finish_reason"] = finish
    return made


def of_content(said: Any, role: str) -> list[dict[str, Any]]:
    """Messages in one text: JSON, or the text itself."""
    if isinstance(said, str):
        if said.lstrip()[:1] in ("[", "{"):
            return listed(parsed(said), role)
        return listed(said, role) if said else []
    return listed(said, role)
