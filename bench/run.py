"""`make bench`: the same jobs on Tracekeeper's sidecar and on the OpenTelemetry Collector, in turn, on this machine.

    python bench/run.py [--jobs all|512,50,1,offered,prompts,pod,rest,tail,tail-512,outage,limits,backlog]
                        [--seconds 10] [--rounds 2] [--backlog 10] [--window 300] [--ours-only | --theirs-only]

For each job and side, from nothing: two backends that only count, the side on an empty folder, a second of warm-up, the
load, then the wait until every acknowledged span is delivered twice and the side is at rest. In the jobs `tail…` both
sides sample, to one backend, and the wait is for all traces to be decided. Load, backends and side share the machine;
load and backends are the same for both. Rounds alternate which side goes first: a machine's speed drifts. README.md
names jobs that `all` leaves out.

Prints a table; writes bench/results/latest.json and *.png. Runs whose work differs (spans lost, other bytes, books that
do not close) are not compared. Exit 1 then, and when something that must be reached was missed; 0 otherwise.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

import backlog
import conditions
import limits
import outage
import physical
import plot
import table
import window
from bytecode import prepare
from collector import Collector
from collector_build import ensure
from compare import compare, lost, unclosed
from jobs import Job, chosen
from machine import machine
from measure import RESULTS, Make, measure
from processes import Failed
from sidecar import Sidecar

SIDES: dict[str, Make] = {"ours": Sidecar, "theirs": Collector}
LINES = {
    "outage": outage.lines,
    "limits": limits.lines,
    "backlog": backlog.lines,
    "window": window.lines,
    "conditions": conditions.lines,
}


def steady(jobs: Sequence[Job], seconds: float, rounds: int) -> list[dict[str, Any]]:
    """Every job on both sides, so many times; the outcome of each."""
    runs: dict[str, dict[str, list[dict[str, Any]]]] = {job.name: {side: [] for side in SIDES} for job in jobs}
    for number in range(rounds):
        order = list(SIDES) if number % 2 == 0 else list(reversed(SIDES))
        for job in jobs:
            for side in order:
                print(f"  round {number + 1}, {job.name:8} {side:7}", end="", flush=True)
                run = measure(SIDES[side], job, seconds)
                runs[job.name][side].append(run)
                print(
                    f"{run['acknowledged_per_second']:>9,} spans/s {run['per_cpu_second']:>9,} per CPU-second"
                    f" {run['peak_mb']:>6.1f} MB, drained after {run['settle_seconds']:.1f} s",
                    flush=True,
                )
    return [compare(job, runs[job.name]["ours"], runs[job.name]["theirs"]) for job in jobs]


def alone(make: Make, jobs: Sequence[Job], seconds: float, rounds: int) -> None:
    """One side only, for work on it; nothing is compared or written."""
    for _ in range(rounds):
        for job in jobs:
            run = measure(make, job, seconds)
            shown = (
                "acknowledged_per_second",
                "per_cpu_second",
                "core_share",
                "fresh_mb",
                "peak_mb",
                "p50_ms",
                "p99_ms",
            )
            print(f"{job.name:8}", *(f"{key} {run[key]:,}" for key in shown), sep="  ", flush=True)
            for why in lost(run) + unclosed(run):
                print(f"    {why}", flush=True)


def special(names: Sequence[str], seconds: float, gigabytes: float, wait: float) -> dict[str, Any]:
    """The special jobs' findings by name."""
    found: dict[str, Any] = {}
    for name in names:
        print(f"  {name} …", flush=True)
        if name == "outage":
            found[name] = outage.run([Sidecar, Collector], seconds)
        elif name == "limits":
            found[name] = limits.run(seconds)
        elif name == "window":
            found[name] = window.run(wait)
        elif name == "conditions":
            found[name] = conditions.run(seconds)
        else:
            found[name] = backlog.run(gigabytes)
    return found


def report(outcomes: list[dict[str, Any]], found: dict[str, Any]) -> list[str]:
    """Write JSON and pictures; returns the lines to print."""
    RESULTS.mkdir(exist_ok=True)
    limits_of_machine = physical.run(str(RESULTS))
    whole = {"machine": machine(), "physical": limits_of_machine, "jobs": outcomes, "special": found}
    (RESULTS / "latest.json").write_text(json.dumps(whole, indent=2) + "\n")
    lines = [f"{machine()['processors']} processors, {machine()['model']}", ""]
    if outcomes:
        for jobs, name, theirs in zip(table.split(outcomes), ("latest", "tail"), ("durable", "in memory"), strict=True):
            if jobs:
                plot.steady(jobs, RESULTS / f"{name}.png", theirs)
        for head, rows in table.tables(outcomes):
            lines += [*table.text(head, rows), ""]
        lines += [*table.verdicts(outcomes), ""]
    for name, told in found.items():
        lines += [*LINES[name](told), ""]
    if "backlog" in found:
        plot.backlog(found["backlog"], RESULTS / "backlog.png")
    return [*lines, f"Written: {RESULTS}/latest.json and pictures beside it"]


def main() -> int:
    """Run every job, print, write."""
    parser = argparse.ArgumentParser(description="Tracekeeper's sidecar beside the OpenTelemetry Collector")
    parser.add_argument("--jobs", default="all", help="names, separated by commas")
    parser.add_argument("--seconds", type=float, default=10.0, help="of load, for each run")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--backlog", type=float, default=10.0, help="gigabytes of the backlog job")
    parser.add_argument("--window", type=float, default=300.0, help="seconds of the window job's window")
    only = parser.add_mutually_exclusive_group()
    for side in SIDES:
        only.add_argument(
            f"--{side}-only",
            dest="only",
            action="store_const",
            const=side,
            help="steady jobs on this side alone, nothing compared or written",
        )
    options = parser.parse_args()
    try:
        jobs, names = chosen(options.jobs)
        prepare()
        if options.only:
            alone(SIDES[options.only], jobs, options.seconds, options.rounds)
            return 0
        print(f"the Collector: {ensure()}", flush=True)
        outcomes = steady(jobs, options.seconds, options.rounds)
        found = special(names, options.seconds, options.backlog, options.window)
    except (Failed, ValueError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    print("", *report(outcomes, found), sep="\n")
    missed = [one for one in outcomes if one["verdict"] not in ("must", "goal")]
    return 1 if missed or any(one.get("missed") for one in found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
