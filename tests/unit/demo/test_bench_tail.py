"""The bench of tail samplers: a load whose traces are what they claim, and a judge that sees what was not kept."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import collector
import compare
import conditions
import jobs
import kept
import load
import plot
import pytest
import report
import sampled
import sidecar
import table
import tail
import traces
import window
import yaml
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from processes import Programs

from programs import Backend
from tracekeeper_spec.parse import parse_manifest

ERROR = 2


def by_trace(load: traces.Traces, requests: int) -> dict[bytes, list[Any]]:
    """The parsed spans of so many requests by trace id, in the order of their arrival."""
    found: dict[bytes, list[Any]] = defaultdict(list)
    for number in range(requests):
        (resource,) = ExportTraceServiceRequest.FromString(load.request(number)).resource_spans
        assert len(resource.scope_spans[0].spans) == load.spans
        for span in resource.scope_spans[0].spans:
            found[span.trace_id].append(span)
    return found


@pytest.mark.parametrize("spans", [1, 10, 50, 512])
def test_a_block_of_requests_holds_whole_traces_with_their_root_at_the_end(spans: int) -> None:
    stream = traces.Traces(spans)
    assert stream.phases >= traces.SPREAD
    found = by_trace(stream, stream.phases)
    assert len(found) == stream.block == spans * stream.phases / 16
    for members in found.values():
        assert sorted(int.from_bytes(s.span_id, "big") for s in members) == list(range(1, 17))
        (root,) = (s for s in members if not s.parent_span_id)
        assert members[-1] is root
        assert {s.parent_span_id for s in members} - {b""} == {root.span_id}


def test_a_trace_is_spread_over_requests() -> None:
    stream = traces.Traces(512)
    assert len(set(by_trace(stream, 1)) & set(by_trace(stream, 2))) == stream.block
    assert len(by_trace(stream, 1)) == stream.block == 128


@pytest.mark.parametrize("rootless", [False, True])
def test_the_kind_in_an_id_is_what_the_spans_say(rootless: bool) -> None:
    stream = traces.Traces(50, seed=3, rootless=rootless)
    requests = stream.phases * 40
    found = by_trace(stream, requests)
    forced = 0
    for trace, members in found.items():
        error = any(s.status.code == ERROR for s in members)
        took = max(s.end_time_unix_nano for s in members) - min(s.start_time_unix_nano for s in members)
        slow = took > tail.SLOW_MS * 1_000_000
        assert trace[2] == traces.KINDS[error + 2 * slow]
        assert all(bool(s.parent_span_id) for s in members) is rootless
        forced += error or slow
    assert stream.sent(requests) == {"traces": len(found), "forced": forced}
    assert stream.sent(requests + stream.phases - 1)["traces"] == len(found)


def test_one_trace_in_fifty_has_an_error_and_one_is_slow() -> None:
    sent = traces.Traces(512).sent(4 * 1000)
    share = 1 - (1 - 1 / traces.ONE_IN) ** 2
    assert sent["traces"] == 128_000
    assert sent["forced"] / sent["traces"] == pytest.approx(share, rel=0.05)


def test_ids_look_drawn_by_lot_to_whoever_keeps_a_share_of_them() -> None:
    stream = traces.Traces(512)
    ids = {trace for number in range(0, 400, stream.phases) for trace in trace_ids(stream.request(number))}
    assert len(ids) == 100 * stream.block
    low = [int.from_bytes(trace[9:], "big") for trace in ids]
    below = sum(r < 2**56 // 20 for r in low)
    assert below == pytest.approx(len(low) / 20, abs=4 * (len(low) * 0.05 * 0.95) ** 0.5)


def trace_ids(body: bytes) -> list[bytes]:
    (resource,) = ExportTraceServiceRequest.FromString(body).resource_spans
    return [s.trace_id for s in resource.scope_spans[0].spans]


def test_loads_of_other_seeds_have_other_traces_and_the_same_seed_the_same() -> None:
    one, other = traces.Traces(50, seed=1), traces.Traces(50, seed=2)
    assert not set(trace_ids(one.request(0))) & set(trace_ids(other.request(0)))
    assert one.request(9) == traces.Traces(50, seed=1).request(9)
    with pytest.raises(ValueError, match="256"):
        traces.Traces(50, seed=256)


def backward(body: bytes) -> bytes:
    """The ids of each span as the Collector writes them: a message's last field first."""
    (resource,) = ExportTraceServiceRequest.FromString(body).resource_spans
    spans = resource.scope_spans[0].spans
    return b"".join(b"\x30\x03\x12\x08" + s.span_id + b"\x0a\x10" + s.trace_id + b"\x12\x90\x03" for s in spans)


def test_spans_are_found_whichever_way_their_fields_are_written() -> None:
    body = traces.Traces(50).request(3)
    assert len(traces.found(body)) == 50
    assert traces.found(backward(body)) == traces.found(body)
    assert traces.found(b"nothing") == []


def test_the_sink_tells_whole_traces_from_torn_ones_and_spans_that_come_again() -> None:
    stream, counts = traces.Traces(512), kept.Kept()
    assert [counts.add(stream.request(number)) for number in range(3)] == [512] * 3
    assert counts.counts() == {"traces": 128, "whole": 0, "forced": 0, "repeated": 0}
    counts.add(stream.request(3))
    counts.add(stream.request(2))
    forced = stream.sent(4)["forced"]
    assert forced > 0
    assert counts.counts() == {"traces": 128, "whole": 128, "forced": forced, "repeated": 512}


async def test_what_is_refused_is_sent_again_and_every_trace_to_its_end(
    start_backend: Callable[..., Backend],
) -> None:
    backend = start_backend("--count-only")
    backend.fail("unavailable", "&requests=5")
    stream = traces.Traces(50)
    tally = await load.load(f"127.0.0.1:{backend.grpc}", stream, in_flight=4, seconds=0.3)
    assert tally["refused"] == {"UNAVAILABLE": 250}
    assert tally["requests"] % stream.phases == 0
    assert tally["acknowledged"] == backend.json("/stats")["spans"] == tally["traces"] * 16 > 0


def run(side: str = "Tracekeeper", lots: int = 9600, forced: int = 400, **got: int) -> dict[str, Any]:
    """A run in which 10,000 traces were sent, and all kept that should be, or `got` instead."""
    whole = got.get("whole", lots // 20 + forced)
    arrived = {"traces": whole, "whole": whole, "forced": forced, "repeated": 0, "spans": 16 * whole} | got
    sent = {"traces": lots + forced, "forced": forced, "acknowledged": 16 * (lots + forced)}
    load = {"spans_per_request": 50, "bytes_per_request": 9, "in_flight": 16, "offered_per_second": 0.0}
    figures = {"p50_ms": 2.0, "p99_ms": 3.0, "fresh_mb": 20.0, "peak_mb": 30.0, "refused": {}, "warmed_up": 0}
    each = {"cpu_seconds": 1.0, "seconds": 10.0, "per_cpu_second": sent["acknowledged"], "ledger": {}, "side": side}
    return sent | load | figures | each | {"sinks": {"a": arrived | {"bytes": arrived["spans"] * 394}}}


def test_a_sound_sampler_has_no_faults() -> None:
    assert sampled.faults(run()) == []
    assert sampled.total_share([run(), run()]) == pytest.approx((400 + 480) / 10_000)
    assert sampled.total_share([{"acknowledged": 5, "sinks": {"a": {"spans": 5}}}]) == 1.0


@pytest.mark.parametrize(
    ("got", "said"),
    [
        ({"traces": 881}, "1 of 881 kept traces are torn"),
        ({"whole": 879, "traces": 879, "forced": 399}, "kept 399 of 400"),
        ({"whole": 794, "traces": 794}, "kept 394 of 9,600 other traces, 480 ± 85 expected"),
        ({"whole": 966, "traces": 966}, "kept 566 of 9,600"),
    ],
)
def test_what_a_sampler_should_have_kept_forbids_a_comparison(got: dict[str, int], said: str) -> None:
    broken = run() | {"sinks": {"a": run()["sinks"]["a"] | got}}
    assert said in sampled.faults(broken)[0]
    for sides in ((broken, run("Collector")), (run(), broken)):
        found = compare.compare(jobs.OFFERED, [sides[0]], [sides[1]])
        assert found["verdict"] == "not compared"
        assert said in found["differs"][0]


def test_spans_that_come_again_forbid_a_comparison() -> None:
    assert compare.lost(run(repeated=1600)) == []
    assert compare.lost(run(repeated=1601)) == ["Tracekeeper: 1,601 spans were delivered again"]


def test_what_was_sampled_out_closes_the_books() -> None:
    def books(sampled_out: int) -> list[str]:
        entry = {"name": "a", "delivered": {"a": "14080"}, "sampledOut": {"default": str(sampled_out)}}
        ledger = {"acknowledged": "160000", "delivery": [entry | {"dropped": {}, "pending": "0"}]}
        return compare.unclosed(run() | {"ledger": ledger})

    assert books(160_000 - 14_080) == []
    assert "does not close" in books(160_000 - 14_081)[0]


@pytest.mark.parametrize(
    ("ratio", "megabytes", "verdict"),
    [(8, 160, "goal"), (7.9, 160, "must"), (4.9, 160, "below 5x"), (8, 160.1, "over 160 MB")],
)
def test_the_closed_loop_has_bounds_of_its_own(ratio: float, megabytes: float, verdict: str) -> None:
    ours, theirs = run(), run("Collector")
    ours["cpu_seconds"], ours["per_cpu_second"], ours["peak_mb"] = 1 / ratio, 160_000 * ratio, megabytes
    assert compare.compare(jobs.CLOSED, [ours], [theirs])["verdict"] == verdict


def test_the_tables_of_tail_samplers_say_what_was_kept(tmp_path: Path) -> None:
    outcome = compare.compare(jobs.OFFERED, [run()], [run("Collector")])
    ((head, rows),) = table.tables([outcome])
    assert head[-1] == "kept"
    assert [row[-1] for row in rows] == ["8.80%", "8.80%"]
    assert table.split([outcome]) == ([], [outcome], [])
    made = report.parts({"special": {}, "jobs": [outcome], "physical": {}, "machine": MACHINE})
    assert list(made) == ["machine", "tail"]
    assert report.written(report.PAGE.read_text(), made).count("8.80%") == 2
    plot.steady([outcome], tmp_path / "tail.png", "in memory")
    assert (tmp_path / "tail.png").read_bytes().startswith(b"\x89PNG")


MACHINE = {"processors": 2, "model": "m", "kernel": "6", "python": "3", "time": 0}


def test_both_sides_keep_by_the_same_rules(tmp_path: Path) -> None:
    settings = tail.Tail(10, conditions=2)
    theirs = yaml.safe_load(yaml.safe_dump(collector.config("d", 1, {"a": 2}, settings)))
    queue = theirs["exporters"]["otlp/a"]["sending_queue"]
    assert (theirs["extensions"], "storage" in queue, queue["batch"]["min_size"]) == ({}, False, 8192)
    policies = theirs["processors"]["tail_sampling"]["policies"]
    with Programs(tmp_path) as programs:
        side = sidecar.Sidecar(programs, {"a": 2}, tail=settings)
    manifest = yaml.safe_load(side.config.read_text())
    assert parse_manifest(manifest)[1] == []
    spec = manifest["spec"]
    assert spec["sampling"]["decisionWait"] == theirs["processors"]["tail_sampling"]["decision_wait"] == "10s"
    assert [backend["name"] for backend in spec["backends"]] == ["a"]
    rules = {rule["name"]: rule["match"] for rule in spec["sampling"]["rules"]}
    assert list(rules) == ["errors", "slow", "never-0", "never-1"]
    assert rules["slow"] == f"trace.duration > {policies[1]['latency']['threshold_ms']}ms"
    assert {rule["probability"] for rule in spec["sampling"]["rules"]} == {1}
    by_lot = spec["sampling"]["default"]["probabilistic"]["probability"]
    assert by_lot * 100 == policies[2]["probabilistic"]["sampling_percentage"] == 5


def test_without_a_tail_sampler_both_sides_are_durable(tmp_path: Path) -> None:
    theirs = collector.config("d", 1, {"a": 2, "b": 3})
    assert theirs["extensions"] == {"file_storage": {"directory": "d", "fsync": True, "create_directory": True}}
    exporters: Any = theirs["exporters"]
    assert {exporter["sending_queue"]["storage"] for exporter in exporters.values()} == {"file_storage"}
    with Programs(tmp_path) as programs:
        side = sidecar.Sidecar(programs, {"a": 2, "b": 3})
    side.configure(", timeout: 3s")
    spec = yaml.safe_load(side.config.read_text())["spec"]
    assert list(spec) == ["backends"]
    assert [(b["otlp"]["endpoint"][-2:], b["timeout"]) for b in spec["backends"]] == [(":2", "3s"), (":3", "3s")]


def test_a_window_is_held_against_its_bounds() -> None:
    well = {"peak_mb": 100.0, "peak_after_mb": 99.0, "filling_share": 0.1, "full_share": 0.15}
    assert window.missed(well, []) == []
    assert window.missed({**well, "peak_after_mb": 100.1, "full_share": 0.2}, ["1 torn"]) == [
        "100.1 MB at the peak after the start, 100 allowed",
        "0.2 of a core with the window full, 0.15 allowed",
        "1 torn",
    ]
    shown = well | {"title": "t", "acknowledged": 5, "open_traces": 4, "p50_ms": 1.0, "p99_ms": 2.0, "full_seconds": 60}
    lines = window.lines(shown | {"healthy_seconds": 0.5, "decided_seconds": 301.0, "missed": []})
    assert lines[-1] == "window: every trace decided once, and whole"
    assert "10.0%" in lines[2] and "15.0%" in lines[3]


def test_conditions_cost_what_lies_between_two_runs() -> None:
    found = {"us_per_span": [1.0, 1.1, 2.0], "runs": [], "missed": []}
    assert conditions.cells(found) == [("0", "1.00", ""), ("1", "1.10", "1.60"), ("10", "2.00", "1.60")]
    assert "the same traces" in conditions.lines(found)[-1]


def test_jobs_without_roots_differ_in_nothing_else() -> None:
    for plain, bare in zip(jobs.SAMPLED, jobs.ASIDE, strict=True):
        assert replace(bare, name=plain.name, title=plain.title, rootless=False) == plain
