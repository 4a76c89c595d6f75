"""Health is a judgement that people act on at night: idle is well, one backend away is not an outage, lost room is."""

from dataclasses import replace

from admin_facts import backend_health
from tracekeeper_sidecar.admin.health import report
from tracekeeper_sidecar.admin.snapshot import AdoptedFolder, AdoptionFacts, LogFacts, PolicyFacts, Snapshot
from tracekeeper_sidecar.coordination import LinkHealth
from tracekeeper_sidecar.decide.health import StageHealth
from tracekeeper_sidecar.forward.backend import BackendHealth
from tracekeeper_sidecar.forward.entry import EntryHealth
from tracekeeper_sidecar.ledger import Account
from tracekeeper_sidecar.model import Position


def backend(name: str, circuit: str = "Closed", error: str = "", usable: bool = True) -> BackendHealth:
    return backend_health(name=name, circuit=circuit, last_error=error, usable=usable)


def entry(name: str, *backends: str, pending: int = 0) -> EntryHealth:
    return EntryHealth(name, backends, Account(), pending, 0.0, 0, Position(1, 0, 0))


IDLE = Snapshot(
    time=1.0,
    policy=PolicyFacts("shop/agents", 3),
    log=LogFacts(acknowledged=0, quota=1000, bytes=10),
    refused={},
    refused_requests={},
    suspended_spans=0,
    entries=(entry("a", "a"), entry("b", "b")),
    backends=(backend("a"), backend("b")),
)


def test_idle_is_healthy() -> None:
    body = report(IDLE)
    assert (body["status"], body["problems"], body["warnings"]) == ("healthy", [], [])
    assert body["enabled"] is True
    assert body["lastSuccessfulDelivery"] is None


def test_one_backend_away_is_degraded_and_says_which_and_why() -> None:
    away = replace(
        IDLE,
        backends=(backend("a", "Open", "connection refused"), backend("b")),
        entries=(replace(IDLE.entries[0], backends=("a", "b"), pending=5),),
    )
    body = report(away)
    assert body["status"] == "degraded"
    assert body["warnings"] == ["backend a: circuit Open: connection refused"]


def test_spans_that_no_backend_can_take_are_unhealthy() -> None:
    stuck = replace(
        IDLE,
        backends=(backend("a", "Open", "x"), backend("b")),
        entries=(replace(IDLE.entries[0], pending=5),),
    )
    body = report(stuck)
    assert body["status"] == "unhealthy"
    assert "delivery a: 5 spans wait" in str(body["problems"])


def test_an_open_circuit_with_nothing_to_send_is_only_degraded() -> None:
    assert report(replace(IDLE, backends=(backend("a", "Open", "x"), backend("b"))))["status"] == "degraded"


def test_a_half_open_circuit_still_counts_as_away() -> None:
    probing = replace(
        IDLE, backends=(backend("a", "HalfOpen", "x"), backend("b")), entries=(entry("a", "a", pending=5),)
    )
    assert report(probing)["status"] == "unhealthy"


def test_a_backend_that_cannot_be_used_is_named_with_the_reason() -> None:
    unusable = backend("a", error="backend 'a': Secret tempo has no key token", usable=False)
    waiting = replace(IDLE, backends=(unusable, backend("b")), entries=(entry("a", "a", pending=5), entry("b", "b")))
    body = report(waiting)
    assert body["status"] == "unhealthy"
    assert "backend a: cannot be used: backend 'a': Secret tempo has no key token" in str(body["warnings"])
    assert report(replace(waiting, entries=(entry("a", "a"), entry("b", "b"))))["status"] == "degraded"


def test_a_log_that_refuses_spans_names_the_cause() -> None:
    body = report(replace(IDLE, log=LogFacts(problem="/data: read-only file system")))
    assert body["status"] == "unhealthy"
    assert "spans are refused: /data: read-only file system" in str(body["problems"])


def test_without_a_policy_spans_are_safe_and_somebody_is_told() -> None:
    body = report(replace(IDLE, policy=PolicyFacts(), entries=(), backends=()))
    assert body["status"] == "degraded"
    assert "no policy yet" in str(body["warnings"])


def test_the_error_rate_is_that_of_recent_calls() -> None:
    assert report(replace(IDLE, recent_calls={"sent": 6, "retry": 2}))["errorRate"] == 0.25


def test_suspended_shows_as_not_enabled() -> None:
    assert report(replace(IDLE, policy=PolicyFacts("a/b", 1, (), suspended=True)))["enabled"] is False


def test_without_a_policy_nobody_is_told_that_spans_are_kept_when_they_are_refused() -> None:
    full = replace(IDLE, policy=PolicyFacts(), entries=(), backends=(), log=LogFacts(problem="the buffer is full"))
    body = report(full)
    assert body["status"] == "unhealthy"
    assert "are kept" not in str(body)


def test_a_best_effort_entry_that_nobody_takes_is_degraded_only() -> None:
    stuck = replace(
        IDLE,
        backends=(backend("a", "Open", "x"), backend("b")),
        entries=(replace(IDLE.entries[0], pending=5, guaranteed=False),),
    )
    body = report(stuck)
    assert (body["status"], body["problems"]) == ("degraded", [])
    assert "delivery a: 5 spans wait" in str(body["warnings"])


def test_batches_that_are_set_aside_are_degraded() -> None:
    body = report(replace(IDLE, entries=(replace(IDLE.entries[0], pending=5, aside=2),)))
    assert body["status"] == "degraded"
    assert "delivery a: 2 batches are set aside" in str(body["warnings"])


def test_a_folder_of_another_pod_is_shown_and_one_that_cannot_be_taken_over_is_a_warning() -> None:
    folder = AdoptedFolder("/spans/shop/agents/uid", 10, (entry("a", "a", pending=7),))
    body = report(replace(IDLE, adoption=AdoptionFacts(folder, {}, {}, {}, ())))
    assert (body["status"], body["adopted"]) == (
        "healthy",
        [{"folder": "/spans/shop/agents/uid", "pendingSpans": {"a": 7}}],
    )
    body = report(replace(IDLE, adoption=AdoptionFacts(None, {}, {}, {}, ("permission denied",))))
    assert (body["status"], body["adopted"]) == ("degraded", [])
    assert body["warnings"] == ["spans of a pod that is gone cannot be taken over: permission denied"]


SAMPLING = StageHealth(open_traces=12, table_bytes=4096, undecided=25, lag=1.5, probability=0.5)


def test_sampling_that_goes_well_is_shown_and_healthy() -> None:
    body = report(replace(IDLE, sampling=SAMPLING))
    assert (body["status"], body["warnings"]) == ("healthy", [])
    assert body["sampling"] == {
        "openTraces": 12,
        "undecidedSpans": 25,
        "lagSeconds": 1.5,
        "overloaded": False,
        "hurried": False,
        "probability": 0.5,
        "tracesPerSecond": None,
        "floor": None,
        "sidecars": 1,
        "problem": "",
    }
    assert report(IDLE)["sampling"] is None


def test_link_is_shown_and_missed_only_after_a_while() -> None:
    link = LinkHealth("operator:9444", False, 90.0, "connection refused")
    body = report(replace(IDLE, link=link))
    assert body["status"] == "healthy"
    assert body["control"] == {
        "endpoint": "operator:9444",
        "attached": False,
        "seconds": 90.0,
        "lastError": "connection refused",
    }
    body = report(replace(IDLE, link=replace(link, seconds=130.0)))
    assert body["status"] == "degraded"
    assert "the operator at operator:9444 has not been heard for 130 s: connection refused" in str(body["warnings"])
    assert "status says nothing of this pod" in str(body["warnings"])
    alone = report(replace(IDLE, link=replace(link, seconds=130.0), sampling=SAMPLING))
    assert "this pod samples by itself" in str(alone["warnings"])
    assert report(replace(IDLE, link=replace(link, seconds=130.0, attached=True)))["status"] == "healthy"
    assert report(replace(IDLE, link=replace(link, seconds=130.0, endpoint="")))["status"] == "healthy"
    assert report(IDLE)["control"] is None


def test_sampling_that_waits_for_the_disk_is_degraded_and_says_what_that_means() -> None:
    body = report(replace(IDLE, sampling=replace(SAMPLING, problem="/data/kept: input/output error")))
    assert (body["status"], body["problems"]) == ("degraded", [])
    assert "sampling waits: /data/kept: input/output error; 25 spans are safe on disk" in str(body["warnings"])
    assert "look at the volume" in str(body["warnings"])


def test_sampling_that_cannot_keep_up_is_degraded_and_says_what_to_do() -> None:
    body = report(replace(IDLE, sampling=replace(SAMPLING, overloaded=True)))
    assert (body["status"], body["problems"]) == ("degraded", [])
    assert "rules are not asked" in str(body["warnings"])
    assert "give the sidecar more CPU, lower decisionWait" in str(body["warnings"])


def test_sampling_at_the_floor_is_told_when_it_is_no_burst() -> None:
    assert report(replace(IDLE, sampling=replace(SAMPLING, pinned=59.0)))["warnings"] == []
    body = report(replace(IDLE, sampling=replace(SAMPLING, pinned=60.0)))
    assert body["status"] == "degraded"
    assert "at the floor for 60 s" in str(body["warnings"]) and "raise the target" in str(body["warnings"])


def test_sampling_that_is_hurried_by_a_full_log_is_degraded_and_says_what_to_do() -> None:
    body = report(replace(IDLE, sampling=replace(SAMPLING, hurried=True)))
    assert (body["status"], body["problems"]) == ("degraded", [])
    assert "nearly full of spans that wait for a decision, 25 now" in str(body["warnings"])
    assert "give sidecar.storage.size more" in str(body["warnings"])


def test_a_step_that_refuses_everything_is_unhealthy_and_one_that_is_only_slow_is_not() -> None:
    waits, slow = "processor redact: the Secret has no key", "processor redact: every text is looked at"
    body = report(replace(IDLE, step_problems=(waits, slow), refusing=(waits,)))
    assert (body["status"], body["problems"]) == ("unhealthy", [f"spans are refused: {waits}"])
    assert body["warnings"] == [slow]
    assert report(replace(IDLE, step_problems=(slow,)))["status"] == "degraded"


def test_a_first_policy_with_faults_is_unhealthy_where_it_has_everything_refused() -> None:
    faulty = replace(IDLE, policy=PolicyFacts(faults=("spec.x: is wrong",)), entries=(), backends=())
    body = report(replace(faulty, refusing=("the first policy cannot be used",)))
    assert body["status"] == "unhealthy"
    assert body["problems"] == ["spans are refused: the first policy cannot be used"]
    assert body["warnings"] == ["policy: spec.x: is wrong"], "nobody is told that spans are kept"
    assert report(faulty)["status"] == "degraded"
