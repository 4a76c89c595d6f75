"""Token usage as the OpenAI Agents SDK writes it, in the names of OpenTelemetry's conventions for generative AI.

    generation, response   {requests, input_tokens, output_tokens, total_tokens, input_tokens_details: {cached_tokens,
                           cache_write_tokens}, output_tokens_details: {reasoning_tokens}}
    turn, task             {input_tokens, output_tokens, cached_input_tokens, cache_write_input_tokens, requests?,
                           total_tokens?}
    older                  {prompt_tokens, completion_tokens, …}

All of these are inclusive: cached tokens are part of the input, reasoning tokens of the output.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tracekeeper_sidecar.wire import otlp_build

_INPUT: Final = "gen_ai.usage.input_tokens"
_OUTPUT: Final = "gen_ai.usage.output_tokens"
_CACHE_READ: Final = "gen_ai.usage.cache_read.input_tokens"
_CACHE_WRITE: Final = "gen_ai.usage.cache_write.input_tokens"
_REASONING: Final = "gen_ai.usage.reasoning.output_tokens"

_PLAIN: Final = {
    "input_tokens": _INPUT,
    "prompt_tokens": _INPUT,
    "output_tokens": _OUTPUT,
    "completion_tokens": _OUTPUT,
    "cached_input_tokens": _CACHE_READ,
    "cache_write_input_tokens": _CACHE_WRITE,
}
_DETAILS: Final = {
    "input_tokens_details": {"cached_tokens": _CACHE_READ, "cache_write_tokens": _CACHE_WRITE},
    "prompt_tokens_details": {"cached_tokens": _CACHE_READ},
    "output_tokens_details": {"reasoning_tokens": _REASONING},
    "completion_tokens_details": {"reasoning_tokens": _REASONING},
}
_PARTS: Final = (_CACHE_READ, _CACHE_WRITE, _REASONING)
_MOST: Final = 2**53
"""Tokens beyond which a number is no count."""


def attributes(usage: object, repeated: bool) -> bytes:
    """The attributes that say it. What is no count of tokens is in `openai.agents.usage`, as it came.

    `repeated` says that spans below count the same tokens.
    """
    if usage is None or usage == {}:
        return b""
    if not isinstance(usage, Mapping):
        return otlp_build.text("openai.agents.usage", otlp_build.compact(usage))
    found: dict[str, int] = {}
    rest: dict[str, object] = {}
    for key, value in usage.items():
        if (details := _DETAILS.get(key)) is not None and isinstance(value, Mapping):
            if left := _take(value, details, found):
                rest[key] = left
        else:
            rest.update(_take({key: value}, _PLAIN, found))
    if rest.get("requests") == 1:
        del rest["requests"]
    if _INPUT in found and _OUTPUT in found and rest.get("total_tokens") == found[_INPUT] + found[_OUTPUT]:
        del rest["total_tokens"]
    out = b"".join(otlp_build.integer(name, count) for name, count in found.items() if count or name not in _PARTS)
    if any(found.get(part) for part in _PARTS):
        out += otlp_build.text("tracekeeper.token_basis", "inclusive")
    if rest:
        out += otlp_build.text("openai.agents.usage", otlp_build.compact(rest))
    if repeated and found:
        out += otlp_build.boolean("tracekeeper.usage.repeated", True)
    return out


def _take(usage: Mapping[str, object], names: Mapping[str, str], found: dict[str, int]) -> dict[str, object]:
    """Move what is a count into `found`; returns what is not, without what is null."""
    rest: dict[str, object] = {}
    for key, value in usage.items():
        name = names.get(key)
        count = _count(value)
        if name is not None and count is not None and found.setdefault(name, count) == count:
            continue
        if value is not None:
            rest[key] = value
    return rest


def _count(value: object) -> int | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST:
        return None
    return value
