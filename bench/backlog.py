"""A backlog that grows to 10 GB while both backends are away, the start with it, and catching up when they are back.

What a span costs must not depend on how many wait.
"""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any

import grpc
import procfs
from jobs import Job
from load import EXPORT
from measure import RESULTS, bench_folder, generate, settled
from processes import Failed, Programs, disk_bytes, listening, until
from sidecar import Sidecar
from sinks import Sinks, spans
from spans import Template
from table import text

JOB = Job("backlog", "512 a request, 16 in flight", 512, 16)
SLICES = 10
FIRST_ANSWER = 2.0
"""Seconds to the first answer that are allowed with the whole backlog."""
STEEPER = 1.25
"""The last third of the slices may cost so many times what the first third does."""
SLICE_LIMIT = 120.0


def run(gigabytes: float) -> dict[str, Any]:
    """Grow, start, shrink. Raises Failed when the disk has no room for it."""
    room, needed = shutil.disk_usage(RESULTS).free / 1e9, gigabytes * 1.6 + 2
    if room < needed:
        raise Failed(f"the backlog job needs {needed:.0f} GB of disk, {RESULTS} has {room:.0f}")
    with bench_folder() as folder, Programs(folder) as programs:
        sinks = Sinks(programs)
        side = Sidecar(programs, sinks.ports, storage=f"{int(gigabytes * 1.6) + 2}Gi")
        empty = _first_answer(side)
        side.ready()
        sinks.mode("reset")
        growing, owed = _grow(side, gigabytes)
        on_disk = disk_bytes(side.data)
        side.running.kill()
        full = _first_answer(side)
        peak = procfs.Peak(side.pid)
        sinks.mode("ok")
        shrinking = _shrink(side, sinks, owed, growing[0]["bytes_per_span"])
        lost = owed - spans(sinks.stats())
        highest = peak.stop()
    found = {
        "gigabytes": gigabytes,
        "disk_gb": round(on_disk / 1e9, 2),
        "spans": owed,
        "peak_mb": round(highest / 1e6, 1),
    }
    figures = {"growing": growing, "shrinking": shrinking, "first_answer_empty": empty, "first_answer_full": full}
    return found | figures | {"missed": missed(growing, shrinking, full, lost)}


def _grow(side: Sidecar, gigabytes: float) -> tuple[list[dict[str, float]], int]:
    size = len(Template(JOB.spans))
    requests = int(gigabytes * 1e9 / SLICES / size)
    points: list[dict[str, float]] = []
    owed = 0
    for number in range(SLICES):
        cpu = procfs.cpu_seconds(side.pid)
        load = generate(side, JOB, SLICE_LIMIT, limit=requests)
        used = procfs.cpu_seconds(side.pid) - cpu
        owed += load["acknowledged"]
        if load["acknowledged"] < requests * JOB.spans:
            raise Failed(f"slice {number}: {load['acknowledged']:,} of {requests * JOB.spans:,} spans taken: {load}")
        points.append(
            {
                "backlog_gb": round(owed * size / JOB.spans / 1e9, 2),
                "cpu_us_per_span": round(used / load["acknowledged"] * 1e6, 3),
                "spans_per_second": round(load["acknowledged"] / load["seconds"]),
                "p99_ms": load["p99_ms"],
                "bytes_per_span": size / JOB.spans,
            }
        )
        print(f"    {points[-1]['backlog_gb']:5.1f} GB  {points[-1]['cpu_us_per_span']:.2f} µs a span", flush=True)
    return points, owed + 1  # the span of the first answer


def _first_answer(side: Sidecar) -> float:
    """Start it; the seconds until an export call of one span is answered OK."""
    begin = time.monotonic()
    side.start()
    until(lambda: listening(side.grpc), 60, "the sidecar listening", side.running, every=0.005)
    with grpc.insecure_channel(f"127.0.0.1:{side.grpc}") as channel:
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(EXPORT)
        call(Template(1).request(), timeout=60, wait_for_ready=True)
    return round(time.monotonic() - begin, 3)


def _shrink(side: Sidecar, sinks: Sinks, owed: int, size: float) -> list[dict[str, float]]:
    points: list[dict[str, float]] = []
    owed += 1  # the first answer's of the second start
    deadline = time.monotonic() + 600
    last, cpu = _both(sinks), procfs.cpu_seconds(side.pid)
    while last < 2 * owed:
        if time.monotonic() > deadline:
            raise Failed(f"the backlog is not worked off after 600 s: {last:,} of {2 * owed:,}\n{side.running.tail()}")
        time.sleep(0.2)
        now = _both(sinks)
        if now - last < 2 * owed / SLICES and now < 2 * owed:
            continue
        used = procfs.cpu_seconds(side.pid)
        left = max(0.0, (owed - now / 2) * size / 1e9)
        points.append(
            {"backlog_gb": round(left, 2), "cpu_us_per_span": round((used - cpu) / ((now - last) / 2) * 1e6, 3)}
        )
        print(f"    {left:5.1f} GB left  {points[-1]['cpu_us_per_span']:.2f} µs a span delivered twice", flush=True)
        last, cpu = now, used
    settled(side, sinks, owed)
    return points


def _both(sinks: Sinks) -> int:
    return sum(int(one["spans"]) for one in sinks.stats().values())


def missed(
    growing: Sequence[Mapping[str, float]], shrinking: Sequence[Mapping[str, float]], first: float, lost: int
) -> list[str]:
    """What is not as it should be."""
    found = [f"{lost} spans lost"] if lost > 0 else []
    if first > FIRST_ANSWER:
        found.append(f"first answer with the backlog after {first:.1f} s")
    for what, points in (("taking in", growing), ("delivering", list(reversed(shrinking)))):
        if (steep := steepness([point["cpu_us_per_span"] for point in points])) > STEEPER:
            found.append(f"{what} costs {steep:.2f} times as much with the whole backlog as with little")
    return found


def steepness(costs: Sequence[float]) -> float:
    """The median of the last third of the slices ÷ that of the first; 1 for too few of them."""
    third = len(costs) // 3
    if not third:
        return 1.0
    first, last = statistics.median(costs[:third]), statistics.median(costs[-third:])
    return last / first if first else 1.0


def lines(found: Mapping[str, Any]) -> list[str]:
    """For the terminal."""
    verdict = "; ".join(found["missed"]) or "flat, and nothing lost"
    return [*text(("a backlog", ""), cells(found)), verdict]


def cells(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What was found, a row each."""
    growing, shrinking = ([p["cpu_us_per_span"] for p in found[key]] for key in ("growing", "shrinking"))
    return [
        ("size", f"{found['gigabytes']:g} GB, {found['spans']:,} spans, {found['disk_gb']} GB on disk"),
        ("CPU to take a span in, with little backlog and with all", f"{growing[0]:.2f}, {growing[-1]:.2f} µs"),
        ("… the last third ÷ the first", f"{steepness(growing):.2f}"),
        ("CPU to deliver a span twice, with all of it and with little", f"{shrinking[0]:.2f}, {shrinking[-1]:.2f} µs"),
        ("… the first third ÷ the last", f"{steepness(shrinking[::-1]):.2f}"),
        ("first answer after a kill, with all of it", f"{found['first_answer_full']:.2f} s"),
        ("first answer on an empty log", f"{found['first_answer_empty']:.2f} s"),
        ("peak anonymous memory while catching up", f"{found['peak_mb']:.1f} MB"),
    ]
