"""Outcomes as tables: for a terminal, and the same cells for a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from jobs import EVERY, Job

HEAD = (
    "job",
    "side",
    "acknowledged/s",
    "per CPU-second",
    "ratio",
    "must",
    "goal",
    "core",
    "peak MB",
    "p50 ms",
    "p99 ms",
)
KEPT, MASKED = "kept", "masked"
"""The columns that only tail samplers' tables and redaction's have."""
Outcomes = list[Mapping[str, Any]]

WORDS = {"must": "reaches what it must", "goal": "reaches its goal"}
"""For people, of what is not missed; a job without a ratio that it must reach has a bound of memory all the same."""


def split(outcomes: Sequence[Mapping[str, Any]]) -> tuple[Outcomes, Outcomes, Outcomes]:
    """The outcomes of jobs in which everything is kept as it is, those of tail samplers, and those of redaction."""
    tail = [outcome for outcome in outcomes if EVERY[outcome["job"]].tail]
    redacted = [outcome for outcome in outcomes if EVERY[outcome["job"]].redaction]
    return [outcome for outcome in outcomes if outcome not in tail + redacted], tail, redacted


def tables(outcomes: Sequence[Mapping[str, Any]]) -> list[tuple[Sequence[str], list[tuple[str, ...]]]]:
    """Head and rows of each kind of job there is."""
    plain, tail, redacted = split(outcomes)
    found: list[tuple[Sequence[str], list[tuple[str, ...]]]] = [(HEAD, rows(plain))] if plain else []
    if tail:
        shares = [f"{outcome[side]['kept_share']:.2%}" for outcome in tail for side in ("ours", "theirs")]
        found.append(((*HEAD, KEPT), [(*row, share) for row, share in zip(rows(tail), shares, strict=True)]))
    if redacted:
        found.append(((*(column for column in HEAD if column != "goal"), MASKED), redacted_rows(redacted)))
    return found


def redacted_rows(outcomes: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """A row for each of our pipelines, and below them the Collector's, which is the same for all of a job."""
    found = []
    for name, group in groupby(outcomes, key=lambda outcome: str(outcome["job"])):
        job, title = EVERY[name], EVERY[name].title
        assert job.redaction
        for outcome in group:
            must = dict(job.redaction.musts)[outcome["steps"]]
            sides = outcome["ours"], outcome["theirs"]
            row = _side(sides[0], ratio(outcome), f"{must:g}x" if must else "")
            found.append((title, *row, f"{sides[0]['masked_share']:.0%}"))
            title = ""
        found.append(("", *_side(sides[1], "", ""), f"{sides[1]['masked_share']:.0%}"))
    return found


def ratio(outcome: Mapping[str, Any]) -> str:
    """How many times the Collector's, with the least and the most of the rounds; nothing without a comparison."""
    shown = f"{outcome['ratio']:.1f}x" if outcome["ratio"] else ""
    if len(outcome["ratios"]) > 1:
        shown += f" ({min(outcome['ratios']):.1f}-{max(outcome['ratios']):.1f})"
    return shown


def rows(outcomes: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Two rows a job: ours with ratio and verdict, the Collector's below."""
    found = []
    for outcome in outcomes:
        job = EVERY[outcome["job"]]
        found.append((job.title, *_side(outcome["ours"], ratio(outcome), *asked(job))))
        found.append(("", *_side(outcome["theirs"], "", "", "")))
    return found


def asked(job: Job) -> tuple[str, str]:
    """What must be reached, and what is the goal."""
    if job.must_ratio is not None:
        return f"{job.must_ratio:g}x", f"{job.goal_ratio:g}x"
    must = f"{job.must_share:.1%}" if job.must_share is not None else ""
    goal = f"{job.goal_share:.1%}" if job.goal_share is not None else ""
    return must, goal


def _side(side: Mapping[str, Any], *between: str) -> tuple[str, ...]:
    speed = f"{side['acknowledged_per_second']:,}" if side["acknowledged"] else ""
    each = f"{side['per_cpu_second']:,}" if side["acknowledged"] else ""
    delay = (f"{side['p50_ms']:.1f}", f"{side['p99_ms']:.1f}") if side["acknowledged"] else ("", "")
    memory = side["peak_mb"] if side["acknowledged"] else side["fresh_mb"]
    return (side["side"], speed, each, *between, f"{side['core_share']:.2%}", f"{memory:.1f}", *delay)


def text(head: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    """Aligned columns: the first two to the left, the others to the right."""
    widths = [max(len(row[i]) for row in [head, *body]) for i in range(len(head))]
    return [
        "  ".join(
            cell.ljust(width) if place < 2 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in [head, *body]
    ]


def markdown(head: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    """The same as a table of a page."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return lines + ["| " + " | ".join(row) + " |" for row in body]


def verdicts(outcomes: Sequence[Mapping[str, Any]]) -> list[str]:
    """One line a job: reached, missed, or why there is no comparison."""
    lines = []
    for outcome in outcomes:
        steps = f", {outcome['steps']}" if "steps" in outcome else ""
        lines.append(f"{outcome['title']}{steps}: {WORDS.get(outcome['verdict'], outcome['verdict'])}")
        lines += [f"    NOT COMPARED, the work differs: {why}" for why in outcome["differs"]]
        for side in ("ours", "theirs"):
            refused = outcome[side]["refused"]
            if refused:
                lines.append(f"    {outcome[side]['side']} refused {refused}")
    return lines
