"""OpenAI's trace ingest to OTLP: the body of POST /v1/traces/ingest as an ExportTraceServiceRequest.

The body is {"data": [item, …]}. Items are traces (`openai_trace`) and spans:

    {"object": "trace.span", "id": "span_<24 hex>", "trace_id": "trace_<32 hex>", "parent_id": "span_…" | null,
     "started_at": ISO 8601, "ended_at": ISO 8601, "span_data": {"type": …}, "error": null | {"message", "data"},
     "metadata"?: object}

as openai-agents 0.24 writes them (agents/tracing/spans.py, span_data.py and traces.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from tracekeeper_sidecar.errors import WireError
from tracekeeper_sidecar.wire import json_text, openai_span, openai_trace, otlp_build
from tracekeeper_sidecar.wire.converted import Converted, told
from tracekeeper_sidecar.wire.json_text import kind, shown
from tracekeeper_sidecar.wire.openai_trace import UNKNOWN, Trace
from tracekeeper_sidecar.wire.propagation import Parent

SCOPE: Final = "openai.agents"
"""The instrumentation scope of what comes this way."""
DIALECT: Final = otlp_build.text("tracekeeper.dialect", "openai_agents")
SERVICE: Final = "unknown_service:openai-agents"
"""`service.name` where nobody has said it: every backend wants one, and this is how OpenTelemetry says that."""

LEAST_ROOM: Final = 4 << 20
ROOM_FACTOR: Final = 8
"""Bytes that a request may become, at least and in sizes of its JSON: what a trace says comes back with each span."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_ERROR_TYPE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,99}")


def convert(
    body: bytes,
    known: Callable[[str], Trace | None],
    *,
    parent: Parent | None = None,
    service: str = "",
) -> Converted:
    """The body as OTLP. `known` gives what was said earlier of a trace, by its id.

    `parent` is what the request itself names, and counts where it holds one trace only, which names none. `service` is
    the `service.name` of traces that do not say theirs. Raises WireError where nothing is to be understood at all;
    items that are not understood are left out, and named by their place: data[3].span_data.
    """
    items = _items(json_text.parse(body))
    traces, problems = _traces(items)
    spans = [(index, item) for index, item in enumerate(items) if not _is_trace(item)]
    if parent is not None:
        _hang(spans, traces, known, parent)
    groups: dict[str, list[bytes]] = {}
    heard: set[str] = set()
    refused = 0
    room = max(LEAST_ROOM, ROOM_FACTOR * len(body))
    for index, item in spans:
        try:
            of, owner, made = _span(item, traces, known)
        except WireError as error:
            refused += 1
            problems.append(f"data[{index}]{'.' if error.path else ''}{error}")
        except RecursionError:
            refused += 1
            problems.append(f"data[{index}]: nested too deeply")
        else:
            heard.add(of)
            room -= len(made)
            if room < 0:
                raise WireError("data", "becomes too large with what its traces say; send smaller batches")
            groups.setdefault(owner or service or SERVICE, []).append(made)
    payload = b"".join(
        otlp_build.resource_spans(otlp_build.text("service.name", owner), SCOPE, made) for owner, made in groups.items()
    )
    return Converted(payload, refused, told(problems), traces, heard)


def _items(value: object) -> list[object]:
    if not isinstance(value, dict):
        raise WireError("JSON", f"{kind(value)}; must be an object with the member data")
    data = value.get("data")
    if not isinstance(data, list):
        raise WireError("data", "missing" if data is None else f"{kind(data)}; must be an array")
    return data


def _is_trace(item: object) -> bool:
    return isinstance(item, dict) and item.get("object") == "trace"


def _traces(items: list[object]) -> tuple[dict[str, Trace], list[str]]:
    """The traces that these items name, and what is wrong with those that cannot be read."""
    traces: dict[str, Trace] = {}
    problems = []
    for index, item in enumerate(items):
        if isinstance(item, dict) and item.get("object") == "trace":
            try:
                name, trace = openai_trace.read(item)
            except WireError as error:
                problems.append(f"data[{index}].{error}")
            except RecursionError:
                problems.append(f"data[{index}]: nested too deeply")
            else:
                traces[name] = trace
    return traces, problems


def _hang(
    spans: list[tuple[int, object]],
    traces: dict[str, Trace],
    known: Callable[[str], Trace | None],
    parent: Parent,
) -> None:
    """Hang the only trace of a request below the parent that the request names."""
    named = {item["trace_id"] for _, item in spans if isinstance(item, dict) and isinstance(item.get("trace_id"), str)}
    named |= traces.keys()
    if len(named) == 1:
        (only,) = named
        trace = traces.get(only) or known(only) or UNKNOWN
        if trace.parent is None:
            traces[only] = Trace(parent, trace.service, trace.common, trace.top)


def _span(item: object, traces: Mapping[str, Trace], known: Callable[[str], Trace | None]) -> tuple[str, str, bytes]:
    """The id of its trace, the `service.name` that the trace says, and the span; raises WireError, RecursionError."""
    if not isinstance(item, dict):
        raise WireError("", f"{kind(item)}; must be an object")
    if item.get("object") != "trace.span":
        raise WireError("object", f"{shown(item.get('object'))}; must be 'trace' or 'trace.span'")
    name, of = openai_trace.identifier(item, "id"), openai_trace.identifier(item, "trace_id")
    data = item.get("span_data")
    if not isinstance(data, dict):
        raise WireError("span_data", "missing" if data is None else f"{kind(data)}; must be an object")
    above = item.get("parent_id")
    if above is not None:
        above = openai_trace.identifier(item, "parent_id")
    trace = traces.get(of) or known(of) or UNKNOWN
    metadata = item.get("metadata")
    loose = dict(metadata) if isinstance(metadata, dict) else {}
    described = openai_span.describe(data, loose)
    begin, end, rest = _times(item)
    rest = DIALECT + described.attributes + trace.common + rest + otlp_build.text("openai.agents.span_id", name)
    trace_id, parent_id, state, flags = openai_trace.trace_id(of), b"", "", 0
    if above is not None:
        parent_id = openai_trace.span_id(above)
    else:
        rest += trace.top
    if trace.parent is not None:
        trace_id, state = trace.parent.trace_id, trace.parent.state
        flags = trace.parent.flags | otlp_build.HAS_REMOTE
        if above is None:
            parent_id, flags = trace.parent.span_id, flags | otlp_build.IS_REMOTE
    if of[6:].lower() != trace_id.hex():
        rest += otlp_build.text("openai.agents.trace_id", of)
    if loose or (metadata is not None and not isinstance(metadata, dict)):
        rest += otlp_build.text("openai.agents.metadata", otlp_build.compact(loose or metadata))
    rest += _error(item.get("error"))
    made = otlp_build.span(
        trace_id,
        openai_trace.span_id(name),
        parent_id,
        described.name,
        described.kind,
        begin,
        end,
        rest,
        state=state,
        flags=flags,
    )
    return of, trace.service, made


def _times(item: Mapping[str, object]) -> tuple[int, int, bytes]:
    """Begin and end in Unix nanoseconds. Where one of them is no time the other stands for it, and what was there is
    kept; raises WireError where neither is one."""
    kept = b""
    found: list[int | None] = []
    for name in ("started_at", "ended_at"):
        value = item.get(name)
        time = _time(value)
        if time is None and value is not None:
            kept += otlp_build.text(
                f"openai.agents.{name}", value if isinstance(value, str) else otlp_build.compact(value)
            )
        found.append(time)
    begin, end = found
    begin, end = begin if begin is not None else end, end if end is not None else begin
    if begin is None or end is None:
        value = item.get("started_at")
        said = "missing" if value is None else f"{shown(value)}; must be a time by ISO 8601"
        raise WireError("started_at", f"{said}, and ended_at is none either")
    return begin, end, kept


def _time(value: object) -> int | None:
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        nanoseconds = (moment - _EPOCH) // _MICROSECOND * 1000
    except (ValueError, OverflowError):
        return None
    return nanoseconds if 0 < nanoseconds <= otlp_build.MOST_TIME else None


def _error(error: object) -> bytes:
    if error is None:
        return b""
    if not isinstance(error, dict):
        said = error if isinstance(error, str) else otlp_build.compact(error)
        return otlp_build.text("error.type", "_OTHER") + otlp_build.status(otlp_build.ERROR, said)
    message, data = error.get("message"), error.get("data")
    name = data.get("name") if isinstance(data, dict) else None
    named = isinstance(name, str) and _ERROR_TYPE.fullmatch(name) is not None
    out = otlp_build.text("error.type", str(name) if named else "_OTHER")
    if data is not None and data != {}:
        out += otlp_build.text("openai.agents.error.data", otlp_build.compact(data))
    if message is None or isinstance(message, str):
        return out + otlp_build.status(otlp_build.ERROR, message or "")
    return out + otlp_build.status(otlp_build.ERROR, otlp_build.compact(message))
