"""What two sides' runs say beside each other; nothing, where their work differed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import masked
import sampled
from jobs import Job

Run = Mapping[str, Any]
SAME = ("spans_per_request", "bytes_per_request", "in_flight", "offered_per_second")
BYTES_APART = 0.05
"""Bytes a span at the sinks may differ by so much: joined requests and single ones differ by a resource or two."""
BYTES_MORE = 0.6
"""… while ours writes prices into spans, it may send so much more, never less."""
BYTES_APART_SAMPLED = 0.25
"""… behind tail samplers: with few spans a resource those weigh more, and ours writes a probability into each span."""
TWICE = 0.01
"""Spans may have been delivered twice by so much."""


def lost(run: Run) -> list[str]:
    """What did not arrive at a sink as often as it should have: acknowledged, then delivered once, or sampled out."""
    owed = run["acknowledged"]
    if "traces" in run:
        again = run["sinks"][sampled.SINK]["repeated"]
        repeated = [f"{run['side']}: {again:,} spans were delivered again"] if again > owed * TWICE else []
        return [*sampled.faults(run), *repeated]
    found = []
    for name, got in run["sinks"].items():
        if not owed <= got["spans"] <= owed * (1 + TWICE):
            found.append(f"{run['side']}: sink {name} got {got['spans']:,} spans of {owed:,} acknowledged")
    return found


def unclosed(run: Run) -> list[str]:
    """What a ledger says against the run: all that was acknowledged must be delivered, in its books, too."""
    ledger, owed = run.get("ledger"), run["acknowledged"] + run["warmed_up"]
    if not ledger:
        return []
    found = []
    if int(ledger["acknowledged"]) != owed:
        found.append(f"{run['side']}: the ledger acknowledged {ledger['acknowledged']} spans, clients saw {owed}")
    for entry in ledger["delivery"]:
        # What goes through a tail sampler, and what is left out by it, is two kinds of settled.
        delivered = sum(int(n) for key in ("delivered", "sampledOut") for n in entry.get(key, {}).values())
        if delivered != owed or any(map(int, entry["dropped"].values())) or int(entry["pending"]):
            found.append(f"{run['side']}: delivery entry {entry['name']} does not close: {json.dumps(entry)}")
    return found


def differs(ours: Run, theirs: Run) -> list[str]:
    """Why the two must not be compared: one of them lost spans, or was asked for or did something else."""
    found = lost(ours) + lost(theirs) + unclosed(ours) + unclosed(theirs)
    found += [f"{key}: {ours[key]} and {theirs[key]}" for key in SAME if ours[key] != theirs[key]]
    if "steps" in ours:
        found += masked.faults(ours) + masked.faults(theirs)
    sizes = [_bytes_per_span(run) for run in (ours, theirs)]
    apart = BYTES_APART_SAMPLED if "traces" in ours else BYTES_APART
    more = BYTES_MORE if ours.get("steps") in masked.PRICING else apart
    if sizes[1] > sizes[0] * (1 + apart) or sizes[0] > sizes[1] * (1 + more):
        found.append(f"bytes a span at the sinks: {sizes[0]:.0f} and {sizes[1]:.0f}")
    return found


def _bytes_per_span(run: Run) -> float:
    spans = sum(got["spans"] for got in run["sinks"].values())
    return sum(got["bytes"] for got in run["sinks"].values()) / spans if spans else 0.0


def total(runs: Sequence[Run]) -> dict[str, Any]:
    """The rounds of one side as one: sums, the worst memory and p99, the mean of the medians."""
    cpu, seconds = sum(r["cpu_seconds"] for r in runs), sum(r["seconds"] for r in runs)
    acknowledged = sum(r["acknowledged"] for r in runs)
    refused: dict[str, int] = {}
    for run in runs:
        for code, spans in run["refused"].items():
            refused[code] = refused.get(code, 0) + spans
    return {
        "side": runs[0]["side"],
        "acknowledged": acknowledged,
        "acknowledged_per_second": round(acknowledged / seconds),
        "per_cpu_second": round(acknowledged / cpu) if acknowledged else 0,
        "core_share": round(cpu / seconds, 5),
        "fresh_mb": max(r["fresh_mb"] for r in runs),
        "peak_mb": max(r["peak_mb"] for r in runs),
        "p50_ms": round(sum(r["p50_ms"] for r in runs) / len(runs), 2),
        "p99_ms": max(r["p99_ms"] for r in runs),
        "refused": refused,
        "kept_share": round(sampled.total_share(runs), 5),
        "masked_share": round(masked.share(runs), 5) if "steps" in runs[0] else None,
        "rounds": list(runs),
    }


def compare(job: Job, ours: Sequence[Run], theirs: Sequence[Run]) -> dict[str, Any]:
    """One job's outcome: both sides, what makes them incomparable, or the ratio; and the verdict."""
    apart = [why for pair in zip(ours, theirs, strict=True) for why in differs(*pair)]
    us, them = total(ours), total(theirs)
    outcome = {"job": job.name, "title": job.title, "ours": us, "theirs": them, "differs": apart}
    if apart:
        return outcome | {"ratio": None, "ratios": [], "verdict": "not compared"}
    if not job.spans or not them["per_cpu_second"]:
        return outcome | {"ratio": None, "ratios": [], "verdict": verdict(job, None, us)}
    ratios = [a["per_cpu_second"] / b["per_cpu_second"] for a, b in zip(ours, theirs, strict=True)]
    ratio = us["per_cpu_second"] / them["per_cpu_second"]
    rounded = {"ratio": round(ratio, 2), "ratios": [round(r, 2) for r in ratios]}
    return outcome | rounded | {"verdict": verdict(job, ratio, us)}


def verdict(job: Job, ratio: float | None, us: Run) -> str:
    """`goal`, `must`, or what was missed."""
    megabytes = us["peak_mb"] if job.spans else us["fresh_mb"]
    missed = []
    if job.must_ratio is not None and (ratio is None or ratio < job.must_ratio):
        missed.append(f"below {job.must_ratio:g}x")
    if job.must_share is not None and us["core_share"] > job.must_share:
        missed.append(f"over {job.must_share:.1%} of a core")
    if megabytes > job.must_mb:
        missed.append(f"over {job.must_mb:g} MB")
    if missed:
        return "; ".join(missed)
    asked = (job.goal_ratio, job.goal_share, job.goal_mb) != (None, None, None)
    reached = asked and (
        (job.goal_ratio is None or (ratio is not None and ratio >= job.goal_ratio))
        and (job.goal_share is None or us["core_share"] <= job.goal_share)
        and (job.goal_mb is None or megabytes <= job.goal_mb)
    )
    return "goal" if reached else "must"
