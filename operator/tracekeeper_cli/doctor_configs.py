"""What the statuses of TracingConfigs say that is wrong: pure. The controller has judged; here it is only read."""

from __future__ import annotations

from collections.abc import Iterator

from tracekeeper_cli.findings import Finding, Severity
from tracekeeper_cli.world import Object, World, meta, name_of

NEXT = {
    "Invalid": "mend the fields that it names, and kubectl apply; tracekeeper check FILE finds the same faults",
    "SecretNotFound": "create the Secret, or mend its name; it is looked for every minute",
    "SecretForbidden": "compare the operator's rights with the chart's: helm get manifest tracekeeper",
    "SecretUnreadable": "nothing, if it passes; else look at the controller's log",
    "NoBackends": "add spec.backends",
    "Shadowed": "give one of them a selector, or delete one",
    "HostPathNotAllowed": "have the namespace listed in the chart's sidecar.hostPath.namespaces, or take another type",
    "PolicyTooLarge": "split the TracingConfigs over namespaces, or use smaller CA bundles",
    "PublishFailed": "as the API server says: often a quota on Secrets, a policy engine, or RBAC",
    "PodsMissed": "kubectl tracekeeper explain pod POD says why; a restart usually mends it",
    "SidecarsFail": "kubectl describe pod POD has the kubelet's words",
    "OlderImage": "mend what it says: the registry, the tag, or the namespace's pull secret",
    "NoImage": "mend what it says: the registry, the tag, or the namespace's pull secret",
    "RefusingSpans": "mend the backend that spans wait for, or the volume; or make spec.sidecar.storage.size larger",
    "SpansDropped": "kubectl tracekeeper ledger POD has the reasons",
    "BackendUnavailable": "as the message says; spans wait on disk meanwhile",
    "PolicyRefused": "restart the pod, so that it gets the present image",
    "NotWritten": "as the message says; what the API server refused is tried again every five minutes",
    "NotSelected": "set the chart's value alerts.labels, or change the selectors of that Prometheus",
    "NamespaceEnforced": "except the rules of the root namespace, as the message shows",
    "RulesNotLoaded": "look at the logs of Prometheus and of its operator; without one, whether the files are mounted",
    "RuleFailing": "mend the rule that it names, mostly one in PromQL that matches many to many",
    "RolloutHalted": "mend the config; or have it say what runs: kubectl tracekeeper rollout undo NAME",
}
"""By the reason of a condition that is False; docs/reference/conditions.md explains them."""
FOLLOWING = {
    "Invalid": "Accepted",
    "SecretNotFound": "ResolvedRefs",
    "SecretForbidden": "ResolvedRefs",
    "RolloutHalted": "RolledOut",
}
"""Reasons that several conditions have at once, and the one that says it best."""
SERVING = ("Closed", "Disabled")
SILENT = (
    "has the application an OpenTelemetry SDK? does it set its own OTEL_* variables, or an endpoint in its code? an "
    "exporter for gRPC needs the annotation tracekeeper.dev/otlp-protocol: grpc"
)
FLOOR = (
    "raise sampling.default.adaptive.targetTracesPerSecond, or lower minProbability, or have applications trace less; "
    "until then more is kept than was asked for, which costs its backends and nothing else"
)
BEHIND = "look at the sidecar's log: kubectl logs POD -c tracekeeper-sidecar"
LATER = "they get the present one when they are made anew; or set spec.sidecar.imageUpdate: InPlace"
TAKEN_WITHIN = 180.0
"""Seconds from when a policy is published until the last pod has it and the status says so: the kubelet brings it
within a minute and a half, the sidecar says so within half a minute, and so does the status."""
COUNTS = (
    ("silent", Severity.WARNING, "Silent", "have a sidecar to which no span ever came", SILENT),
    ("atFloor", Severity.WARNING, "SamplingAtFloor", "keep more traces than the target, by minProbability", FLOOR),
    ("stale", Severity.WARNING, "Stale", "work by an older policy than the one that is published", BEHIND),
    ("failed", Severity.ERROR, "SidecarsFail", "have a sidecar that does not run", NEXT["SidecarsFail"]),
    ("missed", Severity.ERROR, "PodsMissed", "opted in and have no sidecar", NEXT["PodsMissed"]),
    ("outdatedImage", Severity.NOTE, "OutdatedImage", "have a sidecar with an older image", LATER),
)
"""Fields of status.pods that say of something wrong: how bad, the reason, the problem, what to do."""


def of_configs(world: World, now: float) -> Iterator[Finding]:
    """Of every TracingConfig of the namespaces that are looked at. `now` is Unix time."""
    for config in world.configs:
        if meta(config).get("namespace") in world.namespaces or not world.namespaces:
            yield from _one(config, now)


def _one(config: Object, now: float) -> Iterator[Finding]:
    about = f"TracingConfig {name_of(config)}"
    status = config.get("status") or {}
    if not status.get("conditions"):
        yield Finding(
            Severity.ERROR,
            about,
            "NoStatus",
            "the controller has not looked at it yet",
            "see whether a controller is ready; it takes seconds",
        )
        return
    if status.get("observedGeneration", 0) < meta(config).get("generation", 0):
        yield Finding(
            Severity.WARNING,
            about,
            "NotObserved",
            "the controller has not looked at its latest change yet",
            "see whether a controller is ready; it takes seconds",
        )
    yield from _conditions(about, status)
    yield from _rules(about, status)
    yield from _ending(about, status)
    yield from _backends(about, status)
    yield from _pods(about, status, now)


def _conditions(about: str, status: Object) -> Iterator[Finding]:
    false = {each["type"]: each for each in status["conditions"] if each.get("status") == "False"}
    for kind, condition in false.items():
        reason = str(condition.get("reason"))
        if FOLLOWING.get(reason, kind) != kind and FOLLOWING[reason] in false:
            continue
        following = NEXT.get(reason, "see docs/reference/conditions.md")
        yield Finding(Severity.ERROR, about, reason, f"{kind} is False: {condition.get('message', '')}", following)


def _rules(about: str, status: Object) -> Iterator[Finding]:
    """Of a config that is in effect, rules that are left out."""
    for condition in status["conditions"]:
        if condition.get("reason") == "AcceptedWithFaults":
            following = "mend the rules that it names, and kubectl apply; tracekeeper check FILE finds the same faults"
            yield Finding(Severity.WARNING, about, "AcceptedWithFaults", str(condition.get("message", "")), following)


def _ending(about: str, status: Object) -> Iterator[Finding]:
    """Certificates of its backends."""
    for condition in status["conditions"]:
        if condition.get("reason") == "CertificateEnds":
            text = str(condition.get("message", ""))
            following = "put the new certificate into that Secret; sidecars get it within minutes, without a restart"
            yield Finding(Severity.WARNING, about, "CertificateExpiry", text, following)


def _backends(about: str, status: Object) -> Iterator[Finding]:
    for backend in status.get("backends") or ():
        circuit = backend.get("circuit")
        if circuit in SERVING or circuit is None:
            continue
        many = backend.get("sidecars")
        at = "" if many is None else " at 1 sidecar" if many == 1 else f" at {many} sidecars"
        yield Finding(
            Severity.WARNING if circuit == "HalfOpen" else Severity.ERROR,
            f"{about}, backend {backend.get('name')}",
            "CircuitOpen" if circuit in ("Open", "HalfOpen") else f"Circuit{circuit}",
            f"its circuit is {circuit}{at}: {backend.get('message') or 'no reason is known'}",
            "set circuitBreaker.state to Auto"
            if circuit == "ForcedOpen"
            else "as the message says; its spans wait on disk, or go to the next backend of the entry",
        )


def _pods(about: str, status: Object, now: float) -> Iterator[Finding]:
    pods = status.get("pods") or {}
    # A revision is the second in which it was published. Clocks may differ a little, either way.
    fresh = abs(now - ((status.get("policy") or {}).get("revision") or 0)) < TAKEN_WITHIN
    said = {str(each.get("reason")) for each in status["conditions"] if each.get("status") == "False"}
    for key, severity, reason, problem, following in COUNTS:
        count = pods.get(key) or 0
        if count and reason not in said and not (key == "stale" and fresh):
            some = pods.get(f"{key}Pods") or ()
            named = f": {', '.join(some)}{' and others' if len(some) < count else ''}" if some else ""
            text = f"{count} of {pods.get('matched', '?')} pods {problem}{named}"
            yield Finding(severity, about, reason, text, following)
