"""What a user has in a namespace: backends, a TracingConfig, an application with the official SDK."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from cluster.errors import ClusterError
from cluster.node import Cluster
from cluster.wait import wait_for

RESTRICTED_POD = {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}
RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
SIDECAR = "tracekeeper-sidecar"
METRICS = 14316
ADMIN, STATS = 8080, 8090


def otlp(name: str, protocol: str = "GRPC", **more: Any) -> dict[str, Any]:
    """A backend of the same namespace that is tried again quickly, so that tests need not wait."""
    port = 4317 if protocol == "GRPC" else 4318
    return {
        "name": name,
        "type": "OTLP",
        "otlp": {"protocol": protocol, "endpoint": f"http://{name}:{port}", **more},
        "timeout": "5s",
        "batch": {"maxDelay": "200ms"},
        "retry": {"initialBackoff": "200ms", "maxBackoff": "1s"},
        "circuitBreaker": {"failureThreshold": 3, "openFor": "1s", "maxOpenFor": "2s"},
    }


class Workload:
    """One namespace of the cluster, with the demo's image to run in it."""

    def __init__(self, cluster: Cluster, namespace: str, image: str) -> None:
        self.cluster, self.namespace, self.image = cluster, namespace, image

    def config(self, *backends: dict[str, Any], name: str = "agents", **sections: Any) -> None:
        """Apply a TracingConfig as a user does."""
        spec = {"backends": list(backends), **sections}
        self.cluster.apply(
            {
                "apiVersion": "tracekeeper.dev/v1alpha1",
                "kind": "TracingConfig",
                "metadata": {"name": name, "namespace": self.namespace},
                "spec": spec,
            }
        )

    def configured(self, *backends: dict[str, Any], **sections: Any) -> None:
        """Apply a TracingConfig and wait until it is Ready."""
        self.config(*backends, **sections)
        self.condition("Ready", "True")

    def condition(self, kind: str, status: str, name: str = "agents", deadline: float = 30) -> dict[str, Any]:
        """The condition once it has this status for the newest generation."""

        def found() -> dict[str, Any] | None:
            config = self.cluster.get("tracingconfigs.tracekeeper.dev", name, namespace=self.namespace)
            for condition in config.get("status", {}).get("conditions", []):
                current = condition.get("observedGeneration") == config["metadata"]["generation"]
                if condition["type"] == kind and condition["status"] == status and current:
                    return dict(condition)
            return None

        return wait_for(found, deadline, lambda: f"{kind}={status}: {self._describe('tracingconfig', name)}")

    def backends(self, *names: str) -> None:
        """Run OTLP backends, each with a service of its name, and wait until they answer."""
        for name in names:
            command = ["python3", "/demo/backend.py", "--name", name, "--host", "0.0.0.0"]
            ports = [{"port": port, "name": f"p{port}"} for port in (4317, 4318, ADMIN)]
            service = {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": name, "namespace": self.namespace},
                "spec": {"selector": {"app": name}, "ports": ports},
            }
            probe = {"httpGet": {"path": "/stats", "port": ADMIN}, "periodSeconds": 1}
            self.cluster.apply([self.pod(name, command, probe=probe), service])
        for name in names:
            self.ready(name)

    def pod(
        self,
        name: str,
        command: Sequence[str],
        *,
        annotations: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
        probe: Mapping[str, Any] | None = None,
        **spec: Any,
    ) -> dict[str, Any]:
        """A pod of the demo's image, called NAME-0: a pod must not be named like its service."""
        container: dict[str, Any] = {
            "name": "app",
            "image": self.image,
            "imagePullPolicy": "Never",
            "command": list(command),
            "env": [{"name": key, "value": value} for key, value in (environment or {}).items()],
            "securityContext": RESTRICTED,
            **({"readinessProbe": dict(probe)} if probe else {}),
        }
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"{name}-0",
                "namespace": self.namespace,
                "labels": {"app": name},
                "annotations": dict(annotations or {}),
            },
            "spec": {
                "automountServiceAccountToken": False,
                "terminationGracePeriodSeconds": 10,
                "restartPolicy": "Never",
                "securityContext": RESTRICTED_POD,
                "containers": [container],
                **spec,
            },
        }

    def agent(
        self, runs: int, rate: float = 10, name: str = "agent", wait: bool = True, injected: bool = True, **spec: Any
    ) -> str:
        """Run an annotated application that makes `runs` traces of four spans; the pod's name once it runs."""
        self.cluster.apply(self._agent(runs, rate, name, injected, **spec))
        if wait:
            self.running(f"{name}-0")
        return f"{name}-0"

    def deployed(self, runs: int, rate: float = 10, name: str = "agent", wait: bool = True, **spec: Any) -> str:
        """The same application as a Deployment of one replica; the name that its pod was given, once it runs."""
        pod = self._agent(runs, rate, name, True, restartPolicy="Always", **spec)
        labels, annotations = pod["metadata"]["labels"], pod["metadata"]["annotations"]
        template = {"metadata": {"labels": labels, "annotations": annotations}, "spec": pod["spec"]}
        self.cluster.apply(
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": name, "namespace": self.namespace},
                "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
            }
        )

        def created() -> str | None:
            pods = self.cluster.get("pods", "-l", f"app={name}", namespace=self.namespace)["items"]
            return str(pods[0]["metadata"]["name"]) if pods else None

        given = wait_for(created, 30, lambda: f"the Deployment makes a pod: {self._describe('replicasets', '')}")
        if wait:
            self.running(given)
        return given

    def _agent(self, runs: int, rate: float, name: str, injected: bool, **spec: Any) -> dict[str, Any]:
        environment = {
            "OTEL_SERVICE_NAME": name,
            "OTEL_BSP_SCHEDULE_DELAY": "200",
            "AGENT_RUNS": str(runs),
            "AGENT_RUNS_PER_SECOND": str(rate),
            "AGENT_LISTEN": f"0.0.0.0:{STATS}",
            "AGENT_LINGER": "3600",
        }
        annotations = {"tracekeeper.dev/inject": "true", **spec.pop("annotations", {})} if injected else {}
        command = ["python3", "/demo/agent.py"]
        return self.pod(name, command, annotations=annotations, environment=environment, **spec)

    def ready(self, name: str, deadline: float = 60) -> None:
        """Wait until the pod NAME-0 is Ready."""
        self._wait_pod(f"{name}-0", lambda status: _condition(status, "Ready"), "Ready", deadline)

    def running(self, pod: str, deadline: float = 60) -> None:
        """Wait until the application's container runs."""

        def started(status: Mapping[str, Any]) -> bool:
            return any("running" in entry.get("state", {}) for entry in status.get("containerStatuses", []))

        self._wait_pod(pod, started, "running", deadline)

    def summary(self, pod: str = "agent-0", deadline: float = 90) -> dict[str, Any]:
        """What the application says once it has made all its traces and its exporter is done with them."""

        def done() -> dict[str, Any] | None:
            stats = self.stats(pod)
            settled = stats["acknowledged"] + stats["failed"] >= stats["created"]
            return stats if stats["done"] and settled else None

        return wait_for(done, deadline, lambda: f"the agent is done: {self.stats(pod)}", interval=0.5)

    def stats(self, pod: str = "agent-0", port: int = STATS) -> dict[str, Any]:
        """What the application says now."""
        return dict(json.loads(self._pod_http("GET", pod, port, "/stats")))

    def acknowledged(self, pod: str = "agent-0") -> set[str]:
        """Ids of the spans that the application's exporter was told are safe."""
        return set(self._pod_http("GET", pod, STATS, "/acknowledged").decode().split())

    def backend(self, name: str, path: str = "/stats", method: str = "GET") -> Any:
        """What a backend's admin port answers."""
        return json.loads(self._pod_http(method, f"{name}-0", ADMIN, path))

    def fail(self, name: str, mode: str) -> None:
        """Tell a backend how to answer from now on."""
        self.backend(name, f"/fail?mode={mode}", "POST")

    def ids(self, name: str) -> set[str]:
        """Distinct span ids that a backend has."""
        return set(self._pod_http("GET", f"{name}-0", ADMIN, "/ids").decode().split())

    def health(self, pod: str = "agent-0") -> dict[str, Any]:
        """The sidecar's own judgement."""
        return dict(json.loads(self._pod_http("GET", pod, METRICS, "/health")))

    def circuit(self, backend: str, pod: str = "agent-0") -> str:
        """The state of a backend's circuit breaker."""
        return {b["name"]: str(b["circuit"]) for b in self.health(pod)["backends"]}.get(backend, "")

    def ledger(self, pod: str = "agent-0") -> dict[str, Any]:
        """The sidecar's ledger with numbers as numbers, after checking that it closes."""
        raw = json.loads(self._pod_http("GET", pod, METRICS, "/ledger"))
        entries = {
            entry["name"]: {
                "start": int(entry["start"]),
                "delivered": sum(map(int, entry["delivered"].values())),
                "sampled_out": sum(map(int, entry["sampledOut"].values())),
                "unmatched": int(entry["unmatched"]),
                "dropped": sum(map(int, entry["dropped"].values())),
                "pending": int(entry["pending"]),
            }
            for entry in raw["delivery"]
        }
        acknowledged, refused = int(raw["acknowledged"]), sum(map(int, raw["refused"].values()))
        filtered = sum(map(int, raw["filtered"].values()))
        assert int(raw["received"]) == acknowledged + refused + filtered + int(raw["suspended"]), raw
        assert all(sum(entry.values()) == acknowledged for entry in entries.values()), raw
        suspended = int(raw["suspended"])
        return {"acknowledged": acknowledged, "refused": refused, "suspended": suspended, "delivery": entries}

    def settled(self, pod: str = "agent-0", deadline: float = 60) -> dict[str, Any]:
        """The ledger once every entry has nothing pending."""

        def idle() -> dict[str, Any] | None:
            book = self.ledger(pod)
            return book if book["delivery"] and not any(e["pending"] for e in book["delivery"].values()) else None

        return wait_for(idle, deadline, lambda: f"nothing pending: {self.ledger(pod)} {self.health(pod)}", interval=0.3)

    def event(self, reason: str, deadline: float = 20) -> tuple[str, str, str]:
        """Kind and name of what the first Event with this reason is about, and its message, once there is one."""

        def found() -> dict[str, Any] | None:
            items = self.cluster.get("events", namespace=self.namespace)["items"]
            return next((item for item in items if item["reason"] == reason), None)

        item = wait_for(found, deadline, lambda: f"an Event {reason} comes: {self._describe('events', '')}")
        return item["involvedObject"]["kind"], item["involvedObject"]["name"], item["message"]

    def start_delay(self, pod: str = "agent-0") -> float:
        """Seconds from the sidecar's start to the application's: what the sidecar held the application up.

        Kubernetes tells whole seconds. A sidecar that was started again does not count: its first start is forgotten.
        """
        status = self.cluster.get("pod", pod, namespace=self.namespace)["status"]
        entries = status["initContainerStatuses"] + status["containerStatuses"]
        begun: dict[str, datetime] = {}
        for entry in entries:
            if entry["name"] in (SIDECAR, "app"):
                assert entry["restartCount"] == 0, entry
                begun[entry["name"]] = datetime.fromisoformat(entry["state"]["running"]["startedAt"])
        return (begun["app"] - begun[SIDECAR]).total_seconds()

    def restarts(self, container: str, pod: str = "agent-0") -> int:
        """How often a container has been started again."""
        status = self.cluster.get("pod", pod, namespace=self.namespace)["status"]
        entries = status.get("initContainerStatuses", []) + status.get("containerStatuses", [])
        return next(int(entry["restartCount"]) for entry in entries if entry["name"] == container)

    def delete(self, pod: str) -> None:
        """Delete a pod and wait until it is gone."""
        self.cluster.kubectl("delete", "pod", pod, "-n", self.namespace, "--wait=true")

    def _pod_http(self, method: str, pod: str, port: int, path: str) -> bytes:
        address = self.cluster.pod_ip(self.namespace, pod)
        last: list[object] = []

        def answered() -> tuple[bytes] | None:
            try:
                _, _, body = self.cluster.http(method, f"http://{address}:{port}{path}")
            except (OSError, ClusterError) as error:  # Its container may be about to start, again.
                last[:] = [error]
                return None
            return (body,)

        return wait_for(answered, 30, lambda: f"{pod}:{port}{path} answers: {last}")[0]

    def _wait_pod(self, pod: str, condition: Callable[[Mapping[str, Any]], bool], what: str, deadline: float) -> None:
        def holds() -> bool:
            return condition(self.cluster.get("pod", pod, namespace=self.namespace)["status"])

        wait_for(holds, deadline, lambda: f"{pod} is {what}: {self._describe('pod', pod)}")

    def _describe(self, kind: str, name: str) -> str:
        return self.cluster.kubectl("describe", kind, *([name] if name else []), "-n", self.namespace, check=False)


def _condition(status: Mapping[str, Any], kind: str) -> bool:
    return any(c["type"] == kind and c["status"] == "True" for c in status.get("conditions", []))
