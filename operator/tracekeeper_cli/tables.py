"""What the commands print: plain text tables, made from what the cluster answered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tracekeeper_proto.ledger.v1.ledger_pb2 import DeliveryEntry, Ledger

CONDITIONS = ("Accepted", "ResolvedRefs", "Ready")


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns as wide as their widest cell, two spaces between them."""
    cells = [list(header), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in cells)


def status_text(configs: Sequence[Mapping[str, Any]]) -> str:
    """One row for each TracingConfig, and below it the message of every condition that is not true."""
    rows, notes = [], []
    for item in configs:
        name = f"{item['metadata']['namespace']}/{item['metadata']['name']}"
        conditions = {c["type"]: c for c in item.get("status", {}).get("conditions", [])}
        rows.append([name, *(conditions.get(kind, {}).get("status", "Unknown") for kind in CONDITIONS)])
        notes += [f"{name}: {kind}: {c['message']}" for kind, c in conditions.items() if c["status"] != "True"]
        if not conditions:
            notes.append(
                f"{name}: no status yet: is the controller running? "
                "(`kubectl get pods -A -l app.kubernetes.io/name=tracekeeper`)"
            )
    return "\n".join([table(["TRACINGCONFIG", *(kind.upper() for kind in CONDITIONS)], rows), *notes])


def ledger_text(ledger: Ledger) -> str:
    """Both halves of the ledger, and whether they close."""
    refused = sum(ledger.refused.values())
    intake = table(
        ["RECEIVED", "ACKNOWLEDGED", "REFUSED", "SUSPENDED"],
        [[ledger.received, ledger.acknowledged, _with_reasons(refused, ledger.refused), ledger.suspended]],
    )
    delivery = table(
        ["DELIVERY", "DELIVERED", "PENDING", "DROPPED", "CLOSES"],
        [
            [
                entry.name,
                _with_reasons(sum(entry.delivered.values()), entry.delivered),
                entry.pending,
                _with_reasons(sum(entry.dropped.values()), entry.dropped),
                "yes" if _closes(ledger, entry) else "NO: please report this",
            ]
            for entry in ledger.delivery
        ],
    )
    return f"{intake}\n\n{delivery}"


def _closes(ledger: Ledger, entry: DeliveryEntry) -> bool:
    settled = sum(entry.delivered.values()) + sum(entry.dropped.values())
    return ledger.acknowledged == entry.start + settled + entry.pending


def _with_reasons(total: int, parts: Mapping[str, int]) -> str:
    detail = ", ".join(f"{name} {count}" for name, count in sorted(parts.items()) if count)
    return f"{total} ({detail})" if detail else str(total)
