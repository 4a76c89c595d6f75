"""What each processor costs where it has nothing to do, and where it has: ns of one core per span, in this process.

    python bench/steps.py [--spans 512] [--requests 100] [--prompt 0] [--bare] [--only NAME] [--seconds 0]

The spans are those of the bench, with --prompt and --bare as there. Each request goes through the steps in their order,
and each step is timed on what the one before it gave. With --seconds it goes on for so long, for a profiler to look at.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import processors
from spans import Template

from tracekeeper_sidecar.memory import keep_some
from tracekeeper_sidecar.process.build import Means, build
from tracekeeper_sidecar.process.step import Request, Step
from tracekeeper_sidecar.wire.scan import look
from tracekeeper_spec.faults import Fault
from tracekeeper_spec.processor_fields import PROCESSORS
from tracekeeper_spec.walk import read

ROUNDS = 5
GOALS = {"Normalize": 250, "Redact": 750, "Price": 500, "Detect": 400}
"""Nanoseconds a span where there is nothing to do."""


def steps(only: str | None) -> list[Step]:
    """Those of the bench's longest pipeline, in its order, or one of them. Raises ValueError when there is none."""
    chosen = [one for one in processors.PIPELINES["all"] if only in (None, one["name"], one["type"])]
    faults: list[Fault] = []
    parsed = read(PROCESSORS, chosen, "processors", faults)
    if faults or not chosen:
        raise ValueError(f"no such processors: {faults or only}")
    return list(build(parsed, Means()).steps)


def timed(made: Sequence[Step], bodies: Sequence[bytes], spans: int) -> tuple[list[float], int]:
    """Nanoseconds a span in each step, and the bytes that come out of the last one."""
    taken, size = [0.0] * len(made), 0
    for body in bodies:
        request = Request(body, spans, time.time_ns())
        for place, step in enumerate(made):
            begin = time.process_time_ns()
            step.run(request)
            taken[place] += time.process_time_ns() - begin
        size += len(request.body)
    if look(request.body).spans != spans:
        raise ValueError(f"{request.spans} of {spans} spans are left: {request.problem}")
    return [one / (len(bodies) * spans) for one in taken], size


def scanned(bodies: Sequence[bytes], spans: int) -> float:
    """Nanoseconds a span to scan the requests."""
    begin = time.process_time_ns()
    for body in bodies:
        look(body)
    return (time.process_time_ns() - begin) / (len(bodies) * spans)


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description="ns a span in each processor")
    parser.add_argument("--spans", type=int, default=512, help="in a request")
    parser.add_argument("--requests", type=int, default=100)
    parser.add_argument("--prompt", type=int, default=0, help="bytes of prompt in each span")
    parser.add_argument("--bare", action="store_true", help="in each span, one value that must be masked")
    parser.add_argument("--only", help="one processor, by its name or type")
    parser.add_argument("--seconds", type=float, default=0.0, help="to go on for, at least")
    options = parser.parse_args()
    keep_some()  # As the sidecar does: requests are written into memory that others have left.
    template = Template(options.spans, options.prompt, bare=options.bare)
    made = steps(options.only)
    rounds: list[list[float]] = []
    scans: list[float] = []
    end = time.monotonic() + options.seconds
    while len(rounds) < ROUNDS or time.monotonic() < end:
        # New trace ids each round: a step that knows a trace already has less to do, or more.
        bodies = [template.request() for _ in range(options.requests)]
        scans.append(scanned(bodies, options.spans))
        taken, size = timed(made, bodies, options.spans)
        rounds.append(taken)
    sent, best = len(template) / options.spans, [min(each) for each in zip(*rounds, strict=True)]
    more = size / options.requests / options.spans - sent
    print(f"{options.requests} requests of {options.spans} spans of {sent:.0f} bytes, the best of {len(rounds)} rounds")
    print(f"{'the scan':12} {min(scans):8.0f} ns a span, which receivers do before: how fast the machine is just now")
    for step, took in zip(made, best, strict=True):
        print(f"{step.kind:12} {took:8.0f} ns a span   (goal {GOALS[step.kind]})")
    print(f"{'together':12} {sum(best):8.0f} ns a span; {more:+.0f} bytes a span")


if __name__ == "__main__":
    main()
