"""Makes what an SDK exported readable, and the same in every run: ids, times, measured durations and places of files.

Nothing else is touched: names, values, types and the order of attributes are the SDK's own.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_EPOCH = 1_767_225_600_000_000_000
_STEP = 1_000_000
_MACHINE = ("host.", "process.", "os.", "container.")
_MEASURED = re.compile(r"duration|latency|msTo|PerSecond|time_to|ttft|tbt|time_per|elapsed|\.time$", re.IGNORECASE)
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_HEX = re.compile(r"(?<![0-9a-zA-Z])[0-9a-f]{24,32}(?![0-9a-zA-Z])")
_MADE_ID = re.compile(r"(?<=aitxt-)[0-9A-Za-z]{16,32}|(?<=aiobj-)[0-9A-Za-z]{16,32}|(?<=call-)[0-9A-Za-z]{16,32}")
_ADDRESS = re.compile(r"0x[0-9a-f]{6,}")
_DATE = re.compile(r"20\d\d-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?")
_TRACEBACK = re.compile(r"(Traceback \(most recent call last\):\n).*\n(?=\S)", re.DOTALL)
_STACK = re.compile(r"(\n\s+at [^\n]*)+")


def otlp(bodies: Iterable[bytes], seed: str, places: Iterable[str]) -> dict[str, Any]:
    """The requests as one, in OTLP's JSON; `seed` is what the ids are made from, `places` the folders to forget."""
    groups: dict[tuple[str, str], dict[str, Any]] = {}
    resources: dict[str, dict[str, Any]] = {}
    for body in bodies:
        asked = MessageToDict(ExportTraceServiceRequest.FromString(body), use_integers_for_enums=True)
        for resource in asked.get("resourceSpans", []):
            about = {"resource": resource.get("resource", {})}
            about["resource"]["attributes"] = sorted(
                (item for item in about["resource"].get("attributes", []) if not item["key"].startswith(_MACHINE)),
                key=lambda item: item["key"],
            )
            if "schemaUrl" in resource:
                about["schemaUrl"] = resource["schemaUrl"]
            mark = json.dumps(about, sort_keys=True)
            kept = resources.setdefault(mark, {**about, "scopeSpans": []})
            for scope in resource.get("scopeSpans", []):
                name = json.dumps({key: value for key, value in scope.items() if key != "spans"}, sort_keys=True)
                if (mark, name) not in groups:
                    groups[mark, name] = {**scope, "spans": []}
                    kept["scopeSpans"].append(groups[mark, name])
                groups[mark, name]["spans"].extend(scope["spans"])
    spans = [span for group in groups.values() for span in group["spans"]]
    for span in spans:
        for thing in (span, *span.get("links", [])):
            for key in ("traceId", "spanId", "parentSpanId"):
                if key in thing:
                    thing[key] = base64.b64decode(thing[key]).hex()
    # In this order: Node.js counts milliseconds, so that a span may begin with the one inside it.
    _times(spans)
    renamed = _ids(spans, seed)
    for group in groups.values():
        group["spans"].sort(key=lambda span: int(span["endTimeUnixNano"]))
    return scrubbed({"resourceSpans": list(resources.values())}, renamed, places)  # type: ignore[no-any-return]


def ingest(items: list[Any], seed: str, places: Iterable[str]) -> dict[str, Any]:
    """The items of OpenAI's trace ingest as one body."""
    renamed: dict[str, str] = {}
    spans = []
    for item in items:
        kind = item["id"].split("_")[0]
        size = 32 if kind == "trace" else 24
        renamed[item["id"]] = f"{kind}_{_hash(seed, len(renamed))[:size]}"
        if "started_at" in item:
            spans.append(
                {
                    "spanId": item["id"],
                    "parentSpanId": item["parent_id"],
                    "item": item,
                    "startTimeUnixNano": datetime.fromisoformat(item["started_at"]).timestamp() * 1_000_000,
                }
            )
    _times(spans)
    for span in spans:
        for key, time in (("started_at", "startTimeUnixNano"), ("ended_at", "endTimeUnixNano")):
            milliseconds = (int(span[time]) - _EPOCH) // 1_000_000
            span["item"][key] = f"2026-01-01T00:00:{milliseconds // 1000:02d}.{milliseconds % 1000:03d}000+00:00"
    return scrubbed({"data": items}, renamed, places, dates=False)  # type: ignore[no-any-return]


def _hash(seed: str, number: int) -> str:
    return hashlib.sha256(f"{seed}/{number}".encode()).hexdigest()


def _ids(spans: list[dict[str, Any]], seed: str) -> dict[str, str]:
    """New ids by the order in which spans began; gives old to new."""
    renamed: dict[str, str] = {}
    for span in sorted(spans, key=lambda span: int(span["startTimeUnixNano"])):
        for key, size in (("traceId", 32), ("spanId", 16)):
            renamed.setdefault(span[key], _hash(seed, len(renamed))[:size])
    for span in spans:
        for thing in (span, *span.get("links", [])):
            for key in ("traceId", "spanId", "parentSpanId"):
                if thing.get(key):
                    thing[key] = renamed.get(thing[key], thing[key])
    return renamed


def _times(spans: list[dict[str, Any]]) -> None:
    """A walk over the trees gives the times: a step for each start, event and end."""
    here = {span["spanId"] for span in spans}
    below: dict[str, list[dict[str, Any]]] = {}
    for span in sorted(spans, key=lambda span: (int(span["startTimeUnixNano"]), int(span.get("endTimeUnixNano", 0)))):
        parent = span.get("parentSpanId", "")
        below.setdefault(parent if parent in here else "", []).append(span)
    clock = iter(range(_EPOCH, _EPOCH + 10**15, _STEP))

    def walk(span: dict[str, Any]) -> None:
        span["startTimeUnixNano"] = str(next(clock))
        for event in span.get("events", []):
            event["timeUnixNano"] = str(next(clock))
        for child in below.get(span["spanId"], []):
            walk(child)
        span["endTimeUnixNano"] = str(next(clock))

    for root in below.get("", []):
        walk(root)


def scrubbed(value: Any, renamed: dict[str, str], places: Iterable[str], dates: bool = True) -> Any:
    """The value with everything replaced that differs from run to run or tells of the machine."""
    numbered: dict[str, str] = {}

    def number(shape: Callable[[int], str]) -> Callable[[re.Match[str]], str]:
        return lambda found: numbered.setdefault(found[0], shape(len(numbered) + 1))

    def text(told: str) -> str:
        for old, new in renamed.items():
            told = told.replace(old, new)
        for place in places:
            told = told.replace(place, "/app")
        told = _TRACEBACK.sub(r"\1  ...\n", told)
        told = _STACK.sub("\n    at ...", told)
        told = _UUID.sub(number("00000000-0000-4000-8000-{:012d}".format), told)
        told = _HEX.sub(lambda found: found[0] if found[0] in known else number("{:024x}".format)(found), told)
        told = _MADE_ID.sub(number("{:024d}".format), told)
        told = _ADDRESS.sub("0x0", told)
        if dates:
            told = _DATE.sub(
                lambda found: "2026-01-01T00:00:00" + ("." + "0" * (len(found[1]) - 1) if found[1] else ""), told
            )
        return told

    def walk(thing: Any) -> Any:
        if isinstance(thing, str):
            return text(thing)
        if isinstance(thing, list):
            return [walk(item) for item in thing]
        if isinstance(thing, dict):
            if _MEASURED.search(str(thing.get("key", ""))) and "doubleValue" in thing.get("value", {}):
                return {**thing, "value": {"doubleValue": 0.25}}
            return {
                key: item if key.endswith("UnixNano") or key.endswith("_at") else walk(item)
                for key, item in thing.items()
            }
        return thing

    known = {part for new in renamed.values() for part in new.split("_")}
    return walk(value)
