"""The bench's pictures: the steady jobs, ours beside the Collector's, and what a backlog costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.ticker import NullFormatter

OURS, THEIRS = "#1f6f8b", "#b8b8b8"
PIPELINES = {"off": "#9cc9d8", "redact": "#4f9ab3", "all": OURS}
PANELS = (
    ("per_cpu_second", "spans per CPU-second", True),
    ("peak_mb", "peak anonymous memory, MB", False),
    ("p99_ms", "p99 of an export call, ms", True),
)


def steady(outcomes: Sequence[Mapping[str, Any]], path: Path, theirs: str = "durable") -> None:
    """Write a PNG of grouped bars, a group for each job; `theirs` says how the Collector keeps spans."""
    figure, axes = plt.subplots(1, len(PANELS), figsize=(15, 4.5))
    outcomes = [one for one in outcomes if one["ours"]["acknowledged"]]
    places = range(len(outcomes))
    for axis, (key, title, logarithmic) in zip(axes, PANELS, strict=True):
        for shift, side, colour, how in ((-0.2, "ours", OURS, "durable"), (0.2, "theirs", THEIRS, theirs)):
            values = [one[side][key] for one in outcomes]
            label = f"{outcomes[0][side]['side']}, {how}" if outcomes else side
            bars = axis.bar([place + shift for place in places], values, 0.38, color=colour, label=label)
            axis.bar_label(bars, labels=[_short(value) for value in values], fontsize=7)
        axis.set_title(title, fontsize=10)
        axis.set_xticks(places, [_name(one) for one in outcomes], fontsize=8)
        if logarithmic:
            axis.set_yscale("log")
            axis.yaxis.set_minor_formatter(NullFormatter())
        axis.spines[["top", "right"]].set_visible(False)
        axis.margins(y=0.12)
    if outcomes:
        figure.legend(*axes[0].get_legend_handles_labels(), fontsize=8, frameon=False, loc="upper left", ncols=2)
    figure.tight_layout(rect=(0, 0, 1, 0.94))
    figure.savefig(path, dpi=130)
    plt.close(figure)


def redacted(outcomes: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write a PNG of grouped bars, a group for each job: each of our pipelines, and the Collector that redacts."""
    figure, axes = plt.subplots(1, len(PANELS), figsize=(15, 4.5))
    jobs = list(dict.fromkeys(one["job"] for one in outcomes))
    width = 0.8 / (len(PIPELINES) + 1)
    found = {(one["job"], one["steps"]): one["ours"] for one in outcomes}
    found |= {(one["job"], "theirs"): one["theirs"] for one in outcomes}
    for axis, (key, title, logarithmic) in zip(axes, PANELS, strict=True):
        for number, (steps, colour) in enumerate([*PIPELINES.items(), ("theirs", THEIRS)]):
            places = [place for place, job in enumerate(jobs) if (job, steps) in found]
            values = [found[jobs[place], steps][key] for place in places]
            label = found[jobs[places[0]], steps]["side"] if places else steps
            shifted = [place + (number - len(PIPELINES) / 2) * width for place in places]
            bars = axis.bar(shifted, values, width * 0.95, color=colour, label=label)
            axis.bar_label(bars, labels=[_short(value) for value in values], fontsize=6)
        axis.set_title(title, fontsize=10)
        axis.set_xticks(range(len(jobs)), [job.removeprefix("redact-") for job in jobs], fontsize=8)
        if logarithmic:
            axis.set_yscale("log")
            axis.yaxis.set_minor_formatter(NullFormatter())
        axis.spines[["top", "right"]].set_visible(False)
        axis.margins(y=0.12)
    figure.legend(*axes[0].get_legend_handles_labels(), fontsize=8, frameon=False, loc="upper left", ncols=4)
    figure.tight_layout(rect=(0, 0, 1, 0.94))
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _name(outcome: Mapping[str, Any]) -> str:
    return f"{outcome['job']}\n{outcome['ratio']:.1f}x" if outcome["ratio"] else str(outcome["job"])


def _short(value: float) -> str:
    if value >= 10_000:
        return f"{value / 1000:,.0f}k"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def backlog(found: Mapping[str, Any], path: Path) -> None:
    """Write a PNG of two lines: CPU per span while the backlog grows, and while it is worked off."""
    figure, axis = plt.subplots(figsize=(8, 4.5))
    for key, label, colour in (
        ("growing", "taking a span in (both backends away)", OURS),
        ("shrinking", "delivering it twice", "#d1495b"),
    ):
        points = found[key]
        gigabytes, cost = [p["backlog_gb"] for p in points], [p["cpu_us_per_span"] for p in points]
        axis.plot(gigabytes, cost, "o-", color=colour, label=label)
    axis.set_xlabel("backlog, GB")
    axis.set_ylabel("CPU per span, µs")
    axis.set_ylim(bottom=0)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=9)
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    plt.close(figure)
