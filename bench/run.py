"""`make bench`: the same jobs on Tracekeeper's sidecar and on the OpenTelemetry Collector, in turn, on this machine.

    python bench/run.py [--jobs all|512,50,1,offered,prompts,pod,rest,outage,limits,backlog] [--seconds 10] [--rounds 2]
                        [--backlog 10] [--ours-only]

For each job and side, from nothing: two backends that only count, the side on an empty folder, a second of warm-up, the
load, then the wait until every acknowledged span is delivered twice and the side is at rest. Load, backends and side
share the machine, and are the same for both. Rounds alternate which side goes first: a machine's speed drifts.

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
import limits
import outage
import physical
import plot
import table
from bytecode import prepare
from collector import Collector
from collector_build import ensure
from compare import compare
from jobs import Job, chosen
from machine import machine
from measure import RESULTS, measure
from processes import Failed
from sidecar import Sidecar

SIDES = {"ours": Sidecar, "theirs": Collector}


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


def alone(jobs: Sequence[Job], seconds: float, rounds: int) -> None:
    """Our side only, for work on it; nothing is compared or written."""
    for _ in range(rounds):
        for job in jobs:
            run = measure(Sidecar, job, seconds)
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


def special(names: Sequence[str], seconds: float, gigabytes: float) -> dict[str, Any]:
    """The special jobs' findings by name."""
    found: dict[str, Any] = {}
    for name in names:
        print(f"  {name} …", flush=True)
        if name == "outage":
            found[name] = outage.run([Sidecar, Collector], seconds)
        elif name == "limits":
            found[name] = limits.run(seconds)
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
        plot.steady(outcomes, RESULTS / "latest.png")
        lines += [*table.text(table.HEAD, table.rows(outcomes)), "", *table.verdicts(outcomes), ""]
    for name, module in (("outage", outage), ("limits", limits), ("backlog", backlog)):
        if name in found:
            lines += [*module.lines(found[name]), ""]
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
    parser.add_argument(
        "--ours-only", action="store_true", help="steady jobs on our side alone, nothing compared or written"
    )
    options = parser.parse_args()
    try:
        jobs, names = chosen(options.jobs)
        prepare()
        if options.ours_only:
            alone(jobs, options.seconds, options.rounds)
            return 0
        print(f"the Collector: {ensure()}", flush=True)
        outcomes = steady(jobs, options.seconds, options.rounds)
        found = special(names, options.seconds, options.backlog)
    except (Failed, ValueError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    print("", *report(outcomes, found), sep="\n")
    missed = [one for one in outcomes if one["verdict"] not in ("must", "goal")]
    return 1 if missed or any(one.get("missed") for one in found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
