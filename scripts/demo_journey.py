"""A user's journey, step by step: install, configure, annotate, see spans, lose a backend, miss nothing, be told."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from demo_alarm import Alarm
from demo_cluster import DEMO_IMAGES, OURS, RELEASE, REPO, SHOP, SYSTEM, Kube, OwnCluster, version
from demo_diagnosis import diagnose, hopeless
from demo_progress import DemoFailed, Progress
from demo_view import Arrived, compare, detections, ledger_faults, ledger_lines, table, trace_tree, treatment
from demo_watch import Watch

MANIFESTS = REPO / "examples" / "demo" / "manifests"
BACKENDS = ("backend-a", "backend-b")
MONITORING = ("prometheus", "slack", "alertmanager")
RULES = frozenset({"AgentSpendsTooMuch", "AgentFails", "AgentLoops"})
"""Those of the TracingConfig."""
ALERTS = {
    "alerts.prometheusOperator": "Never",  # what somebody's cluster has of it is not for the demo
    "alerts.plain.namespace": SHOP,
    "prometheus.url": f"http://prometheus.{SHOP}.svc:9090",
    "alertmanager.url": f"http://alertmanager.{SHOP}.svc:9093",
    "alerts.traceURL": f"http://backend-a.{SHOP}.svc:8080/spans?limit=100",  # the demo's backend cannot search
}
"""What the chart is told about them."""
OUTAGE = 6.0
"""Seconds that backend-b stays away."""
PATIENCE = 25.0
"""Seconds that a pod may wait for what will not come by itself, such as an image that is not there."""


class Journey:
    """One run of the demo on one cluster."""

    def __init__(self, kube: Kube, progress: Progress) -> None:
        self._kube, self._progress = kube, progress
        self._pod = ""

    def run(self) -> list[str]:
        """Do all of it; returns what is not as it should be, nothing when all is well. Raises DemoFailed."""
        self._kube.prepare()
        self._kube.images()
        self._install()
        self._backends()
        self._configure()
        self._agent()
        watch = Watch(self._progress, self._look)
        self._outage(watch)
        watch.until("the agent ends", lambda: watch.done, 240, self._advice)
        self._progress.good("the agent has made its 800 spans")
        faults = self._finish()
        self._progress.verdict(faults)
        faults += self._alarm()
        self._look_around()
        return faults

    # -- the steps

    def _install(self) -> None:
        registry = self._kube.registry
        typed = f"helm install tracekeeper charts/tracekeeper -n {SYSTEM} --set image.registry={registry} …"
        self._progress.heading("1. helm install")
        self._progress.say(f"          {typed}")
        self._namespace(SYSTEM)
        self._apply("00-namespace.yaml")
        arguments = ["upgrade", "--install", RELEASE, str(REPO / "charts" / "tracekeeper"), "-n", SYSTEM]
        arguments += ["--set", f"image.registry={registry}", "--set", f"image.tag={version()}"]
        arguments += [word for name, value in ALERTS.items() for word in ("--set", f"{name}={value}")]
        arguments += self._kube.chart_options
        before = self._kube.json("get", "deployments", "-n", SYSTEM)["items"]
        with self._progress.step("installing the chart", "the operator runs"):
            self._kube.run("helm", self._kube.argv("helm", *arguments), 120)
            for part in ("controller", "injector"):
                if before:  # The demo ran before: the tag may be the same, and the image another.
                    self._kube.kubectl("rollout", "restart", f"deployment/tracekeeper-{part}", "-n", SYSTEM)
                self._rollout(SYSTEM, f"tracekeeper-{part}", f"app.kubernetes.io/component={part}", 180)

    def _namespace(self, name: str) -> None:
        key, _, value = OURS.partition("=")
        labels = {key: value, "pod-security.kubernetes.io/enforce": "restricted"}
        manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        self._kube.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))

    def _rollout(self, namespace: str, deployment: str, selector: str, timeout: int) -> None:
        """Wait until a Deployment runs what it should; raises DemoFailed that tells its pods' troubles."""
        begin = hopeful = time.monotonic()
        while True:
            status = self._kube.json("get", "deployment", deployment, "-n", namespace)
            if rolled_out(status):
                return
            now = time.monotonic()
            pods = self._kube.json("get", "pods", "-n", namespace, "-l", selector)["items"]
            hopeful = hopeful if any(hopeless(pod) for pod in pods) else now
            if now > begin + timeout or now > hopeful + PATIENCE:
                advice = diagnose(self._kube, namespace, selector)
                raise DemoFailed(f"{namespace}/{deployment} is not ready after {now - begin:.0f} s", *advice)
            self._progress.live(f"waiting for {deployment}")
            time.sleep(0.5)

    def _backends(self) -> None:
        self._progress.heading(
            "2. two trace backends, Prometheus and Alertmanager, and one TracingConfig for all of it"
        )
        self._apply("10-backends.yaml")
        self._apply("40-monitoring.yaml")
        self._apply("50-operator-metrics.yaml")
        with self._progress.step("starting two trace backends", "backend-a and backend-b run"):
            for name in BACKENDS:
                self._rollout(SHOP, name, f"app={name}", 120)
            for name in BACKENDS:
                self._fetch(f"deploy/{name}", "backend", "POST", "http://127.0.0.1:8080/reset")

    def _apply(self, file: str) -> None:
        """Apply one of the manifests with the images' names put in; says what a person would type."""
        text = (MANIFESTS / file).read_text()
        for image in DEMO_IMAGES:
            text = text.replace(f"localhost/{image}:dev", self._kube.image(image))
        text = text.replace("imagePullPolicy: IfNotPresent", f"imagePullPolicy: {self._kube.pull_policy}")
        self._progress.say(f"          kubectl apply -f {(MANIFESTS / file).relative_to(Path(REPO))}")
        self._kube.kubectl("apply", "-f", "-", stdin=text)

    def _configure(self) -> None:
        self._apply("20-tracingconfig.yaml")
        with self._progress.step("waiting until the operator has accepted it", "the TracingConfig is Ready"):
            argv = ("wait", "--for=condition=Ready", "tracingconfig/demo", "-n", SHOP, "--timeout=60s")
            good, text = self._kube.try_kubectl(*argv, timeout=70)
            if not good:
                config = self._kube.json("get", "tracingconfig", "demo", "-n", SHOP)
                said = [f"{c['type']}={c['status']}: {c.get('message', '')}" for c in _conditions(config)]
                logs = f"next: {self._kube.prefix}kubectl -n {SYSTEM} logs deployment/tracekeeper-controller"
                raise DemoFailed(f"the TracingConfig is not Ready: {text}", *(said or ["it has no conditions"]), logs)

    def _agent(self) -> None:
        self._progress.heading('3. an AI agent, annotated with tracekeeper.dev/inject: "true"')
        gone = ("delete", "deployment", "weather-agent", "-n", SHOP, "--ignore-not-found", "--cascade=foreground")
        self._kube.kubectl(*gone, "--timeout=60s", timeout=90)  # A second `make demo` starts from nothing again.
        self._apply("30-agent.yaml")
        with self._progress.step("starting the agent, and its sidecar before it", "the agent runs"):
            self._rollout(SHOP, "weather-agent", "app=weather-agent", 120)
        pods = self._kube.json("get", "pods", "-n", SHOP, "-l", "app=weather-agent")["items"]
        pod = next(p for p in pods if "deletionTimestamp" not in p["metadata"])
        self._pod = str(pod["metadata"]["name"])
        injected = [c["name"] for c in pod["spec"].get("initContainers", [])]
        if "tracekeeper-sidecar" not in injected:
            events = f"next: {self._kube.prefix}kubectl -n {SHOP} get events"
            logs = f"      {self._kube.prefix}kubectl -n {SYSTEM} logs deployment/tracekeeper-injector"
            raise DemoFailed(
                f"pod {self._pod} got no sidecar: the webhook did not answer in time, or skipped it", events, logs
            )
        self._progress.good(f"pod {self._pod}: sidecar injected, the application's manifest unchanged")

    def _outage(self, watch: Watch) -> None:
        self._progress.heading("4. spans arrive; then one backend fails and comes back")
        begin = time.monotonic()
        watch.until("spans arrive in both", lambda: watch.arrived and time.monotonic() > begin + 6, 60, self._advice)
        self._fail("unavailable")
        self._progress.bad("backend-b answers 503 from now on")
        down = time.monotonic()
        watch.until("the circuit opens", lambda: watch.circuits.get("backend-b") == "Open", 60, self._advice)
        watch.until("the outage ends", lambda: time.monotonic() > down + OUTAGE, 60, self._advice)
        waiting = watch.pending.get("backend-b", 0)
        self._fail("ok")
        self._progress.good(f"backend-b is back; {waiting} spans wait for it on disk, backend-a missed nothing")
        watch.until("the circuit closes", lambda: watch.circuits.get("backend-b") == "Closed", 60, self._advice)

    def _finish(self) -> list[str]:
        argv = ("exec", "-n", SHOP, self._pod, "-c", "tracekeeper-sidecar", "--", "tracekeeper-sidecar", "flush")
        good, text = self._kube.try_kubectl(*argv, "--timeout", "30s", timeout=60)
        self._progress.say(f"          kubectl exec {self._pod} -c tracekeeper-sidecar -- tracekeeper-sidecar flush")
        self._progress.say(f"          {text.strip()}")
        faults = [] if good else [f"flush: {text}"]
        found = self._collect()
        ledger, acknowledged = json.loads(found[0]), frozenset(found[1].split())
        arrived = [
            Arrived(name, frozenset(ids.split()), json.loads(stats)["duplicates"])
            for name, ids, stats in zip(BACKENDS, found[2:4], found[4:6], strict=True)
        ]
        self._progress.heading("5. the sidecar's ledger")
        self._progress.lines(ledger_lines(ledger))
        lines, missing = compare(acknowledged, arrived)
        self._progress.heading("Is it true? The agent's own list of acknowledged spans beside the backends'")
        self._progress.lines(lines)
        self._progress.heading("One of the traces that arrived in backend-b")
        spans = json.loads(found[6])
        self._progress.lines(trace_tree(spans))
        lines, untreated = treatment(spans)
        self._progress.heading("What the processors did to the calls of the model")
        self._progress.lines(lines)
        agent = json.loads(found[7])
        if agent["failed"] or agent["created"] != len(acknowledged):
            faults.append(f"the agent made {agent['created']} spans, {len(acknowledged)} were acknowledged")
        return faults + ledger_faults(ledger) + missing + untreated

    def _alarm(self) -> list[str]:
        self._progress.heading("6. the agent goes wrong, and somebody is told")
        with self._progress.step("waiting until Prometheus has the rules", "Prometheus has the rules"):
            for name in MONITORING:
                self._rollout(SHOP, name, f"app={name}", 120)
            argv = ("wait", "--for=condition=RulesLoaded", "tracingconfig/demo", "-n", SHOP, "--timeout=180s")
            good, text = self._kube.try_kubectl(*argv, timeout=190)
        if not good:
            return [self._failed(f"Prometheus does not have the rules of the TracingConfig: {text}")]

        def tell(path: str) -> None:
            self._fetch("deploy/weather-agent", "agent", "POST", f"http://127.0.0.1:8090/{path}")

        def detected() -> list[str]:
            (body,) = self._many(["backend-b:8080/spans?limit=1000"])
            return detections(json.loads(body or "[]"))

        return [*map(self._failed, Alarm(self._progress, self._many, tell, detected).run(RULES))]

    def _failed(self, fault: str) -> str:
        self._progress.bad(fault)
        return fault

    def _look_around(self) -> None:
        fetch = "k exec deploy/weather-agent -c agent -- python3 fetch.py"
        rows = [
            (f"alias k='{self._kube.prefix}kubectl -n {SHOP}'", "for the lines below"),
            ("k get pods,tracingconfigs", "what runs"),
            ("k describe pod -l app=weather-agent", "what was injected"),
            (f"{fetch} http://127.0.0.1:14316/health", "the sidecar: also /ledger, /metrics"),
            (f"{fetch} 'http://backend-a:8080/spans?limit=3'", "a backend: also /stats, /ids"),
            (f"{fetch} POST 'http://backend-a:8080/fail?mode=hang'", "break it; mode=ok mends it"),
            (f"{fetch} http://slack/messages", "what came to Slack"),
            (f"{fetch} POST http://127.0.0.1:8090/misbehave", "the agent goes wrong again, until POST …/behave"),
            ("k rollout restart deployment/weather-agent", "800 spans more"),
            ("k edit tracingconfig demo", "the sidecar follows without a restart"),
        ]
        self._progress.heading("To look around")
        self._progress.lines(table(["command", "what"], rows)[2:])
        own = isinstance(self._kube, OwnCluster)
        self._progress.say(f"\nTo remove it all: make demo-down{'' if own else ' CLUSTER=current'}")

    # -- what the steps ask

    def _collect(self) -> list[str]:
        """What the end is made of: ledger, acknowledged ids, backends' ids and stats, spans, the agent's stats."""
        urls = ["127.0.0.1:14316/ledger", "127.0.0.1:8090/acknowledged"]
        urls += [f"{name}:8080/{what}" for what in ("ids", "stats") for name in BACKENDS]
        urls += ["backend-b:8080/spans?limit=100", "127.0.0.1:8090/stats"]
        bodies = self._many(urls)
        silent = [url for url, body in zip(urls, bodies, strict=True) if body is None]
        if silent:
            raise DemoFailed(f"nobody answers at {', '.join(silent)}", *self._advice())
        return [body or "" for body in bodies]

    def _many(self, urls: list[str]) -> list[str | None]:
        """Bodies fetched from inside the agent's pod in one go; None where nobody answers."""
        argv = ("exec", "-n", SHOP, self._pod, "-c", "agent", "--", "python3", "/demo/fetch.py", "many")
        good, text = self._kube.try_kubectl(*argv, *(f"http://{url}" for url in urls), timeout=90)
        bodies: list[str | None] = json.loads(text) if good else [None] * len(urls)
        return bodies

    def _look(self) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        """The sidecar's health and ledger, and the agent's stats, in one exec; {} where nobody answers."""
        bodies = self._many(["127.0.0.1:14316/health", "127.0.0.1:14316/ledger", "127.0.0.1:8090/stats"])
        health, ledger, agent = (json.loads(body) if body else {} for body in bodies)
        return health, ledger, agent

    def _fail(self, mode: str) -> None:
        self._fetch("deploy/backend-b", "backend", "POST", f"http://127.0.0.1:8080/fail?mode={mode}")

    def _fetch(self, pod: str, container: str, *arguments: str) -> str:
        argv = ("exec", "-n", SHOP, pod, "-c", container, "--", "python3", "/demo/fetch.py", *arguments)
        return self._kube.kubectl(*argv)

    def _advice(self) -> list[str]:
        sidecar = f"next: {self._kube.prefix}kubectl -n {SHOP} logs {self._pod} -c tracekeeper-sidecar"
        return [*diagnose(self._kube, SHOP, f"app.kubernetes.io/part-of={SHOP}"), sidecar]


def rolled_out(deployment: dict[str, Any]) -> bool:
    """Whether every replica is of the newest template, ready for long enough, and no older one is left."""
    status, wanted = deployment.get("status", {}), deployment["spec"].get("replicas", 1)
    seen = status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
    counts = (status.get("updatedReplicas", 0), status.get("availableReplicas", 0), status.get("replicas", 0))
    return bool(seen and counts == (wanted, wanted, wanted))


def _conditions(config: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = config.get("status", {}).get("conditions", [])
    return found
