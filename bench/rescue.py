"""How soon spans of traces that other pods keep are at a backend, and what that costs, with a log full of history.

    python bench/rescue.py [--directory DIR] [--seconds 80] [--spans-per-second 30000] [--told 30]

The history is what comes in `--seconds` at that rate: by default, what a pass reads with a `decisionWait` of 10 s. It
is written at once, without a sidecar around it; spans have some 400 bytes, 50 a request, and each trace is in four
requests at least. First a number of traces is told at once and nothing else; then for a minute `--told` traces a
second, in tenths of a second. CPU is for everything in this process; the backend is another.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "sidecar"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "proto"))

from processes import Programs
from sinks import Sinks
from traces import Traces

from tracekeeper_sidecar.clock import SystemClock
from tracekeeper_sidecar.forward.backends import Backends
from tracekeeper_sidecar.forward.entry import Terms
from tracekeeper_sidecar.forward.filling import Limits
from tracekeeper_sidecar.forward.rescue import Rescue
from tracekeeper_sidecar.forward.sender import Sender
from tracekeeper_sidecar.forward.taker import Taker
from tracekeeper_sidecar.log.files import SystemFiles
from tracekeeper_sidecar.log.log import Log
from tracekeeper_sidecar.log.reader import ENDLESS
from tracekeeper_sidecar.metrics import RESCUE_SECONDS
from tracekeeper_sidecar.wire.traces import verdict
from tracekeeper_spec.parse import parse_spec
from tracekeeper_spec.resolve import resolve
from tracekeeper_spec.secrets import DocumentSecrets

SPANS = 50
AT_ONCE = (1, 100, 10_000)
MINUTE = 60.0
ID = re.compile(rb"\x0a\x10(tk[oesb].{13})\x12\x08", re.DOTALL)
KEPT = verdict(1, 0, keep=True).to_bytes(8)


def cpu() -> float:
    """Seconds of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def fill(log: Log, load: Traces, requests: int) -> list[bytes]:
    """Append that many requests; returns the ids of their traces."""
    known: dict[bytes, None] = {}
    for number in range(0, requests, 64):
        bodies = [load.request(number + one) for one in range(64)]
        for body in bodies:
            known.update(dict.fromkeys(ID.findall(body)))
        await asyncio.gather(*(log.append(body, SPANS) for body in bodies))
    return list(known)


def packed(ids: list[bytes]) -> bytes:
    return b"".join(one + KEPT for one in ids)


async def done(rescue: Rescue, traces: int) -> None:
    """Return when so many have been brought to the backend."""
    while sum(rescue.health().buckets) < traces:  # noqa: ASYNC110 - it has nobody to tell
        await asyncio.sleep(0.01)


async def at_once(rescue: Rescue, log: Log, ids: list[bytes]) -> str:
    """What it takes to rescue these alone, after a rest."""
    await asyncio.sleep(max(0.0, rescue._rested - time.monotonic()))
    begun, used, before = time.monotonic(), cpu(), rescue.health()
    rescue.take(packed(ids), log.end, time.time())
    await done(rescue, sum(before.buckets) + len(ids))
    took = time.monotonic() - begun
    return f"{len(ids):7,} traces at once: {took:6.2f} s, {cpu() - used:6.2f} CPU s"


async def steadily(rescue: Rescue, log: Log, ids: list[bytes], told: int) -> str:
    """The same while more are told all the time."""
    begun, used, before = time.monotonic(), cpu(), rescue.health()
    given = 0
    while (passed := time.monotonic() - begun) < MINUTE:
        more = ids[given : int(told * passed)]
        given += len(more)
        if more:
            rescue.take(packed(more), log.end, time.time())
        await asyncio.sleep(0.1)
    share = (cpu() - used) / MINUTE
    await done(rescue, sum(before.buckets) + given)
    after = rescue.health()
    mean = (after.seconds - before.seconds) / given
    spread = [b - a for a, b in zip(before.buckets, after.buckets, strict=True)]
    bounds = (*RESCUE_SECONDS.bounds, float("inf"))
    within = ", ".join(f"{n} ≤ {bound:g} s" for bound, n in zip(bounds, spread, strict=True) if n)
    return f"{told:7,} traces a second: {mean:.1f} s on average ({within}), {share:.1%} of a core"


async def measure(directory: str, port: int, asked: argparse.Namespace) -> None:
    clock = SystemClock()
    log = await asyncio.to_thread(
        lambda: Log.open(directory, files=SystemFiles(), clock=clock, quota=8 << 30, history=8 << 30)
    )
    otlp = {"protocol": "GRPC", "endpoint": f"http://127.0.0.1:{port}"}
    parsed, faults = parse_spec({"backends": [{"name": "a", "type": "OTLP", "otlp": otlp}]})
    assert not faults, faults
    backends = Backends(clock, random.random)
    await backends.apply(resolve(parsed).backends, DocumentSecrets({}))
    sender = Sender("a", [backends.get("a")], clock, random.random, backends.signal)
    taker = Taker("a", sender, Terms(Limits(8192, 4 << 20, 1.0)), 0, ENDLESS)
    rescue = Rescue(log, clock, lambda: [taker], lambda name, spans: None)
    # All of it has come within a few seconds, so any time back is enough.
    rescue.decision_wait = 3600.0
    running = asyncio.create_task(rescue.run())
    load = Traces(SPANS)
    begun = time.monotonic()
    ids = await fill(log, load, int(asked.seconds * asked.spans_per_second / SPANS))
    print(f"{log.end.seq:,} spans in {log.stats().bytes / 1e6:,.0f} MB, written in {time.monotonic() - begun:.0f} s")
    chance = random.Random(1)
    chance.shuffle(ids)
    for count in AT_ONCE:
        print(await at_once(rescue, log, [ids.pop() for _ in range(count)]), flush=True)
    await asyncio.sleep(max(0.0, rescue._rested - time.monotonic()))
    print(await steadily(rescue, log, ids, asked.told), flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"peak memory, the log's own included: {peak / 1024:.0f} MiB")
    running.cancel()
    await asyncio.wait((running,))
    await backends.close()
    await log.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--directory")
    parser.add_argument("--seconds", type=float, default=80.0)
    parser.add_argument("--spans-per-second", type=float, default=30_000.0)
    parser.add_argument("--told", type=int, default=30)
    asked = parser.parse_args()
    directory = tempfile.mkdtemp(prefix="rescue-", dir=asked.directory)
    try:
        with Programs(Path(directory)) as programs:
            sinks = Sinks(programs, ["a"])
            asyncio.run(measure(f"{directory}/log", sinks.ports["a"], asked))
            print(f"the backend has {sinks.stats()['a']['spans']:,} spans")
    finally:
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
