"""What an application feels when a backend goes away: its export call's latency before, and during."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from jobs import Job
from measure import Make, bench_folder, generate, settled
from processes import Programs
from sinks import Sinks, since
from table import text

JOB = Job("outage", "50 a request, 10,000 spans/s offered", 50, 16, rate=10_000)
PHASES = (("both well", "ok"), ("one hangs", "hang"), ("both well again", "ok"), ("one is gone", "reset"))
HEAD = ("while a backend is down", "side", "spans/s", "p50 ms", "p99 ms", "worst ms", "refused", "caught up after s")
WORSE = 1.5
"""The p99 may be so many times what it was, or `SLACK` more: two runs of the same differ by as much."""
SLACK = 1.0


def run(sides: Sequence[Make], seconds: float) -> dict[str, Any]:
    """All phases on each side: seconds of load each, and in the end everything delivered."""
    found = [_side(make, seconds) for make in sides]
    return {"title": JOB.title, "sides": found, "missed": missed(found[0]["phases"])}


def missed(phases: Sequence[Mapping[str, Any]]) -> list[str]:
    """The phases with a backend down whose p99 is worse than the worst without."""
    well = {phase for phase, mode in PHASES if mode == "ok"}
    usual = max(phase["p99_ms"] for phase in phases if phase["phase"] in well)
    bound = max(usual * WORSE, usual + SLACK)
    return [phase["phase"] for phase in phases if phase["phase"] not in well and phase["p99_ms"] > bound]


def _side(make: Make, seconds: float) -> dict[str, Any]:
    phases = []
    with bench_folder() as folder, Programs(folder) as programs:
        sinks = Sinks(programs)
        side = make(programs, sinks.ports)
        side.start()
        side.ready()
        owed = generate(side, JOB, 1.0)["acknowledged"]
        settled(side, sinks, owed)
        before = sinks.stats()
        for phase, mode in PHASES:
            sinks.mode(mode, "b")
            load = generate(side, JOB, seconds)
            owed += load["acknowledged"]
            keys = ("acknowledged", "seconds", "refused", "p50_ms", "p99_ms", "max_ms")
            phases.append({"phase": phase, **{key: load[key] for key in keys}})
            sinks.mode("ok", "b")
            begin = time.monotonic()
            settled(side, sinks, owed)
            phases[-1]["caught_up_seconds"] = round(time.monotonic() - begin, 1)
        got = since(sinks.stats(), before)
    return {"side": side.name, "phases": phases, "sinks": got}


def lines(found: Mapping[str, Any]) -> list[str]:
    """For the terminal."""
    verdict = f"p99 grew while {' and '.join(found['missed'])}" if found["missed"] else "unchanged"
    return [*text(HEAD, cells(found)), f"{found['title']}: {verdict}"]


def cells(found: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """A row for each phase and side."""
    return [
        (
            phase["phase"],
            side["side"],
            f"{phase['acknowledged'] / phase['seconds']:,.0f}",
            *(f"{phase[key]:.1f}" for key in ("p50_ms", "p99_ms", "max_ms")),
            f"{sum(phase['refused'].values()):,}",
            f"{phase['caught_up_seconds']:.1f}",
        )
        for side in found["sides"]
        for phase in side["phases"]
    ]
