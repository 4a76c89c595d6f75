"""Sidecars whose metrics nobody collects: pure. That it is so they say themselves; here it is looked for a reason."""

from __future__ import annotations

from collections.abc import Iterator

from tracekeeper_cli.findings import Finding, Severity
from tracekeeper_cli.world import RESOLVED_FROM, Object, World, alive, annotations_of, labels, meta, name_of, sidecar
from tracekeeper_spec.selector import LabelExpression, Operator, Selector

PORT = "tk-metrics"
PAGE = "docs/how-to/observe.md"


def of_scrapes(world: World) -> Iterator[Finding]:
    """One finding for each TracingConfig with such pods."""
    for config in world.configs:
        pods = (config.get("status") or {}).get("pods") or {}
        count = pods.get("unscraped") or 0
        if not count or (world.namespaces and meta(config).get("namespace") not in world.namespaces):
            continue
        severity, following = _next(world, config)
        problem = (
            f"nobody has asked for the metrics of {count} of {pods.get('matched', '?')} pods in the last ten minutes: "
            "their ledger is seen by nobody, and no alert can fire"
        )
        yield Finding(severity, f"TracingConfig {name_of(config)}", "NotScraped", problem, following)


def _next(world: World, config: Object) -> tuple[Severity, str]:
    """Without the Prometheus operator nobody knows whether somebody was meant to scrape."""
    if world.monitors is None:
        return Severity.NOTE, f"if you use Prometheus: {PAGE} has what to put into its configuration"
    mine = [pod for pod in world.pods if alive(pod) and sidecar(pod) is not None and _made_by(pod, config)]
    found = [item for item in world.monitors if any(selects(item, pod) for pod in mine)]
    if not found:
        return Severity.WARNING, f"no PodMonitor selects them with the port {PORT}: {PAGE} has one that does"
    first = name_of(found[0])
    space = meta(config).get("namespace")
    text = (
        f"PodMonitor {first} selects them: does a Prometheus select it (podMonitorSelector and "
        f"podMonitorNamespaceSelector of `kubectl get prometheus -A -o yaml`)? May it reach the pods "
        f"(`kubectl tracekeeper network-policy -n {space}`)? Its page Targets says why a scrape fails"
    )
    return Severity.WARNING, text


def _made_by(pod: Object, config: Object) -> bool:
    sources = annotations_of(pod).get(RESOLVED_FROM, "").split(",")
    return any(source.strip().partition("@")[0] == name_of(config) for source in sources)


def selects(monitor: Object, pod: Object) -> bool:
    """Whether a PodMonitor has the sidecar of a pod scraped."""
    spec = monitor.get("spec") or {}
    where = spec.get("namespaceSelector") or {}
    space = meta(pod).get("namespace")
    if not where.get("any") and space not in (where.get("matchNames") or [meta(monitor).get("namespace")]):
        return False
    return _selector(spec.get("selector") or {}).matches(labels(pod)) and any(
        _scrapes(endpoint, pod) for endpoint in spec.get("podMetricsEndpoints") or ()
    )


def _scrapes(endpoint: Object, pod: Object) -> bool:
    numbers = {port.get("containerPort") for port in (sidecar(pod) or {}).get("ports") or ()}
    if endpoint.get("port"):
        return bool(endpoint["port"] == PORT)
    return endpoint.get("portNumber") in numbers or endpoint.get("targetPort") in (*numbers, PORT)


def _selector(found: Object) -> Selector:
    expressions = tuple(
        LabelExpression(str(each.get("key")), Operator(each["operator"]), tuple(each.get("values") or ()))
        for each in found.get("matchExpressions") or ()
        if each.get("operator") in set(Operator)
    )
    return Selector(dict(found.get("matchLabels") or {}), expressions)
