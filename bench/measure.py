"""One job on one side: start it, warm it up, load it, wait until its queue is drained, and count what that took."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import procfs
from jobs import Job
from processes import Failed, Program, Programs, until
from sampled import SINK
from sinks import NAMES, Sinks, since, spans
from tail import Tail

HERE = Path(__file__).parent
RESULTS = HERE / "results"
SETTLE_LIMIT = 240.0
"""Seconds after a load within which everything must be delivered."""
WARM_UP = 1.0
QUIET = 0.02
"""CPU seconds in half a second below which a side counts as idle."""
UNDECIDED = 60.0
"""Seconds after its time is up within which every trace that must be kept has to arrive from a tail sampler."""
STILL = 2.0
"""Seconds without a span from a tail sampler after which no more are expected."""


class Side(Protocol):
    """What is measured: a program that takes OTLP over gRPC and owes it to its backends."""

    name: str
    grpc: int
    steps: str
    """What it does with spans: one of our pipelines, or the Collector's like."""

    @property
    def pid(self) -> int: ...
    @property
    def running(self) -> Program: ...
    def start(self) -> None: ...
    def ready(self) -> None: ...


class Make(Protocol):
    """Makes a side in a folder, with backends by name and port."""

    def __call__(self, programs: Programs, backends: Mapping[str, int], /, *, tail: Tail | None = None) -> Side: ...


@contextmanager
def bench_folder() -> Iterator[Path]:
    """A folder on the disk of the checkout, gone afterwards."""
    RESULTS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="run-", dir=RESULTS, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def generate(side: Side, job: Job, seconds: float, **more: float) -> dict[str, Any]:
    """Run load.py against a side; what it printed. Raises Failed with its complaint."""
    options: dict[str, object] = {
        "spans": job.spans,
        "in-flight": job.in_flight,
        "rate": job.rate,
        "prompt": job.prompt,
        **more,
    }
    if job.tail:
        options["traces"] = "rootless" if job.rootless else "rooted"
    flags = ["--bare"] if job.redaction and job.redaction.bare else []
    command = [sys.executable, str(HERE / "load.py"), f"--target=127.0.0.1:{side.grpc}", f"--seconds={seconds}"]
    command += [*flags, *(f"--{name.replace('_', '-')}={value}" for name, value in options.items())]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 120, check=False)
    if done.returncode:
        raise Failed(f"load.py failed:\n{done.stderr}\n{side.name} said:\n{side.running.tail()}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def settled(side: Side, sinks: Sinks, target: int, limit: float = SETTLE_LIMIT) -> None:
    """Wait until both sinks have so many spans, and the side has come to rest."""
    until(lambda: spans(sinks.stats()) >= target, limit, f"both sinks have {target:,} spans", side.running)
    quiet(side)


def decided(side: Side, sinks: Sinks, job: Job, forced: int, begin: float) -> float:
    """Wait until a tail sampler has decided what it took, and the side has come to rest; when the last span came.

    That is when the window is over since `begin`, when the sink has so many of the traces that must be kept, and when
    no more come. Those that never come are not waited for beyond a limit: the comparison finds them missing.
    """
    assert job.tail
    last, came = spans(sinks.stats()), time.monotonic()
    while not side.running.ended():
        time.sleep(0.1)
        stats, now = sinks.stats(), time.monotonic()
        if spans(stats) != last:
            last, came = spans(stats), now
        late = now - begin - job.tail.wait
        complete = stats[SINK]["forced"] >= forced
        if late > 0 and now - came >= STILL and (complete or late > UNDECIDED):
            break
    quiet(side)
    return came


def quiet(side: Side, limit: float = 10.0) -> None:
    """Wait until the side does next to nothing: what follows delivery (queues, cursors) is part of the work."""
    deadline = time.monotonic() + limit
    before = procfs.cpu_seconds(side.pid)
    while time.monotonic() < deadline:
        time.sleep(0.5)
        now = procfs.cpu_seconds(side.pid)
        if now - before < QUIET:
            return
        before = now


def measure(make: Make, job: Job, seconds: float) -> dict[str, Any]:
    """One run from nothing; raises Failed naming what went wrong."""
    seconds *= job.longer
    with bench_folder() as folder, Programs(folder) as programs:
        tail, redaction = job.tail, job.redaction
        sinks = Sinks(programs, [SINK] if tail else NAMES, traces=tail is not None, masks=redaction is not None)
        side = make(programs, sinks.ports, tail=job.tail)
        side.start()
        peak = procfs.Peak(side.pid)
        side.ready()
        quiet(side)
        fresh = procfs.anonymous_bytes(side.pid)
        run = _loaded(side, sinks, job, seconds) if job.spans else _resting(side, sinks, seconds)
        run["ledger"] = getattr(side, "ledger", dict)()
        if redaction:
            run |= {"steps": side.steps, "bare": redaction.bare}
        highest = peak.stop()
    return run | {
        "side": side.name,
        "fresh_mb": round(fresh / 1e6, 1),
        "peak_mb": round(highest / 1e6, 1),
        "core_share": round(run["cpu_seconds"] / run["seconds"], 5),
        "per_cpu_second": round(run["acknowledged"] / run["cpu_seconds"]) if run["cpu_seconds"] else 0,
    }


def _loaded(side: Side, sinks: Sinks, job: Job, seconds: float) -> dict[str, Any]:
    warm, _ = _load(side, sinks, job, WARM_UP, seed=0)
    before, cpu = sinks.stats(), procfs.cpu_seconds(side.pid)
    run, settle_seconds = _load(side, sinks, job, seconds, seed=1)
    return run | {
        "cpu_seconds": round(procfs.cpu_seconds(side.pid) - cpu, 4),
        "settle_seconds": round(settle_seconds, 2),
        "warmed_up": warm["acknowledged"],
        "sinks": since(sinks.stats(), before),
        "acknowledged_per_second": round(run["acknowledged"] / run["seconds"]),
    }


def _load(side: Side, sinks: Sinks, job: Job, seconds: float, seed: int) -> tuple[dict[str, Any], float]:
    """Load, and the wait for its end; what load.py printed, and how long the wait took."""
    before = sinks.stats()
    if not job.tail:
        run = generate(side, job, seconds)
        begin = time.monotonic()
        settled(side, sinks, run["acknowledged"] + spans(before))
        return run, time.monotonic() - begin
    run = generate(side, job, seconds, seed=seed)
    begin = time.monotonic()
    came = decided(side, sinks, job, run["forced"] + before[SINK]["forced"], begin)
    return run, max(0.0, came - begin)


def _resting(side: Side, sinks: Sinks, seconds: float) -> dict[str, Any]:
    cpu, begin = procfs.cpu_seconds(side.pid), time.monotonic()
    time.sleep(seconds)
    used, took = procfs.cpu_seconds(side.pid) - cpu, time.monotonic() - begin
    zero = {"requests": 0, "acknowledged": 0, "refused": {}, "p50_ms": 0.0, "p99_ms": 0.0, "warmed_up": 0}
    load = {"spans_per_request": 0, "bytes_per_request": 0, "in_flight": 0, "offered_per_second": 0.0}
    figures = {"cpu_seconds": round(used, 4), "seconds": round(took, 3), "sinks": sinks.stats()}
    return zero | load | figures | {"acknowledged_per_second": 0, "settle_seconds": 0.0}
