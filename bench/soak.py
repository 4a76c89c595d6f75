"""`make soak`: 20,000 spans/s for 20 minutes while everything goes wrong; then the books must close to the span.

    python bench/soak.py [--minutes 20] [--rate 20000] [--seed N]

Faults, at random and several at a time: backends that hang, reset, throttle, find batches too large, are unavailable
or lose their answers; the sidecar killed (SIGKILL) and started again, or frozen; its config replaced; and, with root, a
disk of its own that is full for a while. Three witnesses that do not know each other: the client notes how each request
ended, each backend which spans came, and the sidecar keeps its ledger. In the end, with all well again, they must
agree: nothing acknowledged is missing, nothing refused turns up, and the ledger's difference is zero.

Prints what happened and the verdict; writes bench/results/soak.json. Exit 1 when anything differs.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import procfs
import seen
import soak_load
import volume
from measure import RESULTS, bench_folder
from processes import Failed, Program, Programs, disk_bytes, until
from sidecar import Sidecar
from sinks import NAMES, Sinks
from soak_faults import Faults, plan
from soak_oracle import Verdict, judge

DISK = 3 << 30
STORAGE = "2Gi"
SETTLE_LIMIT = 300.0
TICK = 0.1
HERE = Path(__file__).parent


class Soak:
    """One run: its programs, and what is seen of them while it lasts."""

    def __init__(
        self, folder: Path, disk: Path | None, programs: Programs, seconds: float, rate: float, seed: int
    ) -> None:
        self._folder, self._programs, self._seconds, self._rate = folder, programs, seconds, rate
        self.sinks = Sinks(programs, ids=True)
        self.sidecar = Sidecar(programs, self.sinks.ports, storage=STORAGE, data=disk and disk / "data")
        ballast = disk / "ballast" if disk else None
        faults = plan(seconds, seed, disk=disk is not None)
        self.faults = Faults(faults, self.sidecar, self.sinks, ballast, seed)
        self.peak_mb = self.disk_mb = 0.0

    def run(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Load and faults until the time is up, then everything well until nothing is pending: the load, the ledger."""
        self.sidecar.start()
        self.sidecar.ready()
        command = [sys.executable, str(HERE / "soak_load.py"), "--target", f"127.0.0.1:{self.sidecar.grpc}"]
        command += ["--rate", str(self._rate), "--seconds", str(self._seconds), "--out", str(self._folder / "outcomes")]
        client = self._programs.start("soak-load", command, piped=True)
        self._strike(client)
        load: dict[str, Any] = json.loads(client.line())
        print(f"  the load has ended: {load['acknowledged']:,} spans acknowledged; waiting for delivery", flush=True)
        until(self._settled, SETTLE_LIMIT, "nothing pending", self.sidecar.running, every=0.5)
        return load, self.sidecar.ledger()

    def _strike(self, client: Program) -> None:
        begin = time.monotonic()
        said = 0.0
        while not client.ended() and (now := time.monotonic() - begin) < self._seconds + 2 * soak_load.TIMEOUT:
            for what in self.faults.tick(now):
                print(f"  {now:7.1f} s  {what}", flush=True)
            if now - said >= 10:
                said = now
                self._look()
            time.sleep(TICK)
        self.faults.end()

    def _look(self) -> None:
        self.peak_mb = max(self.peak_mb, procfs.anonymous_bytes(self.sidecar.pid) / 1e6)
        self.disk_mb = max(self.disk_mb, disk_bytes(self.sidecar.data) / 1e6)

    def _settled(self) -> bool:
        entries = self.sidecar.ledger().get("delivery", [])
        return len(entries) == len(NAMES) and not any(int(entry["pending"]) for entry in entries)

    def verdict(self, ledger: dict[str, Any]) -> Verdict:
        """What the three witnesses say."""
        marks, came = {}, {}
        for name in NAMES:
            file = str(self._folder / f"seen-{name}")
            self.sinks.ask(name, f"ids {file}")
            marks[name], came[name] = seen.read(file), int(self.sinks.ask(name, "stats")["spans"])
        outcomes = np.load(self._folder / "outcomes")
        return judge(outcomes, marks, came, ledger, soak_load.SPANS)


def lines(verdict: Verdict, load: dict[str, Any], faults: dict[str, int]) -> list[str]:
    """For the terminal."""
    said = ", ".join(f"{kind} {count}" for kind, count in sorted(faults.items())) or "none"
    delay = f"p50 {load['p50_ms']} ms, p99 {load['p99_ms']} ms"
    found = [
        f"faults: {said}",
        f"client: {verdict.acknowledged:,} spans acknowledged, {verdict.unknown:,} without an answer; {delay}",
        f"ledger: {verdict.stored:,} acknowledged",
    ]
    for name, sink in verdict.sinks.items():
        found.append(
            f"sink {name}: {sink['distinct']:,} distinct, {sink['repeated']:,} again;"
            f" acknowledged and lost {sink['lost']:,}, refused and yet there {sink['refused']:,}"
        )
    found += [f"difference of delivery entry {name}: {gap}" for name, gap in verdict.difference.items()]
    return found + [f"WRONG: {fault}" for fault in verdict.faults]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description="steady load while everything goes wrong")
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--rate", type=float, default=20_000.0, help="spans a second")
    parser.add_argument("--seed", type=int, default=None, help="of the faults; printed, so that a run can be repeated")
    options = parser.parse_args(arguments)
    seed = options.seed if options.seed is not None else time.time_ns() % 1_000_000
    reason = volume.available()
    full = "" if reason is None else f"; the disk will not be filled, {reason}"
    print(f"soak: {options.minutes:g} minutes at {options.rate:,.0f} spans/s, seed {seed}{full}", flush=True)
    with ExitStack() as stack:
        folder = stack.enter_context(bench_folder())
        disk = None if reason else stack.enter_context(volume.mounted(folder, DISK))
        programs = stack.enter_context(Programs(folder))
        soak = Soak(folder, disk, programs, options.minutes * 60, options.rate, seed)
        try:
            load, ledger = soak.run()
            verdict = soak.verdict(ledger)
        except Failed as error:
            print(f"soak: {error}", file=sys.stderr)
            return 2
    faults = dict(soak.faults.count)
    figures = {"seed": seed, "minutes": options.minutes, "rate": options.rate, "faults": faults, "load": load}
    memory = {"peak_mb": round(soak.peak_mb, 1), "disk_mb": round(soak.disk_mb, 1)}
    report = {**figures, **memory, "ledger": ledger, "verdict": dataclasses.asdict(verdict)}
    (RESULTS / "soak.json").write_text(json.dumps(report, indent=2) + "\n")
    print(*lines(verdict, load, faults), sep="\n")
    print(f"peak memory {memory['peak_mb']} MB, at most {memory['disk_mb']:,} MB on disk")
    print("the ledger does not close" if verdict.faults else "nothing lost, and the ledger closes: difference 0")
    return 1 if verdict.faults else 0


if __name__ == "__main__":
    sys.exit(main())
