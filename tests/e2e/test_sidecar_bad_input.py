"""Everything that can be wrong with what the sidecar is given: each says what and where, and the process lives."""

from __future__ import annotations

import base64
import errno
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from programs import Backend
from sidecar_process import SIDECAR, RunningSidecar, Sidecars, manifest, otlp, until

Start = Callable[..., Backend]


def check(file: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*SIDECAR, "check", "--config", str(file)], capture_output=True, text=True, timeout=30, check=False
    )


EVERY_FIELD_WRONG: dict[str, Any] = {
    "suspend": "maybe",
    "selector": {"matchLabels": ["x"]},
    "logLevel": "Loud",
    "sidecar": {
        "resources": {"requests": {"cpu": "much"}, "limits": 5},
        "ports": {"metrics": 0},
        "receivers": {"otlp": {"grpcPort": 70000, "httpPort": "x"}},
        "storage": {"type": "Tape", "size": "1Zb", "history": "x", "ephemeral": 3},
        "drainTimeout": "soon",
    },
    "backends": [
        {
            "name": "Not A Name",
            "type": "OTLP",
            "otlp": {
                "protocol": "SOAP",
                "endpoint": "tempo:4317",
                "headers": [{"name": "bad header"}],
                "auth": {"type": "Bearer"},
                "tls": {"ca": {"secretKeyRef": {"name": "x"}}},
                "compression": "Zip",
                "maxConnections": 0,
                "shardBy": "Span",
            },
            "timeout": "-1s",
            "batch": {"maxSpans": 0, "maxBytes": "x", "maxDelay": 5},
            "retry": {"initialBackoff": "x", "maxBackoff": [], "maxAttempts": 0, "budget": 2, "statusCodes": [1]},
            "circuitBreaker": {
                "state": "Open",
                "failureThreshold": 0,
                "window": "x",
                "failureRate": -1,
                "slowCallRate": "x",
                "slowCallDuration": "x",
                "minimumCalls": 0,
                "openFor": "x",
                "maxOpenFor": "x",
                "successThreshold": 0,
            },
        }
    ],
    "buffer": {"whenFull": "Explode", "maxSpans": 0, "maxAge": "x", "deadLetterSize": "x"},
    "delivery": [
        {
            "name": "primary",
            "backends": ["nobody"],
            "spans": "Some",
            "match": 3,
            "guarantee": "Firm",
            "from": "x",
            "maxLag": "x",
        }
    ],
}

FIELDS = """
suspend selector.matchLabels logLevel sidecar.resources.requests sidecar.resources.limits sidecar.ports.metrics
sidecar.receivers.otlp.grpcPort sidecar.receivers.otlp.httpPort sidecar.storage.type sidecar.storage.size
sidecar.storage.history sidecar.storage.ephemeral
sidecar.drainTimeout backends[0].name backends[0].otlp.protocol backends[0].otlp.endpoint
backends[0].otlp.headers[0] backends[0].otlp.auth backends[0].otlp.tls.ca backends[0].otlp.compression
backends[0].timeout backends[0].batch.maxSpans backends[0].batch.maxBytes backends[0].batch.maxDelay
backends[0].retry.initialBackoff backends[0].retry.maxBackoff backends[0].circuitBreaker.failureThreshold
backends[0].circuitBreaker.openFor backends[0].circuitBreaker.maxOpenFor delivery[0].backends[0]
backends[0].retry.maxAttempts backends[0].retry.budget backends[0].retry.statusCodes[0]
backends[0].circuitBreaker.state backends[0].circuitBreaker.window backends[0].circuitBreaker.failureRate
backends[0].circuitBreaker.slowCallRate backends[0].circuitBreaker.slowCallDuration
backends[0].circuitBreaker.minimumCalls backends[0].circuitBreaker.successThreshold
backends[0].otlp.maxConnections backends[0].otlp.shardBy
buffer.whenFull buffer.maxSpans buffer.maxAge buffer.deadLetterSize
delivery[0].spans delivery[0].match delivery[0].guarantee delivery[0].from delivery[0].maxLag
""".split()


def test_a_config_with_every_field_wrong_has_every_fault_reported_at_once(sidecars: Sidecars) -> None:
    sidecars.write({**manifest(), "spec": EVERY_FIELD_WRONG})
    done = check(sidecars.config)
    assert done.returncode == 2
    missing = [field for field in FIELDS if f"spec.{field}" not in done.stderr]
    assert not missing, done.stderr
    assert f"{sidecars.config}:" in done.stderr.splitlines()[0]


def test_run_with_a_faulty_manifest_ends_with_2_and_the_same_words(sidecars: Sidecars) -> None:
    sidecars.write({**manifest(), "spec": EVERY_FIELD_WRONG})
    command = [*SIDECAR, "run", "--config", str(sidecars.config), "--data-dir", str(sidecars.data)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    said = [line for line in check(sidecars.config).stderr.splitlines() if "spec." in line]
    assert [line for line in done.stderr.splitlines() if "spec." in line] == said
    assert not sidecars.data.exists()


def test_a_manifest_that_is_broken_later_leaves_the_last_good_one_in_force(
    sidecars: Sidecars, start_backend: Start
) -> None:
    a, b = start_backend("--name", "a"), start_backend("--name", "b")
    sidecar = sidecars.start(config=manifest(otlp("a", "GRPC", a.grpc)))
    assert sidecar.post(5, seed=1) == 200
    until(lambda: [x["name"] for x in sidecar.health()["backends"]] == ["a"], "the first manifest is in force")
    sidecars.write({**manifest(), "spec": {"backends": "none"}})
    until(lambda: any("spec.backends" in w for w in sidecar.health()["warnings"]), "health names the fault")
    assert sidecar.post(5, seed=2) == 200
    sidecar.settled()
    assert a.json("/stats")["distinct"] == 10
    sidecars.write(manifest(otlp("b", "HTTP", b.http)))
    until(lambda: [x["name"] for x in sidecar.health()["backends"]] == ["b"], "the corrected manifest is in force")
    assert sidecar.post(5, seed=3) == 200
    sidecar.settled()
    assert b.json("/stats")["distinct"] == 5


def test_a_missing_secret_is_named_and_its_arrival_is_noticed(sidecars: Sidecars, start_backend: Start) -> None:
    a = start_backend("--name", "a")
    ref = {"secretKeyRef": {"name": "tempo", "key": "token"}}
    auth = {"type": "Bearer", "bearer": ref}
    sidecars.write(manifest(otlp("a", "GRPC", a.grpc, otlp={"auth": auth})))
    secrets = sidecars.folder / "secrets"
    secrets.mkdir()
    sidecar = sidecars.start(f"--secrets-dir={secrets}")
    assert sidecar.post(5, seed=1) == 200
    until(lambda: "tempo" in str(sidecar.lines()) and "token" in str(sidecar.lines()), "the missing secret is named")
    assert a.json("/stats")["distinct"] == 0
    assert sidecar.get("/health")[0] == 503
    (secrets / "tempo").mkdir()
    (secrets / "tempo" / "token").write_text("s3cret")
    sidecar.settled()
    assert a.json("/stats")["distinct"] == 5
    assert a.json("/requests")[-1]["headers"]["authorization"] == "Bearer s3cret"


def test_an_unreachable_backend_is_named_with_the_cause(sidecars: Sidecars) -> None:
    sidecar = sidecars.start("--drain-timeout=0s", config=manifest(otlp("far", "HTTP", 9)))
    assert sidecar.post(5, seed=1) == 200
    until(lambda: sidecar.circuit("far") in ("Open", "HalfOpen"), "the breaker opens")
    (backend,) = sidecar.health()["backends"]
    assert "far" in backend["lastError"]
    assert "refused" in backend["lastError"].lower()
    assert sidecar.ledger()["delivery"]["far"]["pending"] == 5


def test_a_backend_that_refuses_the_spans_is_counted_and_named(sidecars: Sidecars, start_backend: Start) -> None:
    a = start_backend("--name", "a")
    a.fail("refuse")
    sidecar = sidecars.start(config=manifest(otlp("a", "HTTP", a.http)))
    assert sidecar.post(5, seed=1) == 200
    assert sidecar.settled()["delivery"]["a"]["dropped"] == 5
    (line,) = until(lambda: sidecar.logged("dropped"), "the drop is logged")
    assert (line["backend"], line["reason"]) == ("a", "refused")


def policy(revision: int, **spec: Any) -> str:
    config = {
        "name": "agents",
        "namespace": "shop",
        "uid": "1",
        "generation": 1,
        "created": "2026-01-01T00:00:00Z",
        "retired": False,
        "spec": spec,
    }
    secrets = {"tempo": {"token": base64.b64encode(b"x").decode()}}
    return json.dumps({"formatVersion": 1, "revision": revision, "configs": [config], "secrets": secrets})


def put(file: Path, text: str) -> None:
    new = file.with_suffix(".new")
    new.write_text(text)
    os.replace(new, file)


def test_a_pods_sidecar_starts_without_a_policy_keeps_spans_and_delivers_once_it_comes(
    sidecars: Sidecars, start_backend: Start
) -> None:
    a = start_backend("--name", "a")
    file = sidecars.folder / "policy.json"
    sidecar = sidecars.start(f"--policy={file}", "--storage-size=64Mi")
    assert sidecar.get("/startupz")[0] == sidecar.get("/livez")[0] == 200
    assert sidecar.post(5, seed=1) == 200
    assert "no policy yet" in str(sidecar.health()["warnings"])
    put(file, policy(1, backends=[otlp("a", "GRPC", a.grpc)]))
    sidecar.settled()
    assert a.json("/stats")["distinct"] == 5


@pytest.mark.parametrize("text", ["", "{", "[]", "\x00", policy(1, backends="none"), policy(1, sidecar=7)])
def test_nothing_that_a_policy_says_ends_a_pods_sidecar(sidecars: Sidecars, start_backend: Start, text: str) -> None:
    a = start_backend("--name", "a")
    file = sidecars.folder / "policy.json"
    put(file, text)
    sidecar = sidecars.start(f"--policy={file}", "--storage-size=64Mi")
    until(lambda: "policy:" in str(sidecar.health()["warnings"]), "health names the fault")
    assert sidecar.post(5, seed=1) == 200
    put(file, policy(2, backends=[otlp("a", "GRPC", a.grpc)]))
    sidecar.settled()
    assert a.json("/stats")["distinct"] == 5


def test_suspend_answers_ok_stores_nothing_and_counts(sidecars: Sidecars, start_backend: Start) -> None:
    a = start_backend("--name", "a")
    sidecar = sidecars.start(config=manifest(otlp("a", "GRPC", a.grpc), suspend=True))
    until(lambda: not sidecar.health()["enabled"], "suspended")
    assert sidecar.post(5, seed=1) == 200
    book = sidecar.ledger()
    assert (book["received"], book["acknowledged"], book["suspended"]) == (5, 0, 5)
    sidecars.write(manifest(otlp("a", "GRPC", a.grpc)))
    until(lambda: sidecar.health()["enabled"], "no longer suspended")
    assert sidecar.post(7, seed=2) == 200
    sidecar.settled()
    assert a.json("/stats")["distinct"] == 7


def test_the_log_level_reloads(sidecars: Sidecars, start_backend: Start) -> None:
    a = start_backend("--name", "a")
    sidecar = sidecars.start(config=manifest(otlp("a", "GRPC", a.grpc), logLevel="Error"))
    sidecars.write(manifest(otlp("a", "GRPC", a.grpc), logLevel="Debug"))
    until(lambda: sidecar.logged("policy in force"), "lines at Info appear")


def test_a_data_directory_that_cannot_be_written_is_named_and_found_again_once_it_can(
    sidecars: Sidecars, start_backend: Start
) -> None:
    a = start_backend("--name", "a")
    sidecars.data.write_text("a file, where a directory is needed")
    sidecar = sidecars.start(config=manifest(otlp("a", "GRPC", a.grpc)))
    assert sidecar.post(5, seed=1) == 503
    status, health = sidecar.get("/health")
    assert status == 503
    assert str(sidecars.data) in health
    assert sidecar.get("/livez")[0] == 200
    sidecars.data.unlink()
    until(lambda: sidecar.post(5, seed=2) == 200, "spans are taken", deadline=40)
    sidecar.settled()
    assert a.json("/stats")["distinct"] == 5


def test_a_read_only_data_directory_refuses_and_the_process_lives(sidecars: Sidecars, start_backend: Start) -> None:
    a = start_backend("--name", "a")
    sidecars.data.mkdir()
    sidecar = in_mount_namespace(
        sidecars, f"mount -t tmpfs -o ro,size=1m none {sidecars.data}", manifest(otlp("a", "GRPC", a.grpc))
    )
    assert sidecar.post(5, seed=1) == 503
    assert os.strerror(errno.EROFS) in sidecar.get("/health")[1]
    assert sidecar.get("/livez")[0] == 200


def test_a_full_disk_refuses_keeps_what_was_acknowledged_and_recovers(sidecars: Sidecars, start_backend: Start) -> None:
    a = start_backend("--name", "a")
    a.fail("unavailable")
    sidecars.data.mkdir()
    sidecar = in_mount_namespace(
        sidecars, f"mount -t tmpfs -o size=8m none {sidecars.data}", manifest(otlp("a", "GRPC", a.grpc))
    )
    statuses: list[int] = []
    while 429 not in statuses:
        statuses.append(sidecar.post(512, seed=len(statuses)))
        assert len(statuses) < 300
    assert set(statuses) == {200, 429}
    assert sidecar.ledger()["refused"] == {"disk": 512}
    assert sidecar.get("/health")[0] == 503
    assert "tracekeeper_log_available 0.0" in sidecar.get("/metrics")[1]
    a.fail("ok")
    sidecar.settled()
    until(lambda: sidecar.post(512, seed=1000) == 200, "spans are taken again once there is room")
    sidecar.settled()
    assert a.json("/stats")["distinct"] == 512 * (statuses.count(200) + 1)


def in_mount_namespace(sidecars: Sidecars, mount: str, config: dict[str, Any]) -> RunningSidecar:
    """A sidecar whose data directory is a mount of its own, in namespaces of its own, so that no root is needed."""
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    unshare = shutil.which("unshare")
    assert unshare, "util-linux is needed"
    sidecars.write(config)
    source = (f"--config={sidecars.config}", f"--data-dir={sidecars.data}", "--storage-size=1Gi")
    prefix = [unshare, *user, "--mount", "sh", "-c", f'{mount} && exec "$@"', "sh"]
    return sidecars.launch(*source, prefix=prefix).ready()


def test_two_sidecars_never_share_a_data_directory(sidecars: Sidecars, start_backend: Start) -> None:
    a = start_backend("--name", "a")
    first = sidecars.start(config=manifest(otlp("a", "GRPC", a.grpc)))
    assert first.post(5, seed=1) == 200
    second = sidecars.start()
    assert second.post(5, seed=2) == 503
    assert "in use by another process" in second.get("/health")[1]
    assert first.post(5, seed=3) == 200
    first.stop()
    until(lambda: second.post(5, seed=4) == 200, "the second takes over once the first has ended", deadline=40)


def test_a_damaged_log_costs_what_was_damaged_and_nothing_else(sidecars: Sidecars, start_backend: Start) -> None:
    a = start_backend("--name", "a")
    a.fail("unavailable")
    sidecar = sidecars.start("--drain-timeout=0s", config=manifest(otlp("a", "GRPC", a.grpc)))
    for seed in range(10):
        assert sidecar.post(10, seed=seed) == 200
    sidecar.kill()
    (segment,) = sidecars.data.glob("*.seg")
    with segment.open("r+b") as file:
        data = file.read()
        place = data.index(b"span 5", len(data.rstrip(b"\0")) // 2)
        file.seek(place)
        file.write(b"ruined")
    a.fail("ok")
    again = sidecars.start()
    book = again.settled()
    assert book["acknowledged"] == 100
    entry = book["delivery"]["a"]
    assert (entry["start"], entry["pending"], entry["delivered"], entry["dropped"]) == (0, 0, 90, 10)
    assert a.json("/stats")["distinct"] == 90
    assert 'reason="damaged"} 10.0' in again.get("/metrics")[1]
