"""Health is a judgement that people act on at night: idle is well, one backend away is not an outage, lost room is."""

from dataclasses import replace

from tracekeeper_sidecar.admin.health import report
from tracekeeper_sidecar.admin.snapshot import BackendFacts, EntryFacts, LogFacts, PolicyFacts, Snapshot


def backend(name: str, circuit: str = "Closed", error: str = "") -> BackendFacts:
    return BackendFacts(name, circuit, 0.0, error, {}, 0, {})


def entry(name: str, *backends: str, pending: int = 0) -> EntryFacts:
    return EntryFacts(name, backends, 0, {}, {}, pending, 0.0)


IDLE = Snapshot(
    time=1.0,
    policy=PolicyFacts("shop/agents", 3),
    log=LogFacts(available=True, quota=1000, bytes=10),
    acknowledged=0,
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


def test_a_log_that_cannot_be_written_names_the_cause() -> None:
    body = report(replace(IDLE, log=LogFacts(available=False, problem="/data: read-only file system")))
    assert body["status"] == "unhealthy"
    assert "read-only file system" in str(body["problems"])


def test_a_full_log_with_spans_waiting_is_unhealthy() -> None:
    full = replace(
        IDLE,
        log=LogFacts(available=True, quota=1000, bytes=990),
        entries=(replace(IDLE.entries[0], pending=5),),
    )
    assert report(full)["status"] == "unhealthy"


def test_without_a_policy_spans_are_safe_and_somebody_is_told() -> None:
    body = report(replace(IDLE, policy=PolicyFacts(), entries=(), backends=()))
    assert body["status"] == "degraded"
    assert "no policy yet" in str(body["warnings"])


def test_the_error_rate_is_that_of_recent_calls() -> None:
    assert report(replace(IDLE, recent_calls={"sent": 6, "retry": 2}))["errorRate"] == 0.25


def test_suspended_shows_as_not_enabled() -> None:
    assert report(replace(IDLE, policy=PolicyFacts("a/b", 1, (), suspended=True)))["enabled"] is False
