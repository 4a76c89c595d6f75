"""What Prometheus scrapes: every declared metric, and a ledger that closes within one scrape."""

from collections import Counter
from dataclasses import replace

from prometheus_client.parser import text_string_to_metric_families

from admin_facts import backend_health
from tracekeeper_sidecar.admin import process
from tracekeeper_sidecar.admin.exposition import own, render, samples
from tracekeeper_sidecar.admin.openmetrics import Form
from tracekeeper_sidecar.admin.snapshot import LogFacts, PolicyFacts, RequestFacts, Snapshot
from tracekeeper_sidecar.coordination import LinkHealth
from tracekeeper_sidecar.decide.health import StageHealth
from tracekeeper_sidecar.forward.entry import EntryHealth
from tracekeeper_sidecar.forward.rescue import RescueHealth
from tracekeeper_sidecar.ledger import Account
from tracekeeper_sidecar.metrics import REQUEST_DURATION, RESCUE_SECONDS, TABLE
from tracekeeper_sidecar.model import Position
from tracekeeper_sidecar.process.metrics import TABLE as STEPS
from tracekeeper_sidecar.wire import meter

ACCOUNT = Account(
    start=10,
    delivered=Counter(a=50),
    dropped=Counter(refused=5),
    sampled_out=Counter(default=7),
    unmatched=3,
    redelivered=Counter(replay=9),
)
SNAPSHOT = Snapshot(
    time=1.0,
    policy=PolicyFacts("shop/agents", 7),
    log=LogFacts(acknowledged=100, bytes=5, quota=10, segments=1, commits=2, sync_seconds=0.5),
    refused={"quota": 5, "invalid": 2},
    refused_requests={"quota": 1},
    suspended_spans=3,
    filtered={"noise": 4},
    requests=RequestFacts((1, 2, *[0] * 12, 3), 4, 12.5),
    entries=(EntryHealth("a", ("a",), ACCOUNT, 25, 1.5, 0, Position(1, 0, 75)),),
    backends=(
        backend_health(
            name="a",
            circuit="Open",
            changes={("Open", "failure_rate"): 1},
            rejected_calls=4,
            calls={"sent": 2, "failed": 5},
        ),
    ),
    sampling=StageHealth(
        open_traces=12,
        table_bytes=4096,
        undecided=25,
        lag=1.5,
        kept=Counter(errors=3, default=1),
        left_out=Counter(default=9),
        late=2,
        overloaded=True,
        overloads=Counter(lag=4),
        overload_seconds=12.5,
        hurries=7,
        probability=0.125,
        share=40.0,
        floor=0.05,
        sidecars=3,
        told=Counter(passed=6, unknown=5),
        spread=Counter(handed_over=8, dropped=1),
    ),
    rescue=RescueHealth({"a": 7}, {("a", "full"): 3}, {"a": 2}, (1, 4, *[0] * 9), 3.25),
    link=LinkHealth("operator:9444", True, 5.0, "", Counter(attached=2, refused=1), Counter(ended=1), 700, 900),
)


def page(snapshot: Snapshot) -> str:
    return render(own(snapshot, "1.2.3"), None, 0, Form.TEXT).decode()


def scraped() -> dict[str, float]:
    return {
        sample.name + "".join(f" {k}={v}" for k, v in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page(SNAPSHOT))
        for sample in family.samples
    }


def test_every_declared_metric_is_exposed_once() -> None:
    shown = [*samples(SNAPSHOT, "1"), *process.families()]
    declared = (*TABLE, *STEPS)
    assert sorted(m.name for m, _ in shown) == sorted(m.name for m in declared)
    assert len({metric.name for metric, _ in shown}) == len(declared)


def test_the_ledger_closes_within_one_scrape() -> None:
    got = scraped()
    received = got["tracekeeper_spans_received_total"]
    refused = sum(value for name, value in got.items() if name.startswith("tracekeeper_spans_refused_total"))
    left_out = got["tracekeeper_spans_suspended_total"] + got["tracekeeper_spans_filtered_total processor=noise"]
    assert received == got["tracekeeper_spans_acknowledged_total"] + refused + left_out
    assert received == 114
    settled = (
        got["tracekeeper_spans_delivered_total backend=a delivery=a"]
        + got["tracekeeper_spans_dropped_total delivery=a reason=refused"]
        + got["tracekeeper_spans_sampled_out_total delivery=a rule=default"]
        + got["tracekeeper_spans_unmatched_total delivery=a"]
    )
    assert 10 + settled + got["tracekeeper_spans_pending delivery=a"] == 100


def test_the_requests_of_the_application_are_a_histogram() -> None:
    got = scraped()
    name = "tracekeeper_application_request_duration_seconds"
    assert [got[f"{name}_bucket le={bound}"] for bound in ("0.005", "0.01", "300.0", "+Inf")] == [1, 3, 3, 6]
    assert (got[f"{name}_count"], got[f"{name}_sum"]) == (6, 12.5)
    assert got["tracekeeper_application_request_errors_total"] == 4


def test_the_declared_buckets_are_those_that_are_counted_in() -> None:
    assert REQUEST_DURATION.bounds == meter.BOUNDS


def test_what_alerts_look_at_begins_at_0() -> None:
    got = scraped()
    assert got["tracekeeper_spans_refused_total reason=disk"] == 0
    assert got["tracekeeper_spans_dropped_total delivery=a reason=attempts"] == 0


def test_exactly_one_circuit_state_is_set() -> None:
    got = scraped()
    states = {name: value for name, value in got.items() if name.startswith("tracekeeper_backend_circuit_state")}
    assert states["tracekeeper_backend_circuit_state backend=a state=Open"] == 1
    assert sum(states.values()) == 1


def test_the_process_reports_itself() -> None:
    assert scraped()["process_resident_memory_bytes"] > 0


def test_what_sampling_does_is_told_trace_by_trace_and_rule_by_rule() -> None:
    got = {
        name.removeprefix("tracekeeper_sampling_"): value for name, value in scraped().items() if "_sampling_" in name
    }
    assert got == {
        "open_traces": 12,
        "table_bytes": 4096,
        "undecided_spans": 25,
        "lag_seconds": 1.5,
        "traces_total decision=kept rule=errors": 3,
        "traces_total decision=kept rule=default": 1,
        "traces_total decision=sampled_out rule=default": 9,
        "late_traces_total": 2,
        "overloaded": 1,
        "overloads_total cause=lag": 4,
        "overload_seconds_total": 12.5,
        "hurries_total": 7,
        "probability": 0.125,
        "share_traces_per_second": 40.0,
        "floor_probability": 0.05,
        "sidecars": 3,
        "told_traces_total outcome=passed": 6,
        "told_traces_total outcome=unknown": 5,
        "spread_traces_total outcome=handed_over": 8,
        "spread_traces_total outcome=dropped": 1,
    }


def test_what_is_rescued_and_how_long_that_takes_is_told() -> None:
    got = {name.removeprefix("tracekeeper_rescue_"): value for name, value in scraped().items() if "_rescue_" in name}
    assert got == {
        "waiting_traces delivery=a": 7,
        "given_up_traces_total delivery=a reason=full": 3,
        "refused_spans_total delivery=a": 2,
        "duration_seconds_bucket le=0.25": 1,
        **{f"duration_seconds_bucket le={bound}": 5 for bound in (*RESCUE_SECONDS.bounds[1:], "+Inf")},
        "duration_seconds_count": 5,
        "duration_seconds_sum": 3.25,
    }


def test_where_nothing_is_sampled_there_are_no_numbers_of_sampling() -> None:
    text = page(replace(SNAPSHOT, sampling=None, rescue=None))
    assert "\ntracekeeper_sampling_" not in text
    assert "\ntracekeeper_rescue_" not in text
    assert "# HELP tracekeeper_sampling_open_traces " in text


def test_the_kept_log_has_figures_of_its_own_while_there_is_one() -> None:
    text = page(replace(SNAPSHOT, kept_log=LogFacts(bytes=6, quota=20, room=15)))
    for name, value in (("", 6), ("quota_", 20), ("room_", 15)):
        assert f"\ntracekeeper_kept_log_{name}bytes {value}.0" in text
    assert "\ntracekeeper_log_bytes 5.0" in text
    assert "\ntracekeeper_kept_log" not in page(SNAPSHOT)


def test_before_the_log_is_open_no_total_is_claimed() -> None:
    text = page(replace(SNAPSHOT, log=LogFacts(problem="it is still being opened")))
    assert "\ntracekeeper_spans_acknowledged_total" not in text
    assert "tracekeeper_log_available 0.0" in text
