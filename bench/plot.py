"""The bench's picture: three panels, ours beside the Collector's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

OURS, THEIRS = "#1f6f8b", "#b8b8b8"
PANELS = (
    ("per_cpu_second", "spans per CPU-second", True),
    ("rss_anon_mb", "peak anonymous memory, MB", False),
    ("p99_ms", "p99 latency, ms", True),
)


def draw(results: list[dict[str, Any]], baseline: dict[str, Any], path: Path) -> None:
    """Write a PNG of grouped bars, a group for each job (spans a request / requests in flight)."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(PANELS), figsize=(13, 4))
    jobs = [result["job"] for result in results]
    for axis, (key, title, logarithmic) in zip(axes, PANELS, strict=True):
        theirs = [baseline["jobs"].get(job, {}).get(key, 0) for job in jobs]
        for shift, values, colour, label in (
            (-0.2, [result[key] for result in results], OURS, "Tracekeeper, durable"),
            (0.2, theirs, THEIRS, f"{baseline['name']}, durable"),
        ):
            bars = axis.bar([i + shift for i in range(len(jobs))], values, 0.38, color=colour, label=label)
            axis.bar_label(bars, labels=[f"{v:,.0f}" if v else "" for v in values], fontsize=8)
        axis.set_title(title, fontsize=10)
        axis.set_xticks(range(len(jobs)), jobs)
        axis.set_xlabel("spans a request / in flight")
        if logarithmic:
            axis.set_yscale("log")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].legend(fontsize=8, frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    plt.close(figure)
