"""How the demos show things: tables, traces as trees, the ledger and whether its counts are equal. Pure text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Columns as wide as they need; numbers to the right, words to the left."""
    lines = [[f"{c:,}" if isinstance(c, int) else str(c) for c in row] for row in [head, *rows]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    right = [all(_number(line[i]) for line in lines[1:]) for i in range(len(head))]
    texts = []
    for line in lines:
        cells = [c.rjust(w) if r else c.ljust(w) for c, w, r in zip(line, widths, right, strict=True)]
        texts.append("  ".join(cells).rstrip())
    return [texts[0], "  ".join("─" * w for w in widths), *texts[1:]]


def _number(cell: str) -> bool:
    return cell.replace(",", "").replace(".", "").removesuffix("%").isdigit()


def trace_tree(spans: Sequence[Mapping[str, Any]]) -> list[str]:
    """The newest whole trace among `spans` (as the backend's /spans answers) as a tree, by start time."""
    roots = [s for s in spans if not s["parent_span_id"]]
    if not roots:
        return ["(no whole trace yet)"]
    root = roots[-1]
    children: dict[str, list[Mapping[str, Any]]] = {}
    for span in sorted((s for s in spans if s["trace_id"] == root["trace_id"]), key=lambda s: float(s["start"])):
        children.setdefault(str(span["parent_span_id"]), []).append(span)
    return [f"trace {root['trace_id']} ({root['service']})", *_branch(root, children, "", "")]


def _branch(
    span: Mapping[str, Any], children: Mapping[str, list[Mapping[str, Any]]], first: str, rest: str
) -> list[str]:
    lines = [f"{first}{span['name']}  {span['duration_ms']:.1f} ms{_remark(span['attributes'])}"]
    below = children.get(str(span["span_id"]), [])
    for child in below:
        last = child is below[-1]
        lines += _branch(child, children, rest + ("└─ " if last else "├─ "), rest + ("   " if last else "│  "))
    return lines


def _remark(attributes: Mapping[str, Any]) -> str:
    tokens = [attributes.get(f"gen_ai.usage.{way}_tokens") for way in ("input", "output")]
    if None not in tokens:
        return f"  {tokens[0]} tokens in, {tokens[1]} out{_dollars(attributes, 'gen_ai.usage.cost')}"
    result = attributes.get("gen_ai.tool.call.result")
    return f"  → {result}" if result else _dollars(attributes, "tracekeeper.trace.cost", " for the whole trace")


def _dollars(attributes: Mapping[str, Any], key: str, what: str = "") -> str:
    return f", ${attributes[key]:.6f}{what}" if key in attributes else ""


def treatment(spans: Sequence[Mapping[str, Any]], secret: str = "ada@example.com") -> tuple[list[str], list[str]]:
    """What the sidecar has done with the calls of models among `spans`: lines to show, and what it has failed to do.

    `secret` is what the demo's agent writes into each of its prompts.
    """
    calls = [span["attributes"] for span in spans if "gen_ai.input.messages" in span["attributes"]]
    if not calls:
        return [], ["no call of a model has arrived"]
    faults = []
    if clear := sum(secret in repr(span) for span in spans):
        faults.append(f"{clear} of {len(spans)} spans arrived with {secret} in them, which Redact should have hidden")
    if unpriced := sum("gen_ai.usage.cost" not in call for call in calls):
        faults.append(
            f"{unpriced} of {len(calls)} calls of a model arrived without a cost, which Price should have set"
        )
    told = [call["gen_ai.usage.cost"] for call in calls if "gen_ai.usage.cost" in call]
    model = calls[-1].get("gen_ai.response.model", "a model")
    return [
        f"the agent's prompts say {secret}; as they arrived: {str(calls[-1]['gen_ai.input.messages'])[:60]}…",
        f"{len(told)} calls of {model} cost ${sum(told):.4f} by the price book",
    ], faults


def detections(spans: Sequence[Mapping[str, Any]]) -> list[str]:
    """Which detectors have spoken on `spans` (as the backend's /spans answers), and of which agents."""
    found: dict[tuple[str, str], int] = {}
    for span in spans:
        detectors = span["attributes"].get("tracekeeper.detected") or ()
        for detector in [detectors] if isinstance(detectors, str) else detectors:
            who = (str(detector), str(span["attributes"].get("gen_ai.agent.name", "")))
            found[who] = found.get(who, 0) + 1
    return [
        f"the detector {detector} names the agent {agent or '(none)'}, on {count} of the newest {len(spans):,} spans"
        for (detector, agent), count in sorted(found.items())
    ]


@dataclass(frozen=True, slots=True)
class Arrived:
    """What one backend holds: its ids, and how many spans came twice."""

    name: str
    ids: frozenset[str]
    duplicates: int


def ledger_lines(ledger: Mapping[str, Any]) -> list[str]:
    """The sidecar's /ledger (64-bit counts are strings in protobuf's JSON) as two tables."""
    refused = _sum(ledger.get("refused", {}))
    suspended = int(ledger.get("suspended", 0))
    top = [int(ledger["received"]), int(ledger["acknowledged"]), refused, suspended]
    rows: list[list[object]] = []
    for entry in ledger.get("delivery", []):
        # The demo's config neither samples nor matches: those columns of the ledger stay at zero.
        delivered, dropped, pending = _sum(entry["delivered"]), _sum(entry["dropped"]), int(entry["pending"])
        rows.append([entry["name"], int(ledger["acknowledged"]) - int(entry["start"]), delivered, pending, dropped])
    return [
        *table(["received", "= acknowledged", "+ refused", "+ suspended"], [top]),
        "",
        *table(["delivery", "acknowledged", "= delivered", "+ pending", "+ dropped"], rows),
    ]


def _sum(counts: Mapping[str, object]) -> int:
    return sum(int(str(n)) for n in counts.values())


def ledger_faults(ledger: Mapping[str, Any]) -> list[str]:
    """What does not add up in a ledger; empty when it closes."""
    acknowledged = int(ledger["acknowledged"])
    faults = []
    others = _sum(ledger.get("refused", {})) + _sum(ledger.get("filtered", {})) + int(ledger.get("suspended", 0))
    if int(ledger["received"]) != acknowledged + others:
        faults.append(f"received {ledger['received']} is not acknowledged + refused + filtered + suspended")
    for entry in ledger.get("delivery", []):
        left_out = _sum(entry.get("sampledOut", {})) + int(entry.get("unmatched", 0))
        settled = _sum(entry["delivered"]) + left_out + _sum(entry["dropped"]) + int(entry["pending"])
        if settled != acknowledged - int(entry["start"]):
            faults.append(f"delivery {entry['name']}: {settled} accounted for of {acknowledged - int(entry['start'])}")
        if _sum(entry["dropped"]):
            faults.append(f"delivery {entry['name']} dropped spans: {dict(entry['dropped'])}")
    return faults


def compare(acknowledged: frozenset[str], backends: Sequence[Arrived]) -> tuple[list[str], list[str]]:
    """The application's acknowledged ids beside each backend's: lines to show, and what is missing."""
    rows: list[list[object]] = [["acknowledged to the agent", len(acknowledged), "", ""]]
    faults = []
    for backend in backends:
        missing = len(acknowledged - backend.ids)
        rows.append([f"arrived in {backend.name}", len(backend.ids), missing, backend.duplicates])
        if missing:
            faults.append(f"{backend.name} misses {missing} spans that the agent was told are safe")
    return table(["span ids", "distinct", "missing", "duplicates"], rows), faults
