"""What a soak's three witnesses say: the client's answers, the backends' spans, the sidecar's books. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt
from seen import Marks

Outcomes = npt.NDArray[np.int8]


class Outcome(IntEnum):
    """How the sending of one request ended."""

    UNSENT = 0
    ACKNOWLEDGED = 1
    REFUSED = 2
    """Answered with a refusal: it must never turn up anywhere."""
    UNKNOWN = 3
    """Cut off or timed out: it may have been stored, and then it must be delivered like any other."""


@dataclass(slots=True)
class Verdict:
    """What differs; nothing does in a sound run."""

    acknowledged: int
    """Spans that the client was told are safe."""
    unknown: int
    stored: int
    """Spans that the ledger says were acknowledged."""
    sinks: dict[str, dict[str, int]] = field(default_factory=dict)
    """For each: distinct spans, repeated ones, lost ones, and those that were refused and came nevertheless."""
    difference: dict[str, int] = field(default_factory=dict)
    """For each delivery entry: acknowledged - delivered - dropped - pending, and whatever else its ledger names."""
    faults: list[str] = field(default_factory=list)


def judge(
    outcomes: Outcomes, seen: Mapping[str, Marks], came: Mapping[str, int], ledger: Mapping[str, Any], spans: int
) -> Verdict:
    """Compare. `outcomes` by request, `seen` requests by spans of each sink, `came` its spans with repetitions."""
    answered = {outcome: int((outcomes == outcome).sum()) * spans for outcome in Outcome}
    stored = int(ledger["acknowledged"])
    verdict = Verdict(answered[Outcome.ACKNOWLEDGED], answered[Outcome.UNKNOWN], stored)
    for name, marks in seen.items():
        rows = _fitted(marks, len(outcomes), spans)
        distinct = int(rows.sum())
        lost = answered[Outcome.ACKNOWLEDGED] - int(rows[outcomes == Outcome.ACKNOWLEDGED].sum())
        ghosts = int(rows[outcomes == Outcome.REFUSED].sum())
        repeated = came[name] - distinct
        verdict.sinks[name] = {"distinct": distinct, "repeated": repeated, "lost": lost, "refused": ghosts}
        if lost:
            verdict.faults.append(f"{lost} acknowledged spans never reached sink {name}")
        if ghosts:
            verdict.faults.append(f"{ghosts} spans of refused requests reached sink {name}")
    for entry in ledger["delivery"]:
        verdict.difference[entry["name"]] = gap(stored, entry)
        verdict.faults += _entry(entry, stored, verdict.sinks)
    if not verdict.acknowledged <= stored <= verdict.acknowledged + verdict.unknown:
        told = f"clients {verdict.acknowledged}, and {verdict.unknown} had no answer"
        verdict.faults.append(f"the ledger acknowledged {stored} spans, {told}")
    return verdict


def gap(stored: int, entry: Mapping[str, Any]) -> int:
    """acknowledged - (start + delivered + dropped + pending + all else that a span of it can have become)."""
    return stored - sum(
        sum(map(int, value.values())) if isinstance(value, Mapping) else int(value)
        for key, value in entry.items()
        if key not in ("name", "redelivered")
    )


def _entry(entry: Mapping[str, Any], stored: int, sinks: Mapping[str, Mapping[str, int]]) -> list[str]:
    found = []
    name, delivered = entry["name"], sum(map(int, entry["delivered"].values()))
    if difference := gap(stored, entry):
        found.append(f"delivery entry {name}: the ledger is {difference} spans from closing")
    if int(entry["pending"]):
        found.append(f"delivery entry {name}: {entry['pending']} spans still wait")
    return found + [
        f"delivery entry {name} delivered {delivered} spans, sink {sink} has {sinks[sink]['distinct']}"
        for sink in entry["delivered"]
        if sinks[sink]["distinct"] != delivered
    ]


def _fitted(marks: Marks, requests: int, spans: int) -> Marks:
    """Exactly requests by spans: what a sink never saw is false."""
    rows = np.zeros((requests, spans), dtype=np.bool_)
    height, width = min(requests, marks.shape[0]), min(spans, marks.shape[1])
    rows[:height, :width] = marks[:height, :width]
    return rows
