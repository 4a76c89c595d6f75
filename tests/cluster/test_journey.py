"""What a user does on a real cluster: install, apply, annotate, see the spans; and all that may go wrong then."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from cluster.errors import CommandFailed
from cluster.node import Cluster
from cluster.wait import wait_for
from cluster.workload import SIDECAR, Workload, otlp

pytestmark = pytest.mark.cluster

TWO = (otlp("backend-a", "GRPC"), otlp("backend-b", "HTTP"))
AT_ONCE = 10.0
"""Seconds that a sidecar may hold its application up on a busy machine. One that waited for its policy, or read its
whole log, would take longer: until the policy comes, or the startup probe has failed 180 times.
"""


@pytest.fixture
def user(cluster: Cluster, tracekeeper: str, demo_image: str, namespace: str) -> Workload:
    """A namespace to work in, on a cluster where the chart is installed."""
    assert tracekeeper
    return Workload(cluster, namespace, demo_image)


def test_every_span_of_an_annotated_pod_arrives_once_in_both_backends(user: Workload) -> None:
    user.backends("backend-a", "backend-b")
    user.configured(*TWO)
    pod = user.deployed(runs=50)
    summary = user.summary(pod)
    book = user.settled(pod)
    assert summary["created"] == summary["acknowledged"] == book["acknowledged"] == 200
    for name in ("backend-a", "backend-b"):
        stats = user.backend(name)
        assert (stats["distinct"], stats["duplicates"]) == (200, 0)
        entry = book["delivery"][name]
        assert (entry["start"], entry["delivered"], entry["dropped"], entry["pending"]) == (0, 200, 0, 0)
    kind, name, message = user.event("Injected")
    assert (kind, name) == ("Deployment", "agent")
    assert f"{user.namespace}/agents@1" in message
    print(f"sent {summary['created']}, acknowledged {book['acknowledged']}, delivered 200 + 200")


def test_a_grpc_application_is_served_when_its_annotation_asks_for_grpc(user: Workload) -> None:
    user.backends("backend-a")
    user.configured(TWO[0])
    user.agent(runs=10, annotations={"tracekeeper.dev/otlp-protocol": "grpc"})
    assert user.summary()["protocol"] == "grpc"
    user.settled()
    assert user.backend("backend-a")["distinct"] == 40


def test_a_backend_taken_away_and_brought_back_misses_nothing_and_holds_up_nobody(user: Workload) -> None:
    user.backends("backend-a", "backend-b")
    user.configured(*TWO)
    user.agent(runs=100, rate=20)
    user.fail("backend-a", "reset")
    wait_for(lambda: user.circuit("backend-a") == "Open", 30, lambda: f"the breaker opens: {user.health()}")
    summary = user.summary()
    wait_for(
        lambda: user.backend("backend-b")["distinct"] == 400, 30, lambda: f"b has all: {user.backend('backend-b')}"
    )
    assert user.ledger()["delivery"]["backend-a"]["pending"] > 0
    user.fail("backend-a", "ok")
    user.settled()
    assert user.ids("backend-a") == user.ids("backend-b") == user.acknowledged()
    assert summary["acknowledged"] == 400
    assert user.circuit("backend-a") == "Closed"


def acknowledges_more_than(user: Workload, spans: int) -> Callable[[], bool]:
    return lambda: bool(user.stats()["acknowledged"] > spans)


def has_restarted(user: Workload, times: int) -> Callable[[], bool]:
    return lambda: user.restarts(SIDECAR) == times


def test_sigkill_of_the_sidecar_in_mid_stream_loses_nothing_acknowledged(user: Workload) -> None:
    user.backends("backend-a", "backend-b")
    user.configured(*TWO)
    user.agent(runs=150, rate=15)
    for kill in (1, 2):
        wait_for(acknowledges_more_than(user, 150 * kill), 60, lambda: f"{user.stats()}")
        user.cluster.kill_container(user.namespace, "agent-0", SIDECAR)
        wait_for(has_restarted(user, kill), 60, "the sidecar's container is started again")
    summary = user.summary()
    acknowledged = user.acknowledged()
    book = user.settled()
    for name in ("backend-a", "backend-b"):
        assert acknowledged <= user.ids(name)
        stats = user.backend(name)
        assert stats["duplicates"] < len(acknowledged) / 4
        print(f"{name}: acknowledged {len(acknowledged)}, distinct {stats['distinct']}, twice {stats['duplicates']}")
    assert user.restarts("app") == 0
    assert summary["runs"] == 150
    assert book["acknowledged"] >= len(acknowledged)


def test_a_changed_config_is_applied_by_the_running_sidecar_without_a_restart(user: Workload) -> None:
    user.backends("backend-a", "backend-b")
    user.configured(TWO[0])
    user.agent(runs=10)
    user.summary()
    user.settled()
    before = user.cluster.container_id(user.namespace, "agent-0", SIDECAR)
    user.configured(*TWO, logLevel="Debug")
    wait_for(
        lambda: {b["name"] for b in user.health()["backends"]} == {"backend-a", "backend-b"},
        120,
        lambda: f"the new policy is in force: {user.health()}",
        interval=1,
    )
    assert user.cluster.container_id(user.namespace, "agent-0", SIDECAR) == before
    assert user.restarts(SIDECAR) == 0
    user.configured(*TWO, suspend=True)
    wait_for(lambda: not user.health()["enabled"], 120, lambda: f"suspended: {user.health()}", interval=1)


def test_a_pod_without_any_policy_starts_at_once_and_is_served_when_one_comes(user: Workload) -> None:
    user.agent(runs=10)
    assert user.start_delay() <= AT_ONCE
    summary = user.summary()
    assert summary["acknowledged"] == 40
    assert "no policy yet" in str(user.health()["warnings"])
    user.backends("backend-a")
    user.configured(TWO[0])
    wait_for(lambda: bool(user.health()["config"]), 120, lambda: f"{user.health()}", interval=1)
    user.settled()
    assert user.ids("backend-a") == user.acknowledged()


def host_volume(path: str) -> list[dict[str, Any]]:
    """A volume of the pod's own in the place of the buffer, as a claim of a StatefulSet would be."""
    return [{"name": "tracekeeper-buffer", "hostPath": {"path": path, "type": "Directory"}}]


LOG_WRITER = """
import asyncio, sys
from tracekeeper_sidecar.clock import SystemClock
from tracekeeper_sidecar.log.files import SystemFiles
from tracekeeper_sidecar.log.log import Log
from otlp_requests import body
async def fill(directory, size):
    log = Log.open(directory, files=SystemFiles(), clock=SystemClock(), quota=2 << 30)
    request = body(512, text="x" * 600)
    for _ in range(size // len(request) + 1):
        await log.append(request, 512)
    print(log.end.seq)
    await log.close()
asyncio.run(fill(sys.argv[1], int(sys.argv[2])))
"""


def write_log(directory: str, size: int) -> int:
    """Fill a log with `size` bytes in a process of its own; the number of spans in it."""
    command = [sys.executable, "-c", LOG_WRITER, directory, str(size)]
    tests = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    environment = {**os.environ, "PYTHONPATH": tests}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True, env=environment)
    return int(done.stdout)


@pytest.mark.timeout(240, func_only=True)
@pytest.mark.parametrize("state", ["damaged", "gigabyte"])
def test_a_pod_whose_log_is_damaged_or_huge_starts_at_once(
    user: Workload, tmp_path_factory: pytest.TempPathFactory, state: str
) -> None:
    folder = tmp_path_factory.mktemp(state)
    spans = write_log(str(folder), 1 << 30 if state == "gigabyte" else 1 << 20)
    if state == "damaged":
        for file in folder.glob("*.seg"):
            file.write_bytes(b"ruined" * (file.stat().st_size // 6))
    subprocess.run(["chown", "-R", "65532:65532", str(folder)], check=True)
    os.chmod(folder.parent, 0o755)  # The kubelet mounts the folder itself; its parents only need to be passable.
    user.backends("backend-a")
    user.configured(TWO[0], sidecar={"storage": {"size": "2Gi"}})
    user.agent(runs=10, volumes=host_volume(str(folder)))
    assert user.start_delay() <= AT_ONCE
    summary = user.summary()
    assert summary["acknowledged"] == 40
    book = user.settled(deadline=150)
    assert user.acknowledged() <= user.ids("backend-a")
    if state == "gigabyte":
        assert book["acknowledged"] == spans + 40
    user.delete("agent-0")


def test_the_application_goes_on_unhurt_when_its_sidecar_is_dead_for_good(user: Workload) -> None:
    user.backends("backend-a")
    user.configured(TWO[0])
    user.agent(runs=150, rate=10)
    wait_for(lambda: user.stats()["acknowledged"] > 40, 60, lambda: f"{user.stats()}")
    missing = {"spec": {"initContainers": [{"name": SIDECAR, "image": "localhost/no-such-image:0"}]}}
    user.cluster.kubectl("patch", "pod", "agent-0", "-n", user.namespace, "-p", json.dumps(missing))
    summary = wait_for(
        lambda: ((s := user.stats())["done"] and s) or None,
        60,
        lambda: f"the agent goes on: {user.stats()}",
        interval=0.5,
    )
    assert summary["runs"] == 150
    assert summary["slowest_run_seconds"] < 2
    assert user.restarts("app") == 0
    with pytest.raises(Exception, match="does not run"):
        user.cluster.container_id(user.namespace, "agent-0", SIDECAR)


@pytest.mark.timeout(240, func_only=True)
def test_with_a_tenth_of_a_core_the_sidecar_holds_20_spans_a_second_in_256_mebibytes(user: Workload) -> None:
    user.backends("backend-a", "backend-b")
    limits = {"requests": {"cpu": "50m", "memory": "96Mi"}, "limits": {"cpu": "100m", "memory": "256Mi"}}
    user.configured(*TWO, sidecar={"resources": limits})
    user.agent(runs=150, rate=5)  # 20 spans/s for 30 s
    summary = user.summary()
    assert summary["created"] == summary["acknowledged"] == 600
    user.settled()
    assert user.restarts(SIDECAR) == 0
    for name in ("backend-a", "backend-b"):
        assert user.backend(name)["distinct"] == 600
    print(f"anonymous memory: {user.health()['memory']['anonymousBytes'] / 1e6:.1f} MB")


def test_a_pod_that_did_not_ask_is_not_touched(user: Workload) -> None:
    user.configured(TWO[0])
    user.agent(runs=1, injected=False)
    pod = user.cluster.get("pod", "agent-0", namespace=user.namespace)
    assert "initContainers" not in pod["spec"]
    assert not any(key.startswith("tracekeeper.dev/") for key in pod["metadata"].get("annotations", {}))


def test_a_pod_on_the_hosts_network_is_skipped_with_a_reason_in_an_event(user: Workload) -> None:
    name = user.deployed(runs=1, hostNetwork=True, wait=False)
    pod = user.cluster.get("pod", name, namespace=user.namespace)
    assert "initContainers" not in pod["spec"]
    kind, owner, message = user.event("InjectionSkipped")
    assert (kind, owner) == ("Deployment", "agent")
    assert message.startswith("HostNetwork: ")


def test_a_faulty_config_is_refused_by_kubectl_apply_with_every_fault(user: Workload) -> None:
    bad = otlp("backend-a")
    bad["otlp"]["endpoint"] = "http://backend a:4317"
    with pytest.raises(CommandFailed) as caught:
        user.config(bad, delivery=[{"name": "primary", "backends": ["nobody"]}])
    assert "spec.backends[0].otlp.endpoint" in str(caught.value)
    assert "delivery must name backends that are listed" in str(caught.value)


def test_a_missing_secret_is_named_in_the_status_and_its_arrival_is_noticed(user: Workload) -> None:
    user.backends("backend-a")
    secret = {"secretKeyRef": {"name": "tempo", "key": "token"}}
    user.config(otlp("backend-a", "GRPC", auth={"type": "Bearer", "bearer": secret}))
    condition = user.condition("ResolvedRefs", "False")
    assert "tempo" in condition["message"]
    user.cluster.kubectl("create", "secret", "generic", "tempo", "--from-literal=token=s3cret", "-n", user.namespace)
    user.condition("Ready", "True", deadline=120)
    user.agent(runs=5)
    user.summary()
    user.settled(deadline=120)
    headers = user.backend("backend-a", "/requests")[-1]["headers"]
    assert headers["authorization"] == "Bearer s3cret"


def test_the_command_line_shows_status_and_ledger(user: Workload) -> None:
    user.backends("backend-a")
    user.configured(TWO[0])
    user.agent(runs=5)
    user.summary()
    user.settled()
    user.condition("Delivering", "True", deadline=60)

    def tracekeeper(*arguments: str) -> str:
        command = [sys.executable, "-m", "tracekeeper_cli", *arguments, "-n", user.namespace]
        return user.cluster.run(command).stdout

    status = tracekeeper("status").splitlines()
    assert status[1].split() == [f"{user.namespace}/agents", "True", "True", "True", "True"]
    ledger = tracekeeper("ledger", "agent-0")
    assert "20 (backend-a 20)" in ledger
    assert ledger.rstrip().endswith("yes")


@pytest.mark.timeout(240, func_only=True)
def test_a_deleted_config_leaves_nothing_of_ours_in_the_namespace(user: Workload) -> None:
    user.backends("backend-a")
    user.configured(TWO[0])
    assert user.cluster.find("secret", "tracekeeper-policy", namespace=user.namespace)
    user.cluster.kubectl("delete", "tracingconfigs.tracekeeper.dev", "agents", "-n", user.namespace, "--wait=true")
    wait_for(
        lambda: user.cluster.find("secret", "tracekeeper-policy", namespace=user.namespace) is None,
        120,
        "the policy goes",
    )


def test_a_deleted_config_has_its_sidecars_deliver_what_they_hold_and_take_nothing_more(user: Workload) -> None:
    user.backends("backend-a")
    user.configured(TWO[0])
    user.fail("backend-a", "unavailable")
    user.agent(runs=100_000, rate=5)
    wait_for(acknowledges_more_than(user, 40), 60, lambda: f"{user.stats()}")
    user.cluster.kubectl("delete", "tracingconfigs.tracekeeper.dev", "agents", "-n", user.namespace, "--wait=true")
    wait_for(lambda: user.ledger()["suspended"] > 0, 120, lambda: f"it has retired: {user.health()}", interval=1)
    held = user.ledger()
    assert held["delivery"]["backend-a"]["pending"] > 0
    assert not user.health()["enabled"]
    # The application is answered OK all the same.
    before = user.stats()
    wait_for(acknowledges_more_than(user, before["acknowledged"] + 20), 60, lambda: f"{user.stats()}")
    assert user.stats()["failed"] == before["failed"]
    user.fail("backend-a", "ok")
    book = user.settled()
    assert book["acknowledged"] == held["acknowledged"] == user.backend("backend-a")["distinct"]
    assert book["suspended"] > held["suspended"]
    assert user.cluster.find("secret", "tracekeeper-policy", namespace=user.namespace), "new pods of it retire as well"
