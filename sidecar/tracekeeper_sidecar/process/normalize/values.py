"""Values of attributes: AnyValue to Python and back, and what rows do with values on the way.

Source of the format: opentelemetry/proto/common/v1/common.proto.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from tracekeeper_sidecar.process.normalize.row import How
from tracekeeper_sidecar.wire.varint import delimited, encode, fields

MOST_TOKENS: Final = 1_000_000_000
_JSON: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
_LOW: Final = (1 << 64) - 1
_DEEP: Final = 64
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY: Final = 86_400 * 10**9
_MICROSECOND: Final = 1000
"""Which moments are cut to, and beginnings of spans are not."""
_SHORT: Final = 128
_FIELD: Final = [bytes((74, size)) for size in range(_SHORT)]
_VALUE: Final = [bytes((18, size)) for size in range(_SHORT)]
_TEXT: Final = [bytes((10, size)) for size in range(_SHORT)]
"""Tags with sizes of one byte."""
_HEADS: Final[dict[str, bytes]] = {}

PROVIDERS: Final[Mapping[str, str]] = {
    "az.ai.inference": "azure.ai.inference",
    "az.ai.openai": "azure.ai.openai",
    "azure": "azure.ai.openai",
    "azure_openai": "azure.ai.openai",
    "azure-openai": "azure.ai.openai",
    "gemini": "gcp.gemini",
    "google": "gcp.gemini",
    "google.generative-ai": "gcp.gemini",
    "google_genai": "gcp.gen_ai",
    "vertex_ai": "gcp.vertex_ai",
    "vertexai": "gcp.vertex_ai",
    "google.vertex": "gcp.vertex_ai",
    "xai": "x_ai",
    "aws": "aws.bedrock",
    "bedrock": "aws.bedrock",
    "amazon-bedrock": "aws.bedrock",
    "mistral": "mistral_ai",
    "mistralai": "mistral_ai",
    "ibm.watson.ai": "ibm.watsonx.ai",
    "watsonx": "ibm.watsonx.ai",
}
"""Names of providers that have another one now, in lower case."""
_KNOWN: Final = frozenset((*PROVIDERS.values(), "openai", "anthropic", "cohere", "groq", "deepseek", "perplexity"))


class UnusableError(Exception):
    """A value that is not what its key says; the reason is one of a few words, for a label."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def plain(data: bytes, pos: int, end: int, depth: int = 0) -> Any:
    """The AnyValue at [pos, end) as str, bool, int, float, list, dict, bytes, or None where it has no value."""
    if end - pos > 1 and data[pos] == 10 and data[pos + 1] < 128 and pos + 2 + data[pos + 1] == end:
        return data[pos + 2 : end].decode(errors="replace")
    if end - pos > 1:  # Numbers as every library writes them.
        if data[pos] == 24 and data[end - 1] < 128 and (end - pos == 2 or min(data[pos + 1 : end - 1]) > 127):
            return _signed(data, pos + 1, end)
        if data[pos] == 33 and end - pos == 9:
            found: Any = struct.unpack_from("<d", data, pos + 1)[0]
            return found
    found = None
    for field in fields(data, pos, end):
        match field.number, field.wire:
            case 1, 2:
                found = data[field.value : field.end].decode(errors="replace")
            case 2, 0:
                found = any(data[field.value : field.end])
            case 3, 0:
                found = _signed(data, field.value, field.end)
            case 4, 1:
                found = struct.unpack_from("<d", data, field.value)[0]
            case 5, 2 if depth < _DEEP:
                found = [
                    plain(data, item.value, item.end, depth + 1)
                    for item in fields(data, field.value, field.end)
                    if item.number == 1
                ]
            case 6, 2 if depth < _DEEP:
                found = dict(
                    _member(data, item.value, item.end, depth)
                    for item in fields(data, field.value, field.end)
                    if item.number == 1
                )
            case 7, 2:
                found = data[field.value : field.end]
    return found


def _member(data: bytes, pos: int, end: int, depth: int) -> tuple[str, Any]:
    key, value = "", None
    for field in fields(data, pos, end):
        if field.number == 1:
            key = data[field.value : field.end].decode(errors="replace")
        elif field.number == 2:
            value = plain(data, field.value, field.end, depth + 1)
    return key, value


def _signed(data: bytes, pos: int, end: int) -> int:
    number = sum((byte & 127) << 7 * place for place, byte in enumerate(data[pos:end])) & _LOW
    return number - (1 << 64) if number >> 63 else number


def any_value(value: str | bool | int | float | list[str]) -> bytes:
    """The AnyValue of it. Text that is not Unicode loses what is not."""
    if isinstance(value, str):
        text = value.encode(errors="replace")
        return _TEXT[len(text)] + text if len(text) < _SHORT else delimited(1, text)
    if isinstance(value, bool):
        return b"\x10\x01" if value else b"\x10\x00"
    if isinstance(value, int):
        return b"\x18" + encode(value & _LOW)
    if isinstance(value, float):
        return b"\x21" + struct.pack("<d", value)
    return delimited(5, b"".join(delimited(1, any_value(item)) for item in value))


def attribute(key: str, value: bytes) -> bytes:
    """The field of a span that has this attribute; `value` is an AnyValue. Keys are of the table: there are few."""
    head = _HEADS.get(key)
    if head is None:
        head = _HEADS[key] = delimited(1, key.encode())
    size = len(head) + 2 + len(value)
    if size < _SHORT:  # Nearly always.
        return _FIELD[size] + head + _VALUE[len(value)] + value
    return delimited(9, head + delimited(2, value))


def parsed(text: str) -> Any:
    """What the JSON says; raises UnusableError where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise UnusableError("json") from None


def member(value: Any, path: str) -> Any:
    """What is at the path, its names separated by dots; None where there is nothing."""
    for name in path.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def converted(value: Any, how: How) -> str | int | float | list[str] | None:
    """The value as the row wants it; None for nothing to say. Raises UnusableError."""
    match how:
        case How.TOKENS:
            return tokens(value)
        case How.TEXT | How.PROVIDER:
            if isinstance(value, int) and not isinstance(value, bool):
                value = str(value)
            if not isinstance(value, str):
                raise UnusableError("type")
            return provider(value) if how is How.PROVIDER else value or None
        case How.LIST:
            if isinstance(value, str):
                return [value] if value else None
            if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
                raise UnusableError("type")
            return value or None
        case How.CONTENT:
            return content(value)
        case How.SUM:
            return total(map(dollars, value.values())) if isinstance(value, dict) and value else None
        case How.DOLLARS:
            return dollars(value)
        case How.WHOLE if not _endless(value):
            return whole(value)
        case How.WHOLE:
            return None
        case _:
            found = number(value)
            return found / 1000 if how is How.SECONDS else found


def dollars(value: Any) -> float:
    """What something has cost; raises UnusableError for what is no price."""
    found = number(value)
    if found < 0:
        raise UnusableError("negative")
    return found


def total(parts: Iterable[float]) -> float:
    """What they come to; raises UnusableError where that is no number."""
    found = sum(parts)
    if not math.isfinite(found):
        raise UnusableError("not_finite")
    return found


def since(value: Any, began: int) -> float:
    """Seconds from `began`, in Unix nanoseconds, to a moment in ISO 8601, which may be in quotes as JSON has it; one
    without a zone is UTC's. Raises UnusableError for what is none, was before, or a day after."""
    if not isinstance(value, str) or len(value) > 40:
        raise UnusableError("type")
    try:
        moment = datetime.fromisoformat(value.strip('"'))
    except ValueError:
        raise UnusableError("type") from None
    passed = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH
    nanoseconds = (passed.days * 86_400 + passed.seconds) * 1_000_000_000 + passed.microseconds * 1000 - began
    if nanoseconds < -_MICROSECOND:
        raise UnusableError("negative")
    if nanoseconds > _DAY:
        raise UnusableError("absurd")
    return max(0, nanoseconds) / 1_000_000_000


def tokens(value: Any) -> int:
    """A number of tokens; raises UnusableError for what is none."""
    found = whole(value)
    if found < 0:
        raise UnusableError("negative")
    if found > MOST_TOKENS:
        raise UnusableError("absurd")
    return found


def _endless(value: Any) -> bool:
    """How some say that there is no limit."""
    return value == math.inf or (isinstance(value, str) and value.lower() in ("inf", "infinity"))


def whole(value: Any) -> int:
    """A whole number, as one, as a double or as text; raises UnusableError."""
    if isinstance(value, int) and not isinstance(value, bool):
        if not -(1 << 63) <= value < 1 << 63:
            raise UnusableError("absurd")
        return value
    found = number(value)
    if found != math.floor(found):
        raise UnusableError("fraction")
    if abs(found) >= 1 << 62:
        raise UnusableError("absurd")
    return int(found)


def number(value: Any) -> float:
    """A number that is finite; raises UnusableError."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise UnusableError("type")
    if isinstance(value, str) and len(value) > 40:
        raise UnusableError("type")
    try:
        found = float(value)
    except (ValueError, OverflowError):
        raise UnusableError("type") from None
    if not math.isfinite(found):
        raise UnusableError("not_finite")
    return found


def content(value: Any) -> str:
    """Content as text: what is no text as JSON. Raises UnusableError for bytes and nothing."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, bytes):
        raise UnusableError("type")
    return dumped(value)


def dumped(value: Any) -> str:
    """As JSON; raises UnusableError for what is nested too deep, or has bytes in it."""
    try:
        return _JSON.encode(value)
    except (TypeError, ValueError, RecursionError):
        raise UnusableError("type") from None


def provider(name: str) -> str | None:
    """The name that OpenTelemetry has for it now; one that is not known stays as it is."""
    low = name.strip().lower()
    if not low:
        return None
    if low in PROVIDERS:
        return PROVIDERS[low]
    if low in _KNOWN:
        return low
    # Vercel's SDK says which of a provider's APIs it was: openai.chat, google.generative-ai.chat.
    if "." in low:
        head = low.rpartition(".")[0]
        if head in PROVIDERS:
            return PROVIDERS[head]
        if head in _KNOWN:
            return head
    return name
