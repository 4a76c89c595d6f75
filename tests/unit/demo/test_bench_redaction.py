"""The jobs in which both sides redact: what is sent, what is looked for at the backends, and what is made of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import collector
import compare
import jobs
import load
import masked
import masking
import plot
import processors
import pytest
import report
import run as runner
import sidecar
import sinks
import spans
import steps as yardstick
import table
import yaml
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from processes import Programs

from tracekeeper_sidecar.process.step import Plain, Request
from tracekeeper_sidecar.wire.scan import look
from tracekeeper_spec.parse import parse_manifest

CLEAN, BARE = (next(job for job in jobs.REDACTED if job.name == name) for name in ("redact-512", "redact-bare"))
MACHINE = {"processors": 2, "model": "m", "kernel": "6", "python": "3", "time": 0}
SPANS = 1000


def run(
    steps: str, *, bare: bool = False, cpu: float = 1.0, size: int = 394, counted: dict[str, int] | None = None
) -> dict[str, Any]:
    """One run as measure.py gives it, of a pipeline or of the Collector; `counted` instead of what is right."""
    masks = steps != "off"
    right = {"masked": SPANS * bare * masks, "bare": SPANS * bare * (not masks), "priced": SPANS * (steps == "all")}
    got = {"requests": 1, "spans": SPANS, "bytes": SPANS * size, "failed": 0, "detected": 0} | right | (counted or {})
    given = {"spans_per_request": 512, "bytes_per_request": 9, "in_flight": 16, "offered_per_second": 0.0}
    figures = {"p50_ms": 2.0, "p99_ms": 3.0, "fresh_mb": 20.0, "peak_mb": 60.0, "refused": {}, "warmed_up": 0}
    each = {"per_cpu_second": round(SPANS / cpu), "cpu_seconds": cpu, "seconds": 10.0, "acknowledged": SPANS}
    return {"side": steps, "steps": steps, "bare": bare, "sinks": {"a": got, "b": got}, **given, **figures, **each}


def outcomes(job: jobs.Job, cpu: dict[str, float]) -> list[dict[str, Any]]:
    """Those of a job whose pipelines take so much CPU, and whose Collector takes one second."""
    bare = job.redaction is not None and job.redaction.bare
    theirs = run("redact", bare=bare) | {"side": "Collector"}
    return runner.compared(job, {"theirs": [theirs]} | {name: [run(name, bare=bare, cpu=c)] for name, c in cpu.items()})


def values(body: bytes) -> list[str]:
    """All string values of a request's spans."""
    (resource,) = ExportTraceServiceRequest.FromString(body).resource_spans
    return [item.value.string_value for span in resource.scope_spans[0].spans for item in span.attributes]


def test_each_example_is_of_its_own_kind_alone() -> None:
    assert len(masking.KINDS) == 10
    for number, kind in enumerate(masking.KINDS):
        text = masking.value(number)
        assert len(text) == masking.PADDED
        for other in masking.KINDS:
            found = [match[0] for match in re.finditer(other.pattern, text)]
            assert found == ([kind.example] if other is kind else []), (kind.name, other.name)


def test_one_value_in_ten_must_be_masked_or_none() -> None:
    def matching(template: spans.Template) -> tuple[int, int]:
        found = values(template.request())
        return sum(any(re.search(kind.pattern, text) for kind in masking.KINDS) for text in found), len(found)

    assert matching(spans.Template(50, bare=True)) == (50, 500)
    assert matching(spans.Template(50)) == (0, 500)
    assert matching(spans.Template(50, prompt=4000)) == (0, 550)
    assert not any(key in name for key in masking.KEYS for name in spans.attributes(1, 1, bare=True))


def test_the_backend_counts_what_it_finds() -> None:
    masks = masking.Masks()
    body = spans.Template(50, bare=True).request()
    masks.add(body)
    assert masks.counts() == {"masked": 0, "bare": 50, "priced": 0, "detected": 0}
    for kind in masking.KINDS:
        body = body.replace(kind.example.encode(), masking.OURS if kind.name == "card" else masking.THEIRS)
    message = ExportTraceServiceRequest.FromString(spans.Template(1).request())
    (span,) = message.resource_spans[0].scope_spans[0].spans
    span.attributes.add(key="gen_ai.usage.cost").value.double_value = 0.1
    span.attributes.add(key="gen_ai.usage.cost.other").value.double_value = 0.1
    span.attributes.add(key="tracekeeper.usage.repeated").value.bool_value = True
    span.attributes.add(key="tracekeeper.detected").value.string_value = "loop"
    span.events.add(name="tracekeeper.detected")
    masks.add(body + message.SerializeToString())
    assert masks.counts() == {"masked": 50, "bare": 50, "priced": 2, "detected": 1}


async def test_bare_values_arrive_at_a_sink_as_they_were_sent(tmp_path: Path) -> None:
    with Programs(tmp_path) as programs:
        ends = sinks.Sinks(programs, ["a"], masks=True)
        sent = await load.load(f"127.0.0.1:{ends.ports['a']}", spans.Template(3, bare=True), 1, 30.0, limit=2)
        got = ends.stats()["a"]
    assert sent["acknowledged"] == got["spans"] == got["bare"] == 6
    assert got["masked"] == got["priced"] == got["detected"] == 0


@pytest.mark.parametrize("bare", [True, False])
@pytest.mark.parametrize("steps", ["off", "redact", "all"])
def test_what_arrived_is_held_against_what_each_pipeline_does(steps: str, bare: bool) -> None:
    assert masked.faults(run(steps, bare=bare)) == []
    for what in ("masked", "bare", "priced", "detected"):
        (one, other) = masked.faults(run(steps, bare=bare, counted={what: SPANS - 1}))
        assert (what in one, "sink b" in other) == (True, True)


def test_a_value_that_got_through_forbids_a_comparison() -> None:
    theirs = run("redact", bare=True)
    leaky = run("redact", bare=True, counted={"bare": 1})
    found = compare.compare(BARE, [leaky], [theirs])
    assert (found["verdict"], found["ratio"]) == ("not compared", None)
    assert compare.compare(BARE, [run("all", bare=True)], [theirs])["ratio"] == 1.0


def test_prices_make_spans_larger_and_nothing_makes_them_smaller() -> None:
    def differs(steps: str, size: int) -> list[str]:
        return compare.differs(run(steps, size=size), run("redact"))

    assert differs("all", 394 + 200) == []
    assert "bytes a span" in differs("redact", 394 + 200)[0]
    assert "bytes a span" in differs("all", 394 - 40)[0]
    assert "bytes a span" in differs("all", 394 * 2)[0]


def test_every_pipeline_has_a_ratio_of_its_own_to_the_same_runs() -> None:
    off, redact, everything = outcomes(CLEAN, {"off": 1 / 20, "redact": 1 / 12, "all": 1 / 7})
    assert [one["ratio"] for one in (off, redact, everything)] == [20.0, 12.0, 7.0]
    assert [one["verdict"] for one in (off, redact, everything)] == ["must", "must", "below 8x"]
    assert off["theirs"] == redact["theirs"]
    bounds = {job.name: dict(job.redaction.musts) for job in jobs.REDACTED if job.redaction}
    assert bounds["redact-prompts"] == {"off": None, "redact": 60, "all": 40}
    assert bounds["redact-bare"] == {"redact": None, "all": None}
    assert {job.must_mb for job in jobs.REDACTED} == {64}


def test_the_table_has_a_row_for_each_pipeline(tmp_path: Path) -> None:
    found = outcomes(CLEAN, {"off": 1 / 20, "redact": 1 / 12, "all": 1 / 8})
    found += outcomes(BARE, {"redact": 1 / 5, "all": 1 / 4})
    ((head, rows),) = table.tables(found)
    assert (head[-1], "goal" in head) == ("masked", False)
    assert {len(row) for row in rows} == {len(head)}
    assert [row[1] for row in rows] == ["off", "redact", "all", "Collector", "redact", "all", "Collector"]
    assert [bool(row[0]) for row in rows] == [True, False, False, False, True, False, False]
    assert [row[-1] for row in rows] == ["0%"] * 4 + ["100%"] * 3
    assert [row[head.index("must")] for row in rows[:4]] == ["", "12x", "8x", ""]
    assert table.verdicts(found)[1] == f"{CLEAN.title}, redact: reaches what it must"
    assert table.split(found) == ([], [], found)
    made = report.parts({"special": {}, "jobs": found, "physical": {}, "machine": MACHINE})
    assert list(made) == ["machine", "redaction"]
    assert report.written(report.PAGE.read_text(), made).count("| 12.0x |") == 1
    plot.redacted(found, tmp_path / "redaction.png")
    assert (tmp_path / "redaction.png").read_bytes().startswith(b"\x89PNG")


def test_both_sides_are_told_of_the_same(tmp_path: Path) -> None:
    theirs = yaml.safe_load(yaml.safe_dump(collector.config("d", 1, {"a": 2, "b": 3}, redacting=True)))
    assert theirs["service"]["pipelines"]["traces"]["processors"] == ["redaction"]
    settings = theirs["processors"]["redaction"]
    assert (len(settings["blocked_values"]), settings["allow_all_keys"]) == (10, True)
    assert theirs["extensions"]["file_storage"]["fsync"] is True
    with Programs(tmp_path) as programs:
        sides = {steps: sidecar.Sidecar(programs, {"a": 2}, steps=steps) for steps in ("off", "redact", "all")}
        for steps, side in sides.items():
            side.configure("")
            manifest = yaml.safe_load(side.config.read_text())
            assert parse_manifest(manifest)[1] == []
            made = manifest["spec"].get("processors", [])
            assert [one["type"] for one in made] == [one["type"] for one in processors.PIPELINES[steps]]
            assert [one["redact"]["keyPatterns"] for one in made if one["type"] == "Redact"] == [
                settings["blocked_key_patterns"]
            ] * (steps != "off")
    assert sides["off"].name == sidecar.NAME


def test_jobs_that_redact_are_the_steady_ones_otherwise() -> None:
    plain = {job.name: job for job in jobs.STEADY}
    for job in jobs.REDACTED[:-1]:
        like = plain[job.name.removeprefix("redact-")]
        same = replace(job, name=like.name, redaction=None, must_mb=like.must_mb)
        assert replace(same, must_ratio=like.must_ratio, goal_ratio=like.goal_ratio) == like
    assert list(runner.sides(BARE)) == ["theirs", "redact", "all"]
    assert list(runner.sides(jobs.STEADY[0])) == ["ours", "theirs"]


class Doubling(Plain):
    """A step that writes every span again, and one that loses it all."""

    def __init__(self, change: Callable[[bytes], bytes]) -> None:
        super().__init__("doubling", "Detect")
        self._change = change

    def run(self, request: Request) -> None:
        request.body = self._change(request.body)


def test_steps_are_timed_one_after_the_other_and_must_keep_the_spans() -> None:
    bodies = [spans.Template(5).request() for _ in range(2)]
    larger = Doubling(lambda body: body + b"\x0a\x00")
    taken, size = yardstick.timed([larger, larger], bodies, 5)
    assert len(taken) == 2
    assert min(taken) > 0
    assert size == sum(map(len, bodies)) + 2 * 2 * 2
    assert look(bodies[0]).spans == 5
    with pytest.raises(ValueError, match="spans are left"):
        yardstick.timed([Doubling(lambda body: body + body)], bodies, 5)
    with pytest.raises(ValueError, match="no such"):
        yardstick.steps("nothing")
