"""Zipkin's JSON, version 2, to OTLP: the body of POST /api/v2/spans as an ExportTraceServiceRequest.

The format is zipkin-api's zipkin2-api.yaml; what its fields become is OpenTelemetry's mapping to Zipkin
(specification/trace/sdk_exporters/zipkin.md, and common/mapping-to-non-otlp.md), read backwards.
"""

from __future__ import annotations

import re
from typing import Final

from tracekeeper_sidecar.errors import WireError
from tracekeeper_sidecar.wire import json_text, otlp_build
from tracekeeper_sidecar.wire.converted import Converted, told
from tracekeeper_sidecar.wire.json_text import kind, shown
from tracekeeper_sidecar.wire.otlp_build import text

SERVICE: Final = "unknown_service"
"""`service.name` of spans without a local endpoint that names one."""

_ID: Final = re.compile(r"[0-9a-fA-F]{1,16}")
_TRACE_ID: Final = re.compile(r"[0-9a-fA-F]{1,32}")
_KINDS: Final = {
    "CLIENT": otlp_build.CLIENT,
    "SERVER": otlp_build.SERVER,
    "PRODUCER": otlp_build.PRODUCER,
    "CONSUMER": otlp_build.CONSUMER,
}
_STATUS: Final = {"OK": otlp_build.OK, "ERROR": otlp_build.ERROR}
_EVENT: Final = re.compile(r'"(?:[^"\\]|\\.)*":\s*\{.*\}', re.DOTALL)
_MOST: Final = otlp_build.MOST_TIME // 1000
"""Microseconds whose nanoseconds fit into 64 bits."""
_KNOWN: Final = frozenset(
    {
        "traceId", "id", "parentId", "name", "kind", "timestamp", "duration", "debug", "shared", "localEndpoint",
        "remoteEndpoint", "annotations", "tags",
    }
)  # fmt: skip

_Group = tuple[str, str, str, int]
"""Name, IPv4, IPv6 and port of a local endpoint."""


def convert(body: bytes) -> Converted:
    """The body as OTLP. Raises WireError where it is no array at all; spans that are not understood are left out, and
    named by their place: [3].traceId."""
    value = json_text.parse(body)
    if not isinstance(value, list):
        raise WireError("JSON", f"{kind(value)}; must be an array of spans")
    groups: dict[tuple[_Group, str], list[bytes]] = {}
    problems = []
    for index, item in enumerate(value):
        try:
            group, made = _span(item)
        except WireError as error:
            problems.append(f"[{index}]{'.' if error.path else ''}{error}")
        except RecursionError:
            problems.append(f"[{index}]: nested too deeply")
        else:
            groups.setdefault(group, []).append(made)
    payload = b"".join(
        otlp_build.resource_spans(_resource(endpoint), scope, made) for (endpoint, scope), made in groups.items()
    )
    return Converted(payload, len(problems), told(problems))


def _span(item: object) -> tuple[tuple[_Group, str], bytes]:
    """The local endpoint and the scope's name that the span belongs to, and the span."""
    if not isinstance(item, dict):
        raise WireError("", f"{kind(item)}; must be an object")
    trace_id = _identifier(item, "traceId", _TRACE_ID, 16)
    span_id = _identifier(item, "id", _ID, 8)
    parent_id = b"" if item.get("parentId") is None else _identifier(item, "parentId", _ID, 8)
    name = item.get("name")
    if name is not None and not isinstance(name, str):
        raise WireError("name", f"{kind(name)}; must be a string")
    said = item.get("kind")
    span_kind = otlp_build.INTERNAL if said is None else _KINDS.get(said.upper()) if isinstance(said, str) else None
    if span_kind is None:
        raise WireError("kind", f"{shown(said)}; must be CLIENT, SERVER, PRODUCER or CONSUMER")
    begin, duration = _microseconds(item, "timestamp"), _microseconds(item, "duration")
    rest, scope, state = _tags(item)
    rest += _remote(item.get("remoteEndpoint"))
    for flag in ("debug", "shared"):
        if item.get(flag) is True:
            rest += otlp_build.boolean(f"zipkin.{flag}", True)
    events, first = _annotations(item)
    begin = begin or first
    unknown = {key: item[key] for key in item if key not in _KNOWN and item[key] is not None}
    if unknown:
        rest += text("zipkin.other", otlp_build.compact(unknown))
    made = otlp_build.span(
        trace_id,
        span_id,
        # A span without a parent that is its own: some senders of old write it so.
        b"" if parent_id == span_id else parent_id,
        name or "unknown",
        span_kind,
        begin * 1000,
        min(begin + duration, _MOST) * 1000,
        rest + events + state,
    )
    return (_endpoint(item.get("localEndpoint")), scope), made


def _identifier(item: dict[str, object], name: str, form: re.Pattern[str], size: int) -> bytes:
    value = item.get(name)
    if not isinstance(value, str):
        raise WireError(name, "missing" if value is None else f"{kind(value)}; must be a string")
    if form.fullmatch(value) is None:
        raise WireError(name, f"{shown(value)}; must be up to {2 * size} hexadecimal digits")
    made = bytes.fromhex(value.zfill(2 * size))
    if not any(made):
        raise WireError(name, "all zero")
    return made


def _microseconds(item: dict[str, object], name: str) -> int:
    value = item.get(name)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST:
        raise WireError(name, f"{shown(value)}; must be microseconds, 0 to {_MOST}")
    return value


def _endpoint(value: object) -> _Group:
    """Name, addresses and port, each empty where it is not there or not what it should be."""
    if not isinstance(value, dict):
        return "", "", "", 0
    name, v4, v6, port = (value.get(key) for key in ("serviceName", "ipv4", "ipv6", "port"))
    return (
        name if isinstance(name, str) else "",
        v4 if isinstance(v4, str) else "",
        v6 if isinstance(v6, str) else "",
        port if isinstance(port, int) and not isinstance(port, bool) and 0 < port < 65536 else 0,
    )


def _resource(endpoint: _Group) -> bytes:
    name, v4, v6, port = endpoint
    out = text("service.name", name or SERVICE)
    if v4 or v6:
        out += text("net.host.ip", v4 or v6)
    return out + otlp_build.integer("net.host.port", port) if port else out


def _remote(value: object) -> bytes:
    name, v4, v6, port = _endpoint(value)
    out = text("peer.service", name) if name else b""
    if v4 or v6:
        out += text("network.peer.address", v4 or v6)
    return out + otlp_build.integer("network.peer.port", port) if port else out


def _tags(item: dict[str, object]) -> tuple[bytes, str, bytes]:
    """Attributes, the scope's name, and the status."""
    tags = item.get("tags")
    if tags is None:
        return b"", "zipkin", b""
    if not isinstance(tags, dict):
        raise WireError("tags", f"{kind(tags)}; must be an object")
    written = {key: value if isinstance(value, str) else otlp_build.compact(value) for key, value in tags.items()}
    code, message = _STATUS.get(written.get("otel.status_code", "").upper(), otlp_build.UNSET), ""
    if code:
        del written["otel.status_code"]
    if code != otlp_build.OK and written.get("error", "false") != "false":
        code, message = otlp_build.ERROR, written.pop("error")
    state = otlp_build.status(code, "" if message == "true" else message)
    scope = written.pop("otel.scope.name", "") or "zipkin"
    return b"".join(text(key, value) for key, value in written.items()), scope, state


def _annotations(item: dict[str, object]) -> tuple[bytes, int]:
    """Events, and when the first of them was, in microseconds; 0 where there is none."""
    annotations = item.get("annotations")
    if annotations is None:
        return b"", 0
    if not isinstance(annotations, list):
        raise WireError("annotations", f"{kind(annotations)}; must be an array")
    out = bytearray()
    times = []
    for index, annotation in enumerate(annotations):
        if not isinstance(annotation, dict) or not isinstance(value := annotation.get("value"), str):
            raise WireError(f"annotations[{index}]", "must be an object with timestamp and value, a string")
        try:
            time = _microseconds(annotation, "timestamp")
        except WireError as error:
            raise WireError(f"annotations[{index}].{error.path}", error.problem) from error
        times.append(time)
        out += _event(time * 1000, value)
    return bytes(out), min(times, default=0)


def _event(time: int, value: str) -> bytes:
    """An event. One with attributes is `"name": {"key": value}` by OpenTelemetry's mapping, and in braces as its Python
    exporter writes it."""
    written = value if value.startswith("{") else f"{{{value}}}" if _EVENT.fullmatch(value) else ""
    if written:
        try:
            parsed = json_text.parse(otlp_build.utf8(written))
        except WireError:
            parsed = None
        if isinstance(parsed, dict) and len(parsed) == 1:
            ((name, attributes),) = parsed.items()
            if isinstance(attributes, dict):
                return otlp_build.event(time, name, b"".join(_value(key, one) for key, one in attributes.items()))
    return otlp_build.event(time, value)


def _value(key: str, value: object) -> bytes:
    if isinstance(value, bool):
        return otlp_build.boolean(key, value)
    if isinstance(value, int | float) and otlp_build.is_number(value):
        return otlp_build.number(key, value)
    return text(key, value if isinstance(value, str) else otlp_build.compact(value))
