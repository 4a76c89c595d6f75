"""The bench's own instruments: what they send and measure must be right, or every figure is wrong."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import app_start
import load
import numpy as np
import processes
import procfs
import pytest
import raw_calls
import raw_load
import receive
import seen
import spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from programs import Backend

BURN = "import time\nwhile time.process_time() < 0.5: pass\nprint('burnt', flush=True)\ninput()"


def parsed(request: bytes) -> list[Any]:
    (resource,) = ExportTraceServiceRequest.FromString(request).resource_spans
    return list(resource.scope_spans[0].spans)


@pytest.mark.parametrize("count", [1, 50, 512])
def test_requests_hold_what_they_say_with_new_trace_ids_each(count: int) -> None:
    template = spans.Template(count)
    first, second = parsed(template.request()), parsed(template.request())
    assert len(first) == len(second) == count
    assert len({s.span_id for s in first}) == count
    traces = {s.trace_id for s in first}
    assert len(traces) == -(-count // spans.SPANS_PER_TRACE)
    assert not traces & {s.trace_id for s in second}
    assert len(first[0].attributes) == 10


def test_spans_have_the_size_of_the_baseline() -> None:
    assert len(spans.Template(512)) / 512 == pytest.approx(394, rel=0.03)


def test_cpu_and_memory_include_children() -> None:
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BURN!r}])"
    process = subprocess.Popen([sys.executable, "-c", child], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "burnt\n"
        assert len(procfs.tree(process.pid)) == 2
        assert procfs.cpu_seconds(process.pid) >= 0.5
        assert procfs.anonymous_bytes(process.pid) > 1_000_000
    finally:
        process.communicate("\n", timeout=10)
    assert procfs.anonymous_bytes(process.pid) == 0


def test_the_peak_stays_after_memory_is_given_back() -> None:
    code = "x = bytearray(50_000_000)\nprint('big', flush=True)\ninput()\ndel x\nprint('small', flush=True)\ninput()"
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdout.readline()
        peak = procfs.Peak(process.pid, every=0.005)
        process.stdin.write("\n")
        process.stdin.flush()
        process.stdout.readline()
        deadline = time.monotonic() + 10
        while procfs.anonymous_bytes(process.pid) > 40_000_000:
            assert time.monotonic() < deadline
        assert peak.stop() >= 50_000_000
    finally:
        process.communicate("\n", timeout=10)


def test_cpu_is_told_apart_by_time() -> None:
    cpu = procfs.Consumption(os.getpid(), every=0.005)
    deadline = time.monotonic() + 10
    while len(cpu.samples) < 3:  # Which takes CPU.
        assert time.monotonic() < deadline
    cpu.stop()
    first, last = cpu.samples[0], cpu.samples[-1]
    assert cpu.share(first[0], last[0]) == pytest.approx((last[1] - first[1]) / (last[0] - first[0]))
    assert last[1] > first[1]
    cpu.samples[:] = [(0.0, 1.0), (10.0, 1.0), (20.0, 6.0), (30.0, 16.0)]
    assert [cpu.share(0, 10), cpu.share(10, 20), cpu.share(20, 30), cpu.share(15, 25)] == [0.0, 0.5, 1.0, 0.75]
    assert cpu.share(20, 40) == 0.5, "after the newest sample nothing is known"


def test_percentiles_are_nearest_rank() -> None:
    ordered = [n / 1000 for n in range(1, 101)]
    assert load.percentile(ordered, 0.5) == 51.0
    assert load.percentile(ordered, 0.99) == 100.0
    assert load.percentile([], 0.5) == 0.0


def test_prompts_make_spans_larger_by_so_much() -> None:
    plain, long = spans.Template(50), spans.Template(50, prompt=4000)
    assert 4000 * 50 < len(long) - len(plain) < 4100 * 50
    assert spans.count(long.request()) == 50


def test_joined_requests_count_as_the_sum_of_their_spans() -> None:
    body = spans.Template(3).request() + spans.Template(50).request()
    assert spans.count(body) == 53 == len(parsed(spans.Template(3).request())) + 50


def test_numbered_requests_tell_request_and_span_wherever_they_are_cut() -> None:
    template = spans.Template(3)
    body = template.request(7) + template.request(70_000)
    assert spans.numbers(body) == [(n, s) for n in (7, 70_000) for s in (1, 2, 3)]


def test_seen_spans_survive_their_file(tmp_path: Path) -> None:
    marks = seen.Seen(spans=2, requests=4)
    assert marks.add([(1, 1), (1, 2), (9, 3), (1, 1)]) == 4
    assert marks.distinct == 3
    marks.save(str(tmp_path / "seen"))
    found = seen.read(str(tmp_path / "seen"))
    assert {tuple(map(int, where)) for where in np.argwhere(found)} == {(1, 0), (1, 1), (9, 2)}


def test_seen_spans_are_bounded() -> None:
    with pytest.raises(ValueError, match="beyond"):
        seen.Seen(spans=2, requests=4, limit=64).add([(1000, 1)])


async def test_load_counts_exactly_what_was_acknowledged(start_backend: Callable[..., Backend]) -> None:
    backend = start_backend("--count-only")
    tally = await load.load(f"127.0.0.1:{backend.grpc}", spans.Template(50), in_flight=4, seconds=0.5)
    stats = backend.json("/stats")
    assert tally["acknowledged"] == stats["spans"] == tally["requests"] * 50 > 0
    assert tally["refused"] == {}
    assert 0 < tally["p50_ms"] <= tally["p99_ms"] <= tally["max_ms"]


async def test_refused_spans_are_counted_apart(backend: Backend) -> None:
    backend.fail("unavailable")
    tally = await load.load(f"127.0.0.1:{backend.grpc}", spans.Template(3), in_flight=2, seconds=0.3)
    assert tally["acknowledged"] == 0
    assert tally["refused"]["UNAVAILABLE"] == 3 * backend.json("/stats")["requests"]


async def test_a_rate_is_kept_and_a_limit_ends_early(start_backend: Callable[..., Backend]) -> None:
    target = f"127.0.0.1:{start_backend('--count-only').grpc}"
    paced = await load.load(target, spans.Template(10), in_flight=4, seconds=1.0, rate=200)
    assert 0 < paced["requests"] <= 20
    limited = await load.load(target, spans.Template(10), in_flight=4, seconds=30.0, limit=7)
    assert limited["requests"] == 7


@pytest.mark.parametrize("make", [raw_load.Client, raw_calls.GrpcClient])
@pytest.mark.parametrize(("count", "connections", "in_flight"), [(1, 1, 8), (512, 2, 1), (512, 1, 8)])
async def test_raw_load_counts_exactly_what_was_acknowledged(
    make: type[raw_load.Client], count: int, connections: int, in_flight: int, start_backend: Callable[..., Backend]
) -> None:
    backend, bodies = start_backend("--count-only"), [spans.Template(count).request() for _ in range(2)]
    port = backend.grpc if make is raw_calls.GrpcClient else backend.http
    requests, took = await raw_load.run(make, port, bodies, connections, in_flight, 0.3)
    assert backend.json("/stats")["spans"] == requests * count > 0
    assert took > 0


@pytest.mark.parametrize("make", [raw_load.Client, raw_calls.GrpcClient])
async def test_raw_load_takes_no_refusal_for_an_answer(make: type[raw_load.Client], backend: Backend) -> None:
    backend.fail("unavailable")
    port = backend.grpc if make is raw_calls.GrpcClient else backend.http
    with pytest.raises(processes.Failed, match=r"refused a call|HTTP/1.1 503"):
        await raw_load.run(make, port, [spans.Template(1).request()], 1, 2, 30.0)


async def test_raw_answers_are_counted_however_they_are_cut() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nDate: today\r\n\r\n\r\n\r\n"
    client = raw_load.Client([b"x"], 1)
    for cut in range(2 * len(answer)):
        _, first, rest = client.read((2 * answer)[:cut])
        _, second, rest = client.read(rest + (2 * answer)[cut:])
        assert (first, second, rest) == (cut // len(answer), 2 - cut // len(answer), b"")
    with pytest.raises(processes.Failed, match="429"):
        client.read(answer.replace(b"200 OK", b"429 Too Many Requests"))


def test_http_is_held_against_its_neighbour_in_the_same_round() -> None:
    def one(http: float, grpc: float) -> dict[str, dict[str, float]]:
        return {name: {"requests_per_second": 9.0, "cpu_us": cpu} for name, cpu in (("HTTP", http), ("gRPC", grpc))}

    alone, shared = receive.loads(50)
    assert (alone.connections, alone.each, shared.connections * shared.each) == (16, 1, 16)
    drifted = receive.outcome(alone, [one(30, 20), one(300, 200), one(90, 90)])
    above = receive.outcome(shared, [one(31, 20), one(20, 20), one(60, 20)])
    assert (drifted["ratio"], above["ratio"]) == (1.5, 1.55)
    found = {"loads": [drifted, above]}
    assert receive.missed(found) == ["HTTP takes 1.55 times gRPC's CPU: 50 a request, 4 connections"]
    rows = [dict(zip(receive.HEAD, row, strict=True)) for row in receive.cells(found)]
    assert [row["HTTP ÷ gRPC"] for row in rows] == ["1.50x (1.00-1.50)", "", "1.55x (1.00-3.00)", ""]
    assert [row["CPU µs a request"] for row in rows] == ["90.0", "90.0", "31.0", "20.0"]


def test_the_two_pods_differ_by_their_annotation_alone() -> None:
    with_it, without = (app_start.pod("p", "image:1", side) for side in ("with", "without"))
    assert with_it["metadata"].pop("annotations") == {"tracekeeper.dev/inject": "true"}
    assert without["metadata"].pop("annotations") == {"tracekeeper.dev/inject": "false"}
    assert with_it == without
    assert with_it["spec"]["containers"][0]["image"] == "image:1"
    assert with_it["spec"]["restartPolicy"] == "Never"


def test_how_much_later_is_a_difference_of_medians() -> None:
    found = app_start.summary({"with": [1.0, 9.0, 2.0], "without": [0.5, 0.7, 0.6]})
    assert (found["with"]["median"], found["with"]["max"], found["later"]) == (2.0, 9.0, 1.4)
