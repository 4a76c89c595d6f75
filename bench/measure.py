"""One job on one side: start it, warm it up, load it, wait until its queue is drained, and count what that took."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import procfs
from jobs import Job
from processes import Failed, Program, Programs, until
from sinks import Sinks, since, spans

HERE = Path(__file__).parent
RESULTS = HERE / "results"
SETTLE_LIMIT = 240.0
"""Seconds after a load within which everything must be delivered."""
WARM_UP = 1.0
QUIET = 0.02
"""CPU seconds in half a second below which a side counts as idle."""


class Side(Protocol):
    """What is measured: a program that takes OTLP over gRPC and owes it to two backends."""

    name: str
    grpc: int

    @property
    def pid(self) -> int: ...
    @property
    def running(self) -> Program: ...
    def start(self) -> None: ...
    def ready(self) -> None: ...


Make = Callable[[Programs, Mapping[str, int]], Side]


@contextmanager
def bench_folder() -> Iterator[Path]:
    """A folder on the disk of the checkout, gone afterwards."""
    RESULTS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="run-", dir=RESULTS, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def generate(side: Side, job: Job, seconds: float, **more: float) -> dict[str, Any]:
    """Run load.py against a side; what it printed. Raises Failed with its complaint."""
    options = {"spans": job.spans, "in-flight": job.in_flight, "rate": job.rate, "prompt": job.prompt, **more}
    command = [sys.executable, str(HERE / "load.py"), f"--target=127.0.0.1:{side.grpc}", f"--seconds={seconds}"]
    command += [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 120, check=False)
    if done.returncode:
        raise Failed(f"load.py failed:\n{done.stderr}\n{side.name} said:\n{side.running.tail()}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def settled(side: Side, sinks: Sinks, target: int, limit: float = SETTLE_LIMIT) -> None:
    """Wait until both sinks have so many spans, and the side has come to rest."""
    until(lambda: spans(sinks.stats()) >= target, limit, f"both sinks have {target:,} spans", side.running)
    quiet(side)


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
        sinks = Sinks(programs)
        side = make(programs, sinks.ports)
        side.start()
        peak = procfs.Peak(side.pid)
        side.ready()
        quiet(side)
        fresh = procfs.anonymous_bytes(side.pid)
        run = _loaded(side, sinks, job, seconds) if job.spans else _resting(side, sinks, seconds)
        run["ledger"] = getattr(side, "ledger", dict)()
        highest = peak.stop()
    return run | {
        "side": side.name,
        "fresh_mb": round(fresh / 1e6, 1),
        "peak_mb": round(highest / 1e6, 1),
        "core_share": round(run["cpu_seconds"] / run["seconds"], 5),
        "per_cpu_second": round(run["acknowledged"] / run["cpu_seconds"]) if run["cpu_seconds"] else 0,
    }


def _loaded(side: Side, sinks: Sinks, job: Job, seconds: float) -> dict[str, Any]:
    warm = generate(side, job, WARM_UP)
    settled(side, sinks, warm["acknowledged"])
    before, cpu = sinks.stats(), procfs.cpu_seconds(side.pid)
    run = generate(side, job, seconds)
    begin = time.monotonic()
    settled(side, sinks, run["acknowledged"] + spans(before))
    return run | {
        "cpu_seconds": round(procfs.cpu_seconds(side.pid) - cpu, 4),
        "settle_seconds": round(time.monotonic() - begin, 2),
        "warmed_up": warm["acknowledged"],
        "sinks": since(sinks.stats(), before),
        "acknowledged_per_second": round(run["acknowledged"] / run["seconds"]),
    }


def _resting(side: Side, sinks: Sinks, seconds: float) -> dict[str, Any]:
    cpu, begin = procfs.cpu_seconds(side.pid), time.monotonic()
    time.sleep(seconds)
    used, took = procfs.cpu_seconds(side.pid) - cpu, time.monotonic() - begin
    zero = {"requests": 0, "acknowledged": 0, "refused": {}, "p50_ms": 0.0, "p99_ms": 0.0, "warmed_up": 0}
    load = {"spans_per_request": 0, "bytes_per_request": 0, "in_flight": 0, "offered_per_second": 0.0}
    figures = {"cpu_seconds": round(used, 4), "seconds": round(took, 3), "sinks": sinks.stats()}
    return zero | load | figures | {"acknowledged_per_second": 0, "settle_seconds": 0.0}
