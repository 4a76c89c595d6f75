"""`make bench`: the same jobs on Tracekeeper's sidecar and on the OpenTelemetry Collector, in turn, on this machine.

    python bench/run.py [--jobs all|512,50,1,offered,prompts,pod,rest,redact-512,…,tail,tail-512,outage,limits,backlog]
                        [--seconds 10] [--rounds 2] [--backlog 10] [--window 300] [--ours-only | --theirs-only]

For each job and side, from nothing: two backends that only count, the side on an empty folder, a second of warm-up, the
load, then the wait until every acknowledged span is delivered twice and the side is at rest. In the jobs `tail…` both
sides sample, to one backend, and the wait is for all traces to be decided. In the jobs `redact-…` the Collector redacts
and each of our pipelines takes its turn, so that their ratios have one denominator. Load, backends and side share the
machine; load and backends are the same for both. Rounds alternate which side goes first: a machine's speed drifts.
README.md names jobs that `all` leaves out.

Prints a table; writes bench/results/latest.json and *.png. Runs whose work differs (spans lost, other bytes, books that
do not close) are not compared. Exit 1 then, and when something that must be reached was missed; 0 otherwise.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
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
Runs = Mapping[str, list[dict[str, Any]]]
LINES = {
    "outage": outage.lines,
    "limits": limits.lines,
    "backlog": backlog.lines,
    "window": window.lines,
    "conditions": conditions.lines,
}


def steady(jobs: Sequence[Job], seconds: float, rounds: int) -> list[dict[str, Any]]:
    """Every job on both sides, so many times; the outcome of each."""
    runs: dict[str, dict[str, list[dict[str, Any]]]] = {job.name: {side: [] for side in sides(job)} for job in jobs}
    for number in range(rounds):
        for job in jobs:
            makers = sides(job)
            for side in makers if number % 2 == 0 else reversed(makers):
                print(f"  round {number + 1}, {job.name:14} {side:7}", end="", flush=True)
                run = measure(makers[side], job, seconds)
                runs[job.name][side].append(run)
                print(
                    f"{run['acknowledged_per_second']:>9,} spans/s {run['per_cpu_second']:>9,} per CPU-second"
                    f" {run['peak_mb']:>6.1f} MB, drained after {run['settle_seconds']:.1f} s",
                    flush=True,
                )
    return [outcome for job in jobs for outcome in compared(job, runs[job.name])]


def sides(job: Job) -> dict[str, Make]:
    """Who does a job in turn: the two sides, or where both redact the Collector and each pipeline of ours."""
    if job.redaction is None:
        return SIDES
    makers: dict[str, Make] = {"theirs": partial(Collector, redacting=True)}
    return makers | {steps: partial(Sidecar, steps=steps) for steps, _ in job.redaction.musts}


def compared(job: Job, runs: Runs) -> list[dict[str, Any]]:
    """The outcome of a job; where both sides redact, of each pipeline, against the same runs of the Collector."""
    if job.redaction is None:
        return [compare(job, runs["ours"], runs["theirs"])]
    return [
        compare(replace(job, must_ratio=must), runs[steps], runs["theirs"]) | {"steps": steps}
        for steps, must in job.redaction.musts
    ]


def alone(make: Make, jobs: Sequence[Job], seconds: float, rounds: int) -> None:
    """One side only, for work on it; nothing is compared or written."""
    for _ in range(rounds):
        for job, one in [(each, one) for each in jobs for one in _alone(make, each)]:
            run = measure(one, job, seconds)
            name = f"{job.name} {run.get('steps', '')}"
            shown = (
                "acknowledged_per_second",
                "per_cpu_second",
                "core_share",
                "fresh_mb",
                "peak_mb",
                "p50_ms",
                "p99_ms",
            )
            print(f"{name:20}", *(f"{key} {run[key]:,}" for key in shown), sep="  ", flush=True)
            for why in lost(run) + unclosed(run):
                print(f"    {why}", flush=True)


def _alone(make: Make, job: Job) -> list[Make]:
    ours = make is SIDES["ours"]
    return [one for side, one in sides(job).items() if (side != "theirs") is ours]


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
        plain, tail, redacted = table.split(outcomes)
        for jobs, name, theirs in ((plain, "latest", "durable"), (tail, "tail", "in memory")):
            if jobs:
                plot.steady(jobs, RESULTS / f"{name}.png", theirs)
        if redacted:
            plot.redacted(redacted, RESULTS / "redaction.png")
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
