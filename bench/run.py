"""`make bench`: 30 s of load at three request sizes into one sidecar with two backends, beside the Collector's figures.

    python bench/run.py [--seconds 30] [--jobs 512/16,50/16,1/32]

For each job, from nothing: two backends that only count, `tracekeeper-sidecar run` on an empty folder, a closed loop of
requests, then the wait until every acknowledged span is delivered twice. Load, backends and sidecar share the machine.
Prints a table; writes bench/results/latest.json and latest.png. Exit 1 when spans are missing.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import procfs
from plot import draw
from sidecar import Sidecar

HERE = Path(__file__).parent
RESULTS = HERE / "results"
BASELINE = HERE / "collector_baseline.json"
SETTLE_LIMIT = 180.0
"""Seconds after the load within which everything must be delivered."""


def measure(job: str, seconds: float) -> dict[str, Any]:
    """One job from start to delivered; raises RuntimeError naming what went wrong."""
    spans, in_flight = (int(part) for part in job.split("/"))
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="data-", dir=RESULTS))
        sidecar = stack.enter_context(Sidecar(Path(folder)))
        rest = procfs.anonymous_bytes(sidecar.pid)
        before = procfs.cpu_seconds(sidecar.pid)
        peak = procfs.Peak(sidecar.pid)
        command = [sys.executable, str(HERE / "load.py"), "--target", f"127.0.0.1:{sidecar.grpc}"]
        command += ["--spans", str(spans), "--in-flight", str(in_flight), "--seconds", str(seconds)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 120, check=False)
        if done.returncode:
            raise RuntimeError(f"load.py failed:\n{done.stderr}\nthe sidecar's log:\n{sidecar.tail()}")
        result: dict[str, Any] = json.loads(done.stdout)
        begin = time.monotonic()
        ledger = sidecar.settled(SETTLE_LIMIT)
        result["settle_seconds"] = round(time.monotonic() - begin, 2)
        cpu = procfs.cpu_seconds(sidecar.pid) - before
        result["backends"] = sidecar.counted()
        result["rss_anon_mb"] = round(peak.stop() / 1e6, 1)
    return result | {
        "job": job,
        "ledger": ledger,
        "rest_rss_anon_mb": round(rest / 1e6, 1),
        "cpu_seconds": round(cpu, 2),
        "acknowledged_per_second": round(result["acknowledged"] / result["seconds"]),
        "per_cpu_second": round(result["acknowledged"] / cpu) if cpu else 0,
    }


def faults(result: dict[str, Any]) -> list[str]:
    """What is missing: acknowledged spans must have been delivered to both backends."""
    job, acknowledged = result["job"], result["acknowledged"]
    short = [
        f"{job}: {name} got {stats['spans']} of {acknowledged} acknowledged spans"
        for name, stats in result["backends"].items()
        if stats["spans"] < acknowledged
    ]
    entries = result["ledger"]["delivery"]
    return short + [f"{job}: delivery {e}" for e in entries if e["dropped"] or int(e["pending"])]


def rows(results: list[dict[str, Any]], baseline: dict[str, Any]) -> list[str]:
    """The table: ours, and the Collector's below."""
    head = ("job", "", "acknowledged/s", "per CPU-second", "ratio", "peak anon MB", "p50 ms", "p99 ms", "refused")
    lines = ["{:<8} {:<12} {:>14} {:>15} {:>7} {:>13} {:>8} {:>8} {:>9}".format(*head)]
    line = "{:<8} {:<12} {:>14,} {:>15,} {:>7} {:>13} {:>8} {:>8} {:>9,}"
    for ours in results:
        theirs = baseline["jobs"].get(ours["job"])
        ratio = f"{ours['per_cpu_second'] / theirs['per_cpu_second']:.1f}" if theirs else ""
        for name, side, shown in (("tracekeeper", ours, ratio), ("Collector", theirs, "")):
            if side is not None:
                refused = sum(side.get("refused", {}).values())
                cells = [side[k] for k in ("rss_anon_mb", "p50_ms", "p99_ms")]
                speeds = [side["acknowledged_per_second"], side["per_cpu_second"]]
                lines.append(line.format(ours["job"], name, *speeds, shown, *cells, refused))
    return lines


def machine() -> dict[str, object]:
    """Where this was measured."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    model = models[0].partition(":")[2].strip() if models else platform.machine()
    return {"processors": len(models), "model": model, "python": platform.python_version(), "time": time.time()}


def main() -> int:
    """Run every job, print, write."""
    parser = argparse.ArgumentParser(description="load on one sidecar, beside the Collector's published figures")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--jobs", default="512/16,50/16,1/32", help="spans a request / requests in flight, …")
    options = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    baseline = json.loads(BASELINE.read_text())
    jobs = options.jobs.split(",")
    print(f"{len(jobs)} jobs of {options.seconds:.0f} s each, plus what delivery takes", flush=True)
    results, missing = [], []
    for job in jobs:
        print(f"  {job} …", end="", flush=True)
        result = measure(job, options.seconds)
        print(f" {result['acknowledged_per_second']:,} spans/s, settled {result['settle_seconds']} s later", flush=True)
        results.append(result)
        missing += faults(result)
    report = {"machine": machine(), "baseline": baseline["name"], "jobs": results}
    (RESULTS / "latest.json").write_text(json.dumps(report, indent=2) + "\n")
    draw(results, baseline, RESULTS / "latest.png")
    print(f"\n{machine()['processors']} processors, {machine()['model']}", *rows(results, baseline), sep="\n")
    print(f"\nCollector: {baseline['name']}. {baseline['caveat']}\nWritten: {RESULTS}/latest.json, latest.png")
    print(*(f"MISSING: {fault}" for fault in missing), sep="\n", end="\n" if missing else "")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
