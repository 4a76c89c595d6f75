"""What the commands print: plain text tables, made from what the cluster answered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tracekeeper_proto.ledger.v1.ledger_pb2 import DeliveryEntry, Ledger

CONDITIONS = ("Accepted", "ResolvedRefs", "Ready", "Delivering")
IN_PART = ("Degraded", "AcceptedWithFaults")
"""Reasons of a condition that is true, and has something to say all the same."""
WELL = ("Closed", "Disabled")
"""Circuits of backends that are sent everything."""


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns as wide as their widest cell, two spaces between them."""
    cells = [list(header), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in cells)


def status_text(configs: Sequence[Mapping[str, Any]]) -> str:
    """One row for each TracingConfig, and below it the message of every condition that is not true, or only in part;
    then the backends in trouble and the ledgers, as far as sidecars have told."""
    rows, notes = [], []
    for item in configs:
        name = f"{item['metadata']['namespace']}/{item['metadata']['name']}"
        conditions = {c["type"]: c for c in item.get("status", {}).get("conditions", [])}
        rows.append([name, *(conditions.get(kind, {}).get("status", "Unknown") for kind in CONDITIONS)])
        notes += [f"{name}: {kind}: {c['message']}" for kind, c in conditions.items() if _worth_a_note(c)]
        if not conditions:
            notes.append(
                f"{name}: no status yet: is the controller running? "
                "(`kubectl get pods -A -l app.kubernetes.io/name=tracekeeper`)"
            )
    first = "\n".join([table(["TRACINGCONFIG", *(kind.upper() for kind in CONDITIONS)], rows), *notes])
    return "\n\n".join([first, *_backends(configs), *_ledgers(configs)])


def _worth_a_note(condition: Mapping[str, Any]) -> bool:
    return condition["status"] != "True" or condition.get("reason") in IN_PART


def _backends(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Those that do not serve everywhere."""
    rows = [
        [name, each["name"], each["circuit"], each.get("sidecars", ""), each.get("message", "")]
        for name, status in _statuses(configs)
        for each in status.get("backends", [])
        if each["circuit"] not in WELL
    ]
    return [table(["TRACINGCONFIG", "BACKEND", "CIRCUIT", "SIDECARS", "LAST FAULT"], rows)] if rows else []


def _ledgers(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the sidecars of each config have counted, together."""
    rows = [
        [
            name,
            f"{ledger['sidecars']} ({ledger['away']} away)" if ledger.get("away") else ledger.get("sidecars", 0),
            ledger.get("received", 0),
            entry["name"],
            *(
                entry.get(count, 0)
                for count in ("delivered", "sampledOut", "unmatched", "pending", "unsent", "dropped")
            ),
            ledger.get("time", ""),
        ]
        for name, status in _statuses(configs)
        if (ledger := status.get("ledger"))
        for entry in ledger.get("delivery", [])
    ]
    counts = ["DELIVERED", "SAMPLED OUT", "UNMATCHED", "PENDING", "UNSENT", "DROPPED"]
    return [table(["TRACINGCONFIG", "SIDECARS", "RECEIVED", "DELIVERY", *counts, "AS OF"], rows)] if rows else []


def _statuses(configs: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for item in configs:
        yield f"{item['metadata']['namespace']}/{item['metadata']['name']}", item.get("status", {})


def ledger_text(ledger: Ledger) -> str:
    """Both halves of the ledger, that of a folder of another pod if there is one, and whether they close."""
    intake = table(
        ["RECEIVED", "ACKNOWLEDGED", "REFUSED", "FILTERED", "SUSPENDED", "CLOSES"],
        [
            [
                ledger.received,
                ledger.acknowledged,
                _with_reasons(ledger.refused),
                _with_reasons(ledger.filtered),
                ledger.suspended,
                _verdict(_received_closes(ledger)),
            ]
        ],
    )
    parts = [intake, _delivery(ledger.acknowledged, ledger.delivery)]
    for folder in ledger.adopted:
        parts.append(f"Left on the node by a pod that is gone: {folder.folder}, {folder.acknowledged} acknowledged")
        parts.append(_delivery(folder.acknowledged, folder.delivery))
    return "\n\n".join(parts)


def _delivery(acknowledged: int, entries: Iterable[DeliveryEntry]) -> str:
    return table(
        ["DELIVERY", "DELIVERED", "SAMPLED OUT", "UNMATCHED", "PENDING", "DROPPED", "REDELIVERED", "CLOSES"],
        [
            [
                entry.name,
                _with_reasons(entry.delivered),
                _with_reasons(entry.sampled_out),
                entry.unmatched,
                entry.pending,
                _with_reasons(entry.dropped),
                _with_reasons(entry.redelivered),
                _verdict(_closes(acknowledged, entry)),
            ]
            for entry in entries
        ],
    )


def _received_closes(ledger: Ledger) -> bool:
    others = sum(ledger.refused.values()) + sum(ledger.filtered.values()) + ledger.suspended
    return ledger.received == ledger.acknowledged + others


def _closes(acknowledged: int, entry: DeliveryEntry) -> bool:
    by_name = (entry.delivered, entry.sampled_out, entry.dropped)
    settled = sum(sum(counts.values()) for counts in by_name) + entry.unmatched
    return acknowledged == entry.start + settled + entry.pending


def _verdict(closes: bool) -> str:
    return "yes" if closes else "NO: please report this"


def _with_reasons(parts: Mapping[str, int]) -> str:
    total = sum(parts.values())
    detail = ", ".join(f"{name} {count}" for name, count in sorted(parts.items()) if count)
    return f"{total} ({detail})" if detail else str(total)
