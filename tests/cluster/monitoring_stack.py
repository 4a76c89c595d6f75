"""Real Prometheus and Alertmanager in the test cluster, with the Prometheus operator and without it, and a Slack."""

from __future__ import annotations

import json
import urllib.parse
from typing import Any

import promtool
from cluster import images, paths, prometheus_operator
from cluster.client import Client
from cluster.errors import ClusterError
from cluster.wait import wait_for

NAMESPACE = "monitoring"
IMAGE = "localhost/tracekeeper-demo-monitoring:dev"
OPERATOR_IMAGE = "localhost/prometheus-operator:dev"
MANIFESTS = paths.HERE / "monitoring_manifests"
GROUP = "monitoring.coreos.com"
SLACK_URL = f"http://slack.{NAMESPACE}/services"
PORTS = {"prometheus": 9090, "alertmanager": 9093, "slack": 8080}


class Monitoring:
    """The namespace `monitoring` of one cluster. Both ways can be there at once; they share the Slack."""

    def __init__(self, cluster: Client) -> None:
        self.cluster = cluster

    def load(self) -> None:
        """Build the images, unless they are built, and load them."""
        images.build(IMAGE, paths.REPO / "examples/demo/monitoring")
        images.build(OPERATOR_IMAGE, prometheus_operator.ensure(), file=str(MANIFESTS / "Dockerfile"))
        images.load(self.cluster, IMAGE, OPERATOR_IMAGE)

    # -- what runs

    def plain(self, watched: str) -> None:
        """Run the demo's Prometheus and Alertmanager, which know of no Kubernetes, and its Slack.

        Sidecars of the namespace `watched` are scraped, of pods with the label `app: agent`. Alertmanager waits for its
        configuration, which Tracekeeper writes.
        """
        text = (paths.REPO / "examples/demo/manifests/40-monitoring.yaml").read_text()
        for part in ("weather-agent-metrics.", "replacement: "):
            text = text.replace(f"{part}tracekeeper-demo", f"{part}{watched}")
        self.cluster.apply(text.replace("namespace: tracekeeper-demo", f"namespace: {NAMESPACE}"))
        spec = {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": {"app": "agent"}}
        self.cluster.apply(
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": "weather-agent-metrics", "namespace": watched},
                "spec": {**spec, "ports": [{"name": "metrics", "port": 14316}]},
            }
        )
        for name in ("prometheus", "slack"):
            self.rolled_out(f"deployment/{name}")

    def definitions(self) -> None:
        """Install the Prometheus operator's CRDs."""
        folder = str(prometheus_operator.ensure() / prometheus_operator.CRDS)
        self.cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", folder, timeout=120)
        self.cluster.kubectl("wait", "--for=condition=Established", "--timeout=60s", "-f", folder, timeout=70)

    def no_definitions(self) -> None:
        """Remove them, and with them all objects of theirs."""
        found = self.cluster.kubectl("get", "crds", "-o", "name").split()
        if ours := [name for name in found if name.endswith(f".{GROUP}")]:
            self.cluster.kubectl("delete", "--wait=true", *ours, timeout=120)

    def operator(self) -> None:
        """Run the Prometheus operator, with a Prometheus and an Alertmanager that it looks after; they are ready then.

        The CRDs have to be there.
        """
        version = prometheus_operator.prometheus_version()
        self.cluster.apply((MANIFESTS / "operator.yaml").read_text().replace("PROMETHEUS_VERSION", version))
        self.rolled_out("deployment/prometheus-operator")
        for name in ("prometheus-main", "alertmanager-main"):
            self._made(name)
            self.rolled_out(f"statefulset/{name}")

    def _made(self, name: str) -> None:
        def log() -> str:
            return self.cluster.kubectl("logs", "deployment/prometheus-operator", "-n", NAMESPACE, check=False)

        wait_for(lambda: self.cluster.find("statefulset", name, namespace=NAMESPACE), 60, log)

    def rolled_out(self, what: str) -> None:
        """Wait until its pods are ready."""
        self.cluster.kubectl("rollout", "status", what, "-n", NAMESPACE, "--timeout=90s", timeout=100)

    def remove(self) -> None:
        """Leave nothing of it."""
        self.no_definitions()
        self.cluster.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=true", timeout=120)

    # -- what it says

    def alerts(self, service: str) -> dict[str, dict[str, str]]:
        """Labels of the alerts that fire, by alertname, as amtool lists them of one Alertmanager."""
        command = [str(promtool.amtool()), f"--alertmanager.url={self._url(service)}"]
        found = json.loads(self.cluster.run([*command, "alert", "query", "--output=json"]).stdout)
        return {alert["labels"]["alertname"]: dict(alert["labels"]) for alert in found}

    def receivers(self, service: str, **labels: str) -> list[str]:
        """Who Alertmanager would tell of an alert with these labels, as amtool says."""
        command = [str(promtool.amtool()), f"--alertmanager.url={self._url(service)}", "config", "routes", "test"]
        said = self.cluster.run([*command, *(f"{name}={value}" for name, value in labels.items())]).stdout
        return said.strip().split(",")

    def values(self, service: str, query: str) -> list[tuple[dict[str, str], str]]:
        """What a Prometheus answers to a query now: labels and value of each series."""
        asked = urllib.parse.urlencode({"query": query})
        found = self.ask(service, f"/api/v1/query?{asked}")["data"]["result"]
        return [(each["metric"], each["value"][1]) for each in found]

    def titles(self, path: str) -> list[str]:
        """The titles of what came to Slack at /services/PATH, oldest first."""
        messages = self.ask("slack", "/messages")
        return [str(m["message"]["attachments"][0]["title"]) for m in messages if m["path"] == f"/services/{path}"]

    def ask(self, service: str, path: str, method: str = "GET") -> Any:
        """What a service answers, from JSON; None when that is nothing. Raises ClusterError on any status but 200."""
        url = f"{self._url(service)}{path}"
        try:
            status, _, answer = self.cluster.http(method, url)
        except OSError as error:
            raise ClusterError(f"{method} {url}: {error}") from error
        if status != 200:
            raise ClusterError(f"{method} {url}: {status} {answer.decode(errors='replace')[:500]}")
        return json.loads(answer) if answer.startswith((b"{", b"[")) else None

    def _url(self, service: str) -> str:
        """That of `prometheus`, `alertmanager` or `slack`; with `-operated` at the end, of those of the operator."""
        kind = service.removesuffix("-operated")
        selector = {"app.kubernetes.io/name": kind} if kind != service else {"app": kind}
        label = ",".join(f"{key}={value}" for key, value in selector.items())
        pods = self.cluster.get("pods", "-l", label, namespace=NAMESPACE)["items"]
        for pod in pods:
            if "deletionTimestamp" not in pod["metadata"] and (address := pod["status"].get("podIP")):
                return f"http://{address}:{PORTS[kind]}"
        raise ClusterError(f"no pod of {service} has an address")
