"""What the bench makes of two sides' runs: the arithmetic behind every ratio, and when it refuses one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import backlog
import compare
import jobs
import limits
import outage
import physical
import plot
import pytest
import receive
import report
import table
from machine import machine

JOB = jobs.Job("512", "512 spans a request, 16 in flight", 512, 16, must_ratio=10, goal_ratio=16)


def run(side: str = "Tracekeeper", spans: int = 1000, cpu: float = 1.0, **change: Any) -> dict[str, Any]:
    """One run as measure.py gives it: `spans` acknowledged, and delivered to both sinks."""
    sinks = {name: {"requests": 1, "spans": spans, "bytes": spans * 394, "failed": 0} for name in "ab"}
    load = {"spans_per_request": 512, "bytes_per_request": 9, "in_flight": 16, "offered_per_second": 0.0}
    figures = {"p50_ms": 2.0, "p99_ms": 3.0, "fresh_mb": 20.0, "peak_mb": 30.0, "refused": {}, "warmed_up": 0}
    each = {"per_cpu_second": round(spans / cpu), "cpu_seconds": cpu, "seconds": 10.0, "acknowledged": spans}
    return {"side": side, "sinks": sinks, "ledger": {}, **load, **figures, **each, **change}


def outcome(*, ours: dict[str, Any] | None = None, theirs: dict[str, Any] | None = None) -> dict[str, Any]:
    return compare.compare(JOB, [ours or run(spans=20_000)], [theirs or run("Collector")])


def entry(delivered: int, dropped: int = 0, pending: int = 0) -> dict[str, Any]:
    drops = {"refused": str(dropped)} if dropped else {}
    return {"name": "a", "delivered": {"a": str(delivered)}, "dropped": drops, "pending": str(pending)}


def test_the_ratio_is_of_spans_per_cpu_second_over_all_rounds() -> None:
    ours = [run(spans=30_000, cpu=1.0), run(spans=10_000, cpu=1.0)]
    theirs = [run("Collector", spans=1000, cpu=1.0), run("Collector", spans=1000, cpu=1.0)]
    found = compare.compare(JOB, ours, theirs)
    assert (found["ratio"], found["ratios"], found["verdict"]) == (20.0, [30.0, 10.0], "goal")
    assert found["ours"]["acknowledged_per_second"] == 2000


@pytest.mark.parametrize(
    ("spans", "verdict"), [(16_000, "goal"), (15_999, "must"), (10_000, "must"), (9_999, "below 10x")]
)
def test_the_verdict_names_what_was_reached(spans: int, verdict: str) -> None:
    assert outcome(ours=run(spans=spans))["verdict"] == verdict


def test_memory_beyond_its_bound_is_missed_whatever_the_speed() -> None:
    assert outcome(ours=run(spans=99_000, peak_mb=48.1))["verdict"] == "over 48 MB"


def test_a_share_of_a_core_is_judged_without_a_ratio() -> None:
    job = jobs.Job("rest", "at rest", 0, 0, must_share=0.002, must_mb=30, goal_mb=20)
    theirs = [run("Collector", spans=0)]

    def judged(cpu: float = 0.02, fresh: float = 25.0) -> str:
        # What was needed at the peak, before it came to rest, is not what it takes at rest.
        ours = run(spans=0, cpu=cpu, fresh_mb=fresh, peak_mb=90.0)
        found: str = compare.compare(job, [ours], theirs)["verdict"]
        return found

    assert judged() == "must"
    assert judged(fresh=20.0) == "goal"
    assert judged(cpu=0.03) == "over 0.2% of a core"
    assert judged(fresh=31.0) == "over 30 MB"


@pytest.mark.parametrize("side", ["ours", "theirs"])
@pytest.mark.parametrize("got", [0, 999, 1011])
def test_lost_or_repeated_spans_forbid_a_comparison(side: str, got: int) -> None:
    broken = run()
    broken["sinks"]["b"]["spans"] = got
    found = outcome(**{side: broken})
    assert found["verdict"] == "not compared"
    assert found["ratio"] is None
    assert "sink b" in found["differs"][0]


def test_other_work_forbids_a_comparison() -> None:
    assert "in_flight: 16 and 32" in outcome(theirs=run(in_flight=32))["differs"]
    light = run()
    for sink in light["sinks"].values():
        sink["bytes"] = 1000 * 300
    assert "bytes a span" in outcome(theirs=light)["differs"][0]


@pytest.mark.parametrize("book", [entry(1049), entry(1050, dropped=1), entry(1050, pending=1)])
def test_books_that_do_not_close_forbid_a_comparison(book: dict[str, Any]) -> None:
    kept = {"acknowledged": "1050", "delivery": [book]}
    assert outcome(ours=run(warmed_up=50, ledger=kept))["verdict"] == "not compared"
    closed = {"acknowledged": "1050", "delivery": [entry(1050)]}
    assert outcome(ours=run(warmed_up=50, ledger=closed))["differs"] == []
    assert "clients saw 1000" in outcome(ours=run(ledger=closed))["differs"][0]


def test_the_table_shows_both_sides_ratio_and_bounds() -> None:
    found = [outcome(ours=run(spans=216_000), theirs=run("Collector", spans=21_600, refused={"UNAVAILABLE": 7}))]
    _, ours, theirs = table.text(table.HEAD, table.rows(found))
    assert "216,000" in ours
    assert " 10.0x " in ours
    assert "21,600" in theirs
    page = table.markdown(table.HEAD, table.rows(found))
    assert {line.count("|") for line in page} == {len(table.HEAD) + 1}
    assert "Collector refused" in table.verdicts(found)[1]


def test_why_nothing_is_compared_is_said() -> None:
    assert "NOT COMPARED" in table.verdicts([outcome(theirs=run(in_flight=1))])[1]


def test_jobs_are_chosen_by_name() -> None:
    steady, special = jobs.chosen("50,backlog,rest")
    assert ([job.name for job in steady], special) == (["50", "rest"], ["backlog"])
    everything, special = jobs.chosen("all")
    assert everything == [*jobs.STEADY, *jobs.REDACTED, *jobs.SAMPLED]
    assert "window" not in special
    assert jobs.chosen("tail-open,window")[0][0].rootless
    with pytest.raises(ValueError, match="no job 51; there are 512, 50, 1"):
        jobs.chosen("50,51")


def test_flatness_compares_the_last_third_with_the_first() -> None:
    assert backlog.steepness([1.0, 1.0, 5.0, 5.0, 2.0, 2.0]) == 2.0
    assert backlog.steepness([1.0, 2.0]) == 1.0
    flat = [{"cpu_us_per_span": 1.0}] * 9
    steep = [{"cpu_us_per_span": float(n)} for n in range(1, 10)]
    assert backlog.missed(flat, flat, first=1.9, lost=0) == []
    assert len(backlog.missed(steep, flat, first=2.1, lost=1)) == 3


def test_the_pictures_are_pngs(tmp_path: Path) -> None:
    plot.steady([outcome()], tmp_path / "steady.png")
    points = [{"backlog_gb": 1.0, "cpu_us_per_span": 2.0}]
    plot.backlog({"growing": points, "shrinking": points}, tmp_path / "backlog.png")
    for name in ("steady", "backlog"):
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def phase(name: str, p99: float) -> dict[str, Any]:
    load = {"acknowledged": 100, "seconds": 2.0, "refused": {}, "p50_ms": 1.0, "max_ms": 9.0, "caught_up_seconds": 0.5}
    return {"phase": name, "p99_ms": p99, **load}


def test_latency_while_a_backend_is_down_is_held_against_the_worst_without() -> None:
    well = [phase("both well", 2.0), phase("both well again", 10.0)]
    assert outage.missed([*well, phase("one hangs", 15.0), phase("one is gone", 15.1)]) == ["one is gone"]
    assert outage.missed([phase("both well", 1.0), phase("one hangs", 2.0)]) == []


def test_a_span_takes_at_least_what_moving_its_bytes_takes() -> None:
    figures = {"mb_per_cpu_second": 1000, "write_mb_per_cpu_second": 2000, "read_mb_per_cpu_second": 4000}
    # In once and out twice, half a connection each; written once; read twice.
    assert physical.floor(figures, 400) == pytest.approx(400 * (1.5 / 1000 + 1 / 2000 + 2 / 4000))


def test_the_machine_is_measured(tmp_path: Path) -> None:
    found = physical.run(str(tmp_path), seconds=0.05)
    assert len(found) == 6
    assert min(found.values()) > 0
    assert list(tmp_path.iterdir()) == []


def whole() -> dict[str, Any]:
    """A report as run.py writes it."""
    points = [{"backlog_gb": 1.0, "cpu_us_per_span": 2.0}]
    limited = {"title": "t", "acknowledged_per_second": 9, "p50_ms": 1.0, "p99_ms": 2.0, "peak_mb": 3.0}
    grown = {"gigabytes": 1.0, "disk_gb": 1.1, "spans": 9, "peak_mb": 30.0, "missed": []}
    figures = {name: {"requests_per_second": 9.0, "cpu_us": 3.0} for name in receive.CLIENTS}
    starts = {"first_answer_full": 0.5, "first_answer_empty": 0.4, "growing": points, "shrinking": points}
    return {
        "machine": {"processors": 2, "model": "m", "kernel": "6", "python": "3", "time": 0},
        "physical": dict.fromkeys(physical.run(".", 0.01), 1000),
        "jobs": [outcome(ours=run(spans_per_request=512), theirs=run("Collector", spans_per_request=512))],
        "special": {
            "outage": {"title": "t", "sides": [{"side": "s", "phases": [phase("both well", 2.0)]}], "missed": []},
            "limits": {"jobs": [{**limited, "refused": {"X": 5}, "drained_seconds": 1.0}], "missed": []},
            "backlog": {**grown, **starts},
            "receive": {"machine": machine(), "loads": [receive.outcome(load, [figures]) for load in receive.loads(1)]},
        },
    }


def test_every_part_has_its_place_on_the_page() -> None:
    page = report.written(report.PAGE.read_text(), report.parts(whole()))
    assert "Measured on 1970-01-01" in page
    assert report.written(page, report.parts(whole())) == page
    assert page.count(report.END) == report.PAGE.read_text().count(report.END)


def test_what_was_not_run_keeps_what_the_page_says() -> None:
    found = {**whole(), "jobs": [], "special": {"limits": {"not_run": "it needs root", "jobs": []}}}
    assert list(report.parts(found)) == ["machine"]
    assert limits.lines(found["special"]["limits"]) == ["inside limits: NOT RUN, it needs root"]
    page = f"{report.MARK.format('machine')}\nold\n{report.END}\n{report.MARK.format('jobs')}\nkept\n{report.END}\n"
    assert "kept" in report.written(page, report.parts(found))
    with pytest.raises(ValueError, match="0 places for jobs"):
        report.written("", {"jobs": []})


def test_special_jobs_say_what_they_found() -> None:
    special = whole()["special"]
    assert "unchanged" in outage.lines(special["outage"])[-1]
    assert "politely" in limits.lines(special["limits"])[-1]
    assert "flat" in backlog.lines(special["backlog"])[-1]
