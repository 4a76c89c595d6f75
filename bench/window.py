"""Tail sampling with a window of minutes, ours alone: what it takes, and that a kill in the middle forgets nothing.

The traces' roots are another program's, so that every trace stays open until its window ends. The sidecar is killed
when the window is full, and started again: each trace is decided once, whole, and the books close.

CPU is told apart: while the window *fills* spans only come in, and when it is *full* as many traces are decided and cut
as come. The second is what it takes for as long as the load lasts, and what is held against the bound.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from typing import Any

import procfs
from compare import lost, unclosed
from jobs import Job
from measure import RESULTS, bench_folder, decided, generate, quiet
from processes import Failed, Programs
from sampled import SINK
from sidecar import Sidecar
from sinks import Sinks
from spans import SPANS_PER_TRACE
from tail import Tail

RATE = 30_000
LONGER = 1.2
"""The load lasts so many windows: the last part of it with the window full."""
MUST_MB, MUST_SHARE = 100.0, 0.15
BYTES = 600
"""Of disk that a span may take, to be safe."""


def run(wait: float) -> dict[str, Any]:
    """Fill the window, kill, start, and wait for the end. Raises Failed when the disk has no room for it."""
    job = Job(
        "window", f"50 a request, {RATE:,} spans/s, {wait:g} s", 50, 16, rate=RATE, tail=Tail(wait), rootless=True
    )
    gigabytes = int(RATE * wait * LONGER * BYTES * 2 / 1e9) + 2
    if (room := shutil.disk_usage(RESULTS.parent).free / 1e9) < gigabytes:
        raise Failed(f"the window job needs {gigabytes} GB of disk, {RESULTS.parent} has {room:.0f}")
    with bench_folder() as folder, Programs(folder) as programs:
        sinks = Sinks(programs, [SINK], traces=True)
        side = Sidecar(programs, sinks.ports, storage=f"{gigabytes}Gi", tail=job.tail)
        side.start()
        peak = procfs.Peak(side.pid)
        side.ready()
        quiet(side)
        cpu = procfs.Consumption(side.pid)
        load = generate(side, job, wait * LONGER)
        cpu.stop()
        ended = time.monotonic()
        side.running.kill()
        before, begin = peak.stop(), time.monotonic()
        side.start()
        peak = procfs.Peak(side.pid)
        side.ready()
        healthy = time.monotonic() - begin
        came = decided(side, sinks, job, load["forced"], ended)
        after = peak.stop()
        found = load | {"sinks": sinks.stats(), "ledger": side.ledger(), "side": side.name, "warmed_up": 0}
    began = ended - load["seconds"]
    figures = {
        "title": job.title,
        "open_traces": round(RATE * wait / SPANS_PER_TRACE),
        "filling_share": round(cpu.share(began, began + wait), 4),
        "full_share": round(cpu.share(began + wait, ended), 4),
        "full_seconds": round(load["seconds"] - wait, 1),
        "peak_mb": round(before / 1e6, 1),
        "peak_after_mb": round(after / 1e6, 1),
        "healthy_seconds": round(healthy, 2),
        "decided_seconds": round(came - ended, 1),
    }
    return found | figures | {"missed": missed(figures, lost(found) + unclosed(found))}


def missed(figures: Mapping[str, Any], wrong: list[str]) -> list[str]:
    """What was not reached."""
    bounds = (
        ("peak_mb", MUST_MB, "MB at the peak"),
        ("peak_after_mb", MUST_MB, "MB at the peak after the start"),
        ("full_share", MUST_SHARE, "of a core with the window full"),
    )
    return [f"{figures[key]:g} {what}, {most:g} allowed" for key, most, what in bounds if figures[key] > most] + wrong


def cells(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A row for each figure."""
    return [
        ("load", f"{found['title']}, {found['acknowledged']:,} spans acknowledged"),
        ("open traces", f"{found['open_traces']:,}"),
        ("share of a core while the window fills", f"{found['filling_share']:.1%}"),
        ("… when it is full", f"{found['full_share']:.1%}, over {found['full_seconds']:.0f} s"),
        (
            "peak anonymous memory",
            f"{found['peak_mb']:.1f} MB; after a kill and a start {found['peak_after_mb']:.1f} MB",
        ),
        ("p50 and p99 of an export call", f"{found['p50_ms']:.1f} and {found['p99_ms']:.1f} ms"),
        ("healthy after a kill with the window full", f"{found['healthy_seconds']:.1f} s"),
        ("the last span left after the load's end", f"{found['decided_seconds']:.0f} s"),
    ]


def lines(found: Mapping[str, Any]) -> list[str]:
    """For the terminal."""
    verdict = "; ".join(found["missed"]) or "every trace decided once, and whole"
    return [*(f"window: {name}: {value}" for name, value in cells(found)), f"window: {verdict}"]
