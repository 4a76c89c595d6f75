"""What goes on while a part of the operator, or the API server, is away: on the real cluster, with two controllers."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cluster import fixtures
from cluster.errors import ClusterError
from cluster.node import Cluster
from cluster.wait import wait_for
from cluster.workload import SIDECAR, Workload, otlp

pytestmark = pytest.mark.cluster

LEASE = "tracekeeper-controller"
ADAPTIVE = {"decisionWait": "1s", "default": {"type": "Adaptive", "adaptive": {"targetTracesPerSecond": 1000}}}
AWAY = 15.0
"""Seconds without an API server: more than the ten after which a leader gives up."""


@dataclass
class Operator:
    """The installed operator."""

    cluster: Cluster

    def pods(self, component: str) -> dict[str, Any]:
        """Its pods that are not about to go, by name."""
        found = self.cluster.get("pods", "-l", f"app.kubernetes.io/component={component}", namespace=fixtures.SYSTEM)[
            "items"
        ]
        return {pod["metadata"]["name"]: pod for pod in found if "deletionTimestamp" not in pod["metadata"]}

    def leader(self) -> str:
        """The pod of the controller that holds the Lease; empty when none does."""
        lease = self.cluster.get("lease", LEASE, namespace=fixtures.SYSTEM)
        return str(lease.get("spec", {}).get("holderIdentity") or "").rpartition("_")[0]

    def led_to(self) -> list[str]:
        """The pods to which the control stream's Service leads."""
        where = ("-l", f"kubernetes.io/service-name={fixtures.RELEASE}-control")
        slices = self.cluster.get("endpointslices", *where, namespace=fixtures.SYSTEM)["items"]
        endpoints = [endpoint for found in slices for endpoint in found.get("endpoints") or []]
        return [str(end["targetRef"]["name"]) for end in endpoints if end["conditions"]["ready"]]

    def settled(self, deadline: float = 60) -> str:
        """The leader, once the Service leads to it and nowhere else."""
        wait_for(
            lambda: self.leader() and self.led_to() == [self.leader()],
            deadline,
            lambda: f"one leads, and is found: {self.leader()} {self.led_to()} {list(self.pods('controller'))}",
            interval=0.5,
        )
        return self.leader()

    def rollout(self, component: str) -> None:
        """Replace all its pods, as an upgrade does."""
        deployment = f"deployment/{fixtures.RELEASE}-{component}"
        self.cluster.kubectl("rollout", "restart", deployment, "-n", fixtures.SYSTEM)
        self.done(component)

    def done(self, component: str) -> None:
        deployment = f"deployment/{fixtures.RELEASE}-{component}"
        self.cluster.kubectl("rollout", "status", deployment, "-n", fixtures.SYSTEM, "--timeout=90s", timeout=100)

    def evict(self, component: str) -> str:
        """Have one pod go as `kubectl drain` does, which asks the PodDisruptionBudget; its name."""
        name = sorted(self.pods(component))[0]
        meta = {"name": name, "namespace": fixtures.SYSTEM}
        body = json.dumps({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": meta})
        path = f"/api/v1/namespaces/{fixtures.SYSTEM}/pods/{name}/eviction"
        self.cluster.kubectl("create", "--raw", path, "-f", "-", stdin=body)
        return name

    def certificate(self) -> tuple[str, str]:
        """What is served, and the newest authority."""
        data = self.cluster.get("secret", "tracekeeper-webhook-tls", namespace=fixtures.SYSTEM)["data"]
        authorities = base64.b64decode(data["ca.crt"]).decode().split("-----BEGIN")
        return data["tls.crt"], authorities[1]

    @contextmanager
    def api_server_stopped(self) -> Iterator[None]:
        """It stands still meanwhile: connections stay, and nothing is answered."""
        pid = _process("kube-apiserver", str(self.cluster.state))
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)


def _process(program: str, argument: str) -> int:
    """The process of this machine that runs a program with an argument like this."""
    for entry in Path("/proc").iterdir():
        try:
            words = (
                (entry / "cmdline").read_bytes().decode(errors="replace").split("\0") if entry.name.isdigit() else []
            )
        except OSError:
            continue
        if words and Path(words[0]).name == program and any(argument in word for word in words):
            return int(entry.name)
    raise ClusterError(f"no {program} of {argument} runs")


@dataclass
class Admissions:
    """A program that asks for annotated pods all the while."""

    cluster: Cluster
    namespace: str
    program: subprocess.Popen[str] = field(init=False)

    def __enter__(self) -> Admissions:
        script = Path(__file__).with_name("admissions.py")
        self.program = subprocess.Popen(
            self.cluster.argv([sys.executable, str(script), self.namespace]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **self.cluster.environment()},
        )
        return self

    def result(self) -> dict[str, Any]:
        """Stop, and say what became of them."""
        printed, complaint = self.program.communicate(timeout=60)
        assert self.program.returncode == 0, complaint
        return dict(json.loads(printed))

    def __exit__(self, *_: object) -> None:
        self.program.kill()
        self.program.wait(30)


@pytest.fixture(scope="module")
def operator(cluster: Cluster, tracekeeper: str) -> Iterator[Operator]:
    """Two controllers; at the end the chart is as it was."""
    assert tracekeeper
    fixtures.install(cluster, "--set", "controller.replicas=2")
    yield Operator(cluster)
    fixtures.install(cluster)


@pytest.fixture
def user(operator: Operator, demo_image: str, namespace: str) -> Workload:
    """An application that makes 40 spans a second, attached to the operator."""
    user = Workload(operator.cluster, namespace, demo_image)
    user.backends("backend-a")
    user.configured(otlp("backend-a"), sampling=ADAPTIVE)
    user.agent(runs=100_000)
    attached(user)
    return user


def attached(user: Workload) -> None:
    """Wait until the sidecar has a stream to the operator."""
    wait_for(lambda: (user.health().get("control") or {}).get("attached"), 90, lambda: f"attached: {user.health()}")


def applied(user: Workload, level: str) -> None:
    """A change is taken up: some controller leads, and works."""
    user.config(otlp("backend-a"), sampling=ADAPTIVE, logLevel=level)
    user.condition("Ready", "True", deadline=60)


def test_when_the_leader_dies_the_standby_takes_over_and_sidecars_come_back(operator: Operator, user: Workload) -> None:
    before = operator.settled()
    operator.done("controller")
    assert len(operator.pods("controller")) == 2  # The standby is ready, too.
    operator.cluster.crash_pod(fixtures.SYSTEM, before)
    wait_for(lambda: operator.leader() not in ("", before), 60, "the other one takes over", interval=0.5)
    after = operator.settled()
    assert after != before
    attached(user)
    applied(user, "Debug")
    # And the one that died stands by.
    operator.done("controller")
    assert operator.leader() == after
    assert operator.evict("controller")
    operator.done("controller")
    operator.settled()
    attached(user)


def test_without_an_api_server_sidecars_deliver_and_injectors_are_ready(operator: Operator, user: Workload) -> None:
    operator.settled()
    cluster = operator.cluster
    backend = cluster.pod_ip(user.namespace, "backend-a-0")
    injectors = [pod["status"]["podIP"] for pod in operator.pods("injector").values()]
    controllers = [pod["status"]["podIP"] for pod in operator.pods("controller").values()]

    def delivered() -> int:
        return int(json.loads(cluster.http("GET", f"http://{backend}:8080/stats")[2])["distinct"])

    def leaders() -> int:
        return sum(b"tracekeeper_controller_leader 1.0" in ask(host, "/metrics") for host in controllers)

    def ask(host: str, path: str) -> bytes:
        try:
            return cluster.http("GET", f"http://{host}:8080{path}")[2]
        except (OSError, ClusterError):  # Its container is about to start.
            return b""

    assert leaders() == 1
    with operator.api_server_stopped():
        first = delivered()
        # A leader that cannot renew gives up: it ends, and begins anew as a standby.
        wait_for(lambda: leaders() == 0, AWAY + 45, "nobody leads any more", interval=0.5)
        wait_for(lambda: delivered() > first + 100, 60, lambda: f"spans arrive: {first}, {delivered()}", interval=0.5)
        assert [ask(host, "/readyz") for host in injectors] == [b"ok\n"] * len(injectors)
        assert (user.cluster.http("GET", f"http://{backend}:8080/stats"))[0] == 200
    wait_for(lambda: leaders() == 1, 90, "somebody leads again", interval=0.5)
    operator.done("controller")
    operator.settled()
    applied(user, "Debug")
    attached(user)


def test_no_admission_fails_while_certificates_are_renewed_and_pods_replaced(
    operator: Operator, user: Workload
) -> None:
    """Certificates that live for 25 s, of authorities that live for 60 s; whatever no injector answers is refused."""
    operator.settled()
    lives = ("--set", "certificates.life=25s", "--set", "certificates.authorityLife=60s")
    fixtures.install(operator.cluster, "--set", "controller.replicas=2", "--set", "webhook.failurePolicy=Fail", *lives)
    first = operator.certificate()
    seen = [first]

    def renewed(certificates: int, authorities: int) -> bool:
        if (now := operator.certificate()) not in seen:
            seen.append(now)
        return len({served for served, _ in seen}) > certificates and len({ca for _, ca in seen}) > authorities

    with Admissions(operator.cluster, user.namespace) as asked:
        operator.rollout("injector")
        operator.evict("injector")
        wait_for(lambda: renewed(3, 2), 120, lambda: f"certificates are renewed: {len(seen)}", interval=1)
        found = asked.result()
    made = len({served for served, _ in seen}) - 1, len({ca for _, ca in seen}) - 1
    print(f"{found['admitted']} admissions while {made[0]} certificates and {made[1]} authorities were made")
    assert found["failed"] == []
    assert found["admitted"] > 100
    operator.done("injector")
    assert (user.restarts("app"), user.restarts(SIDECAR)) == (0, 0)
