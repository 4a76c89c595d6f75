"""What a span of OpenAI's trace ingest is, by its `span_data`: name, kind and attributes.

Each type is one function below, which takes the members that it understands out of the data; what is left stays, as
JSON, in `openai.agents.span_data`. docs/reference/openai-ingest.md is the table of all this.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from tracekeeper_sidecar.wire import openai_messages, openai_usage, otlp_build
from tracekeeper_sidecar.wire.otlp_build import CLIENT, INTERNAL, compact, text


class Described(NamedTuple):
    """A span's name, its kind by OTLP, and its attributes as otlp_build gives them."""

    name: str
    kind: int
    attributes: bytes


_LONGEST_NAME: Final = 256
"""Characters of a name within a span's name."""


def describe(data: dict[str, object], metadata: dict[str, object]) -> Described:
    """What `span_data` says. Takes what it understands out of it, and the response's model out of the metadata."""
    data = {key: value for key, value in data.items() if value is not None}
    kind = data.get("type")
    inner = data.get("data")
    if kind == "custom" and isinstance(inner, dict) and inner.get("sdk_span_type") in ("task", "turn"):
        kind = str(inner["sdk_span_type"])
        data = {key: value for key, value in inner.items() if key != "sdk_span_type" and value is not None}
    if not isinstance(kind, str):
        return Described("span", INTERNAL, _kind("pipeline") + text("openai.agents.span_data", compact(data)))
    data.pop("type", None)
    described = _READERS.get(kind, _other)(data, metadata)
    out = text("openai.agents.type", kind) + described.attributes
    if data:
        out += text("openai.agents.span_data", compact(data))
    return described._replace(name=described.name or _named(kind[:_LONGEST_NAME], data.get("name")), attributes=out)


def _other(data: dict[str, object], metadata: dict[str, object]) -> Described:
    """A type that is not known is named after itself."""
    return Described("", INTERNAL, _kind("pipeline"))


def _agent(data: dict[str, object], metadata: dict[str, object]) -> Described:
    out = text("gen_ai.operation.name", "invoke_agent")
    name = data.get("name")
    out += _text(data, "name", "gen_ai.agent.name")
    out += _texts(data, "handoffs", "openai.agents.handoffs") + _texts(data, "tools", "openai.agents.tools")
    out += _text(data, "output_type", "openai.agents.output_type")
    return Described(_named("invoke_agent", name), INTERNAL, out)


def _generation(data: dict[str, object], metadata: dict[str, object]) -> Described:
    model = data.get("model")
    out = text("gen_ai.operation.name", "chat") + _text(data, "model", "gen_ai.request.model")
    out += _settings(data) + openai_usage.attributes(data.pop("usage", None), repeated=False)
    out += openai_messages.attribute("gen_ai.input.messages", "openai.agents.input", data.pop("input", None))
    out += openai_messages.attribute("gen_ai.output.messages", "openai.agents.output", data.pop("output", None))
    return Described(_named("chat", model), CLIENT, out)


def _response(data: dict[str, object], metadata: dict[str, object]) -> Described:
    # Only OpenAI's own API has responses; which model gave this one is known where the application says so.
    out = text("gen_ai.operation.name", "chat") + text("gen_ai.provider.name", "openai")
    model = metadata.get("model")
    out += _text(metadata, "model", "gen_ai.response.model")
    out += _text(data, "response_id", "gen_ai.response.id")
    out += openai_usage.attributes(data.pop("usage", None), repeated=False)
    return Described(_named("chat", model), CLIENT, out)


def _function(data: dict[str, object], metadata: dict[str, object]) -> Described:
    name = data.get("name")
    out = text("gen_ai.operation.name", "execute_tool") + _text(data, "name", "gen_ai.tool.name")
    out += _text(data, "input", "gen_ai.tool.call.arguments") + _text(data, "output", "gen_ai.tool.call.result")
    mcp = data.get("mcp_data")
    if isinstance(mcp, dict) and isinstance(mcp.get("server"), str):
        out += text("openai.agents.mcp.server", mcp["server"])
        if mcp.keys() == {"server"}:
            del data["mcp_data"]
    return Described(_named("execute_tool", name), INTERNAL, out)


def _handoff(data: dict[str, object], metadata: dict[str, object]) -> Described:
    origin, target = data.get("from_agent"), data.get("to_agent")
    out = _kind("handoff")
    out += _text(data, "from_agent", "openai.agents.from_agent") + _text(data, "to_agent", "openai.agents.to_agent")
    name = _named("handoff", origin)
    return Described(f"{name} to {target[:_LONGEST_NAME]}" if isinstance(target, str) else name, INTERNAL, out)


def _guardrail(data: dict[str, object], metadata: dict[str, object]) -> Described:
    name = data.get("name")
    out = _kind("guardrail") + _text(data, "name", "openai.agents.name")
    triggered = data.get("triggered")
    if isinstance(triggered, bool):
        out += otlp_build.boolean("openai.agents.guardrail.triggered", triggered)
        del data["triggered"]
    return Described(_named("guardrail", name), INTERNAL, out)


def _task(data: dict[str, object], metadata: dict[str, object]) -> Described:
    name = data.get("name")
    out = _kind("runner") + _text(data, "name", "openai.agents.name")
    out += openai_usage.attributes(data.pop("usage", None), repeated=True)
    return Described(_named("run", name), INTERNAL, out)


def _turn(data: dict[str, object], metadata: dict[str, object]) -> Described:
    turn = data.get("turn")
    out = _kind("pipeline") + _text(data, "agent_name", "gen_ai.agent.name")
    shown = ""
    if isinstance(turn, int) and otlp_build.is_number(turn):
        out += otlp_build.integer("openai.agents.turn", turn)
        shown = str(turn)
        del data["turn"]
    out += openai_usage.attributes(data.pop("usage", None), repeated=True)
    return Described(_named("turn", shown), INTERNAL, out)


def _custom(data: dict[str, object], metadata: dict[str, object]) -> Described:
    name = data.get("name")
    out = _kind("pipeline") + _text(data, "name", "openai.agents.name")
    if isinstance(inner := data.get("data"), dict) and not inner:
        del data["data"]
    return Described(name[:_LONGEST_NAME] if isinstance(name, str) and name else "custom", INTERNAL, out)


def _transcription(data: dict[str, object], metadata: dict[str, object]) -> Described:
    model = data.get("model")
    out = _kind("llm") + _text(data, "model", "gen_ai.request.model") + _settings(data)
    out += _text(data, "output", "openai.agents.output")
    return Described(_named("transcription", model), CLIENT, out)


def _speech(data: dict[str, object], metadata: dict[str, object]) -> Described:
    model = data.get("model")
    out = _kind("llm") + _text(data, "model", "gen_ai.request.model") + _settings(data)
    out += _text(data, "input", "openai.agents.input")
    out += _text(data, "first_content_at", "openai.agents.first_content_at")
    return Described(_named("speech", model), CLIENT, out)


def _speech_group(data: dict[str, object], metadata: dict[str, object]) -> Described:
    return Described("speech_group", INTERNAL, _kind("pipeline") + _text(data, "input", "openai.agents.input"))


def _mcp_tools(data: dict[str, object], metadata: dict[str, object]) -> Described:
    server = data.get("server")
    out = _kind("tool") + text("mcp.method.name", "tools/list") + _text(data, "server", "openai.agents.mcp.server")
    out += _texts(data, "result", "openai.agents.tools")
    return Described(_named("tools/list", server), CLIENT, out)


_Reader = Callable[[dict[str, object], dict[str, object]], Described]
_READERS: Final[dict[str, _Reader]] = {
    "agent": _agent,
    "generation": _generation,
    "response": _response,
    "function": _function,
    "handoff": _handoff,
    "guardrail": _guardrail,
    "task": _task,
    "turn": _turn,
    "custom": _custom,
    "transcription": _transcription,
    "speech": _speech,
    "speech_group": _speech_group,
    "mcp_tools": _mcp_tools,
}
TYPES: Final = tuple(_READERS)
"""Types of spans that are understood; `task` and `turn` come as custom ones."""

_SETTINGS: Final = {
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "presence_penalty": "gen_ai.request.presence_penalty",
}


def _settings(data: dict[str, object]) -> bytes:
    """The model's settings: those that have a name of OpenTelemetry's, and all others as JSON."""
    config = data.get("model_config")
    if not isinstance(config, dict):
        return b""
    del data["model_config"]
    rest = {key: value for key, value in config.items() if value is not None}
    out = b""
    for key, name in _SETTINGS.items():
        value = rest.get(key)
        if isinstance(value, int | float) and otlp_build.is_number(value):
            out += otlp_build.double(name, float(value))
            del rest[key]
    most = rest.get("max_tokens")
    if isinstance(most, int) and otlp_build.is_number(most):
        out += otlp_build.integer("gen_ai.request.max_tokens", most)
        del rest["max_tokens"]
    if isinstance(url := rest.get("base_url"), str):
        out += _provider(url)
    return out + (text("openai.agents.model_config", compact(rest)) if rest else b"")


def _provider(url: str) -> bytes:
    """Who serves the model, where its address tells: other servers speak this API too."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return b""
    if host == "api.openai.com" or host.endswith(".api.openai.com"):
        return text("gen_ai.provider.name", "openai")
    if host.endswith(".openai.azure.com"):
        return text("gen_ai.provider.name", "azure.ai.openai")
    return b""


def _kind(name: str) -> bytes:
    return text("tracekeeper.kind", name)


def _named(operation: str, name: object) -> str:
    return f"{operation} {name[:_LONGEST_NAME]}" if isinstance(name, str) and name else operation


def _text(data: dict[str, object], key: str, name: str) -> bytes:
    """The attribute `name` with the text of this member, which is taken out; nothing where it is no text."""
    value = data.get(key)
    if not isinstance(value, str):
        return b""
    del data[key]
    return text(name, value)


def _texts(data: dict[str, object], key: str, name: str) -> bytes:
    value = data.get(key)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        return b""
    del data[key]
    return otlp_build.texts(name, value) if value else b""
