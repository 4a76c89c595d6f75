"""The sidecar as its own process: official SDKs in, two backends out, and nothing acknowledged missing."""

from __future__ import annotations

import subprocess
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from programs import Backend, RunningAgent, ask
from sidecar_process import SIDECAR, RunningSidecar, Sidecars, manifest, otlp, until
from tracekeeper_sidecar.ledger import Intake
from tracekeeper_sidecar.log.cursor import CursorStore
from tracekeeper_sidecar.log.files import SystemFiles

Start = Callable[..., Backend]
StartAgent = Callable[..., RunningAgent]


def two(a: Backend, b: Backend, **sections: Any) -> dict[str, Any]:
    """A config that replicates to two backends, one over each protocol."""
    return manifest(otlp("a", "GRPC", a.grpc), otlp("b", "HTTP", b.http), **sections)


def two_that_wait(a: Backend, b: Backend, delay: str) -> dict[str, Any]:
    """The same, but what is not a full batch is sent after `delay` only."""
    config = two(a, b)
    for backend in config["spec"]["backends"]:
        backend["batch"] = {"maxDelay": delay}
    return config


def towards(sidecar: RunningSidecar, protocol: str) -> dict[str, str]:
    """The environment that the injector gives to an application."""
    endpoint = (
        f"http://127.0.0.1:{sidecar.grpc}" if protocol == "grpc" else f"http://127.0.0.1:{sidecar.http}/v1/traces"
    )
    return {
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": endpoint,
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": protocol,
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_every_span_of_an_sdk_arrives_once_in_both_backends(
    sidecars: Sidecars, start_backend: Start, start_agent: StartAgent, protocol: str
) -> None:
    a, b = start_backend("--name", "a"), start_backend("--name", "b")
    sidecar = sidecars.start(config=two(a, b))
    summary = start_agent(AGENT_RUNS="25", **towards(sidecar, protocol)).summary()
    book = sidecar.settled()
    assert summary["created"] == summary["acknowledged"] == 100
    assert book["received"] == book["acknowledged"] == 100
    for backend in (a, b):
        stats = backend.json("/stats")
        assert (stats["distinct"], stats["duplicates"]) == (100, 0)
    assert {name: entry["delivered"] for name, entry in book["delivery"].items()} == {"a": 100, "b": 100}


def test_one_backend_away_never_holds_up_the_other_and_misses_nothing(
    sidecars: Sidecars, start_backend: Start, start_agent: StartAgent
) -> None:
    a, b = start_backend("--name", "a"), start_backend("--name", "b")
    sidecar = sidecars.start(config=two(a, b))
    a.fail("unavailable")
    agent = start_agent(AGENT_RUNS="50", **towards(sidecar, "http/protobuf"))
    until(lambda: sidecar.circuit("a") == "Open", "the breaker of the failing backend opens")
    assert agent.summary()["acknowledged"] == 200
    until(lambda: b.json("/stats")["distinct"] == 200, "the other backend has every span")
    book = sidecar.ledger()
    assert (book["delivery"]["a"]["pending"], book["delivery"]["b"]["pending"]) == (200, 0)
    health = sidecar.health()
    assert any("backend a" in warning or "delivery a" in warning for warning in health["warnings"] + health["problems"])
    a.fail("ok")
    sidecar.settled()
    assert a.ids() == b.ids()
    assert a.json("/stats")["duplicates"] == 0
    assert sidecar.circuit("a") == "Closed"


def test_failover_gives_the_spans_to_the_standby_and_returns(sidecars: Sidecars, start_backend: Start) -> None:
    a, b = start_backend("--name", "a"), start_backend("--name", "b")
    sidecar = sidecars.start(config=two(a, b, delivery=[{"name": "primary", "backends": ["a", "b"]}]))
    a.fail("unavailable")
    assert sidecar.post(10, seed=1) == 200
    sidecar.settled()
    assert (a.json("/stats")["distinct"], b.json("/stats")["distinct"]) == (0, 10)
    a.fail("ok")
    sent = 0

    def preferred_again() -> bool:
        nonlocal sent
        sent += 1
        assert sidecar.post(1, seed=100 + sent) == 200
        sidecar.settled()
        return bool(a.json("/stats")["distinct"])

    until(preferred_again, "spans go to the preferred backend again")
    assert a.json("/stats")["distinct"] + b.json("/stats")["distinct"] == 10 + sent


def acknowledges_more_than(port: int, spans: int) -> Callable[[], bool]:
    return lambda: len(ask(port, "/acknowledged").split()) > spans


def deliver_to(sidecar: RunningSidecar, *entries: str) -> None:
    """Wait until it delivers: it takes spans before that."""
    until(lambda: set(sidecar.ledger()["delivery"]) == set(entries), f"deliveries to {entries}")


def test_sigkill_in_mid_stream_loses_nothing_acknowledged(
    sidecars: Sidecars, start_backend: Start, start_agent: StartAgent
) -> None:
    a, b = start_backend("--name", "a"), start_backend("--name", "b")
    small = {"batch": {"maxSpans": 20, "maxDelay": "50ms"}}
    sidecar = sidecars.start(config=manifest(otlp("a", "GRPC", a.grpc, **small), otlp("b", "HTTP", b.http, **small)))
    ports = (f"--grpc-listen=127.0.0.1:{sidecar.grpc}", f"--http-listen=127.0.0.1:{sidecar.http}")
    agent = start_agent(
        AGENT_RUNS="300",
        AGENT_RUNS_PER_SECOND="40",
        AGENT_LINGER="30",
        AGENT_LISTEN="127.0.0.1:0",
        **towards(sidecar, "http/protobuf"),
    )
    port = int(agent.until("listening ").split()[1])
    for goal in (100, 300, 500):
        until(acknowledges_more_than(port, goal), f"{goal} acknowledged")
        deliver_to(sidecar, "a", "b")
        sidecar.kill()
        sidecar = sidecars.start(*ports)
    assert agent.summary()["acknowledged"] > 500
    acknowledged = set(ask(port, "/acknowledged").decode().split())
    sidecar.settled()
    for backend in (a, b):
        assert acknowledged <= backend.ids()
        # Three kills: what was in flight (four of the small batches), or delivered since the cursor was last saved,
        # comes twice; not more.
        assert backend.json("/stats")["duplicates"] < len(acknowledged) / 2


def test_what_was_acknowledged_without_a_backend_is_sent_after_a_restart(
    sidecars: Sidecars, start_backend: Start
) -> None:
    a, b = start_backend("--name", "a"), start_backend("--name", "b")
    a.fail("unavailable")
    b.fail("unavailable")
    sidecar = sidecars.start("--drain-timeout=0s", config=two(a, b))
    deliver_to(sidecar, "a", "b")
    assert [sidecar.post(20, seed=n) for n in range(5)] == [200] * 5
    assert sidecar.stop() == 0
    (last,) = sidecar.logged("unsent")
    assert last["unsent"] == 200  # A hundred spans, owed to two delivery entries.
    a.fail("ok")
    b.fail("ok")
    again = sidecars.start()
    book = again.settled()
    assert book["acknowledged"] == 100
    assert a.json("/stats")["distinct"] == b.json("/stats")["distinct"] == 100


def test_sigterm_delivers_what_is_pending_before_it_ends(sidecars: Sidecars, start_backend: Start) -> None:
    a, b = start_backend("--name", "a"), start_backend("--name", "b")
    sidecar = sidecars.start(config=two_that_wait(a, b, "10s"))
    assert sidecar.post(30, seed=1) == 200
    assert sidecar.stop() == 0
    assert a.json("/stats")["distinct"] == b.json("/stats")["distinct"] == 30
    assert sidecar.logged("every acknowledged span has been delivered")


def flush(sidecar: RunningSidecar, timeout: str) -> subprocess.CompletedProcess[str]:
    command = [*SIDECAR, "flush", "--admin", f"http://127.0.0.1:{sidecar.admin}", "--timeout", timeout]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def test_flush_waits_for_delivery_and_says_when_it_could_not(sidecars: Sidecars, start_backend: Start) -> None:
    a, b = start_backend("--name", "a"), start_backend("--name", "b")
    sidecar = sidecars.start(config=two_that_wait(a, b, "60s"))
    assert sidecar.post(30, seed=1) == 200
    done = flush(sidecar, "10s")
    assert (done.returncode, done.stderr) == (0, "")
    assert a.json("/stats")["distinct"] == b.json("/stats")["distinct"] == 30
    a.fail("unavailable")
    assert sidecar.post(7, seed=2) == 200
    late = flush(sidecar, "300ms")
    assert late.returncode == 1
    assert "7 spans still pending" in late.stderr


def test_flush_of_nothing_running_says_so() -> None:
    command = [*SIDECAR, "flush", "--admin", "http://127.0.0.1:9"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "no sidecar answers at http://127.0.0.1:9" in done.stderr


def test_a_full_buffer_refuses_politely_and_never_outgrows_its_quota(sidecars: Sidecars, start_backend: Start) -> None:
    a = start_backend("--name", "a")
    a.fail("unavailable")
    quota = 2 << 20
    sidecar = sidecars.start(f"--storage-size={quota}", config=manifest(otlp("a", "GRPC", a.grpc)))
    statuses: list[int] = []
    while 429 not in statuses:
        statuses.append(sidecar.post(512, seed=len(statuses)))
        assert sum(f.stat().st_blocks * 512 for f in sidecars.data.iterdir()) <= quota
        assert len(statuses) < 200
    accepted = statuses.count(200)
    assert accepted > 5
    book = sidecar.ledger()
    assert (book["acknowledged"], book["refused"]) == (512 * accepted, {"quota": 512})
    until(lambda: sidecar.get("/health")[0] == 503, "the circuit opens and health says so")
    a.fail("ok")
    sidecar.settled()
    until(lambda: sidecar.post(512, seed=1000) == 200, "spans are taken again once there is room")
    sidecar.settled()
    assert a.json("/stats")["distinct"] == 512 * (accepted + 1)


def test_the_application_goes_on_when_the_sidecar_is_dead(
    sidecars: Sidecars, start_backend: Start, start_agent: StartAgent
) -> None:
    a, b = start_backend("--name", "a"), start_backend("--name", "b")
    sidecar = sidecars.start(config=two(a, b))
    environment = towards(sidecar, "http/protobuf")
    agent = start_agent(AGENT_RUNS="60", AGENT_RUNS_PER_SECOND="20", **environment)
    agent.until("run 5")
    sidecar.kill()
    summary = agent.summary()
    assert summary["runs"] == 60
    assert summary["slowest_run_seconds"] < 1


def test_a_sidecar_ends_with_a_clear_message_when_its_port_is_taken(sidecars: Sidecars, start_backend: Start) -> None:
    a = start_backend("--name", "a")
    sidecars.write(manifest(otlp("a", "GRPC", a.grpc)))
    taken = f"--grpc-listen=127.0.0.1:{a.grpc}"
    sidecar = sidecars.launch(f"--config={sidecars.config}", f"--data-dir={sidecars.data}", taken)
    assert sidecar.process.wait(timeout=20) == 1
    assert sidecar.logged(f"cannot listen on 127.0.0.1:{a.grpc}")


def test_the_ledger_and_the_metrics_agree_and_survive_a_restart(sidecars: Sidecars, start_backend: Start) -> None:
    a = start_backend("--name", "a")
    sidecar = sidecars.start(config=manifest(otlp("a", "GRPC", a.grpc)))
    assert sidecar.post(12, seed=1) == 200
    sidecar.settled()
    a.fail("refuse")
    assert sidecar.post(3, seed=2) == 200
    book = sidecar.settled()
    counts = {"start": 0, "pending": 0, "delivered": 12, "dropped": 3, "sampled_out": 0, "unmatched": 0}
    assert book["delivery"]["a"] == counts
    assert 'tracekeeper_spans_dropped_total{delivery="a",reason="refused"} 3.0' in sidecar.get("/metrics")[1]
    sidecar.stop()
    assert sidecars.start().settled() == book


def test_flush_without_a_policy_says_that_nothing_was_delivered(sidecars: Sidecars) -> None:
    sidecar = sidecars.start(f"--policy={sidecars.folder / 'policy.json'}", "--storage-size=64Mi")
    assert sidecar.post(7, seed=1) == 200
    done = flush(sidecar, "20s")
    assert done.returncode == 1
    assert "7 spans pending: no policy names a backend" in done.stderr
    assert sidecar.stop() == 0
    (last,) = sidecar.logged("unsent")
    assert last["unsent"] == 7


def test_a_stop_before_the_log_could_be_opened_claims_nothing(sidecars: Sidecars, start_backend: Start) -> None:
    a = start_backend("--name", "a")
    sidecars.data.write_text("a file, where a directory is needed")
    sidecar = sidecars.start(config=manifest(otlp("a", "GRPC", a.grpc)))
    until(lambda: sidecar.logged("cannot be opened"), "the problem is logged")
    assert sidecar.stop(deadline=10) == 0
    assert sidecar.logged("stopped without delivering.*it must be a directory")
    assert not sidecar.logged("has been delivered")


def test_counts_of_refused_filtered_and_suspended_spans_survive_a_stop(
    sidecars: Sidecars, start_backend: Start
) -> None:
    a = start_backend("--name", "a")
    sidecars.data.mkdir()
    earlier = Intake(refused=Counter(full=4), filtered=Counter(noise=6))
    CursorStore(str(sidecars.data), SystemFiles()).save_intake(earlier)
    sidecar = sidecars.start(config=manifest(otlp("a", "GRPC", a.grpc), suspend=True))
    until(lambda: not sidecar.health()["enabled"], "suspended")
    assert sidecar.post(300, seed=1) == 200
    sidecar.stop()
    again = sidecars.start()
    assert until(lambda: again.ledger()["suspended"], "the counts are there again") == 300
    assert again.ledger()["refused"] == {"full": 4}
    assert again.ledger()["received"] == 4 + 6 + 300


@pytest.mark.parametrize("timeout", ["nan", "-1", "301", "soon"])
def test_a_flush_without_an_end_is_refused(sidecars: Sidecars, start_backend: Start, timeout: str) -> None:
    a = start_backend("--name", "a")
    sidecar = sidecars.start(config=manifest(otlp("a", "GRPC", a.grpc)))
    request = urllib.request.Request(f"http://127.0.0.1:{sidecar.admin}/flush?timeout={timeout}", method="POST")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=10)
    assert caught.value.code == 400
    caught.value.close()
