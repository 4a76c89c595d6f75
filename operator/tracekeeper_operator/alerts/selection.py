"""What the cluster's Prometheus and Alertmanager objects select: pure, from these objects as the API server has them.

Rules, PodMonitors and AlertmanagerConfigs are selected by labels, and by those of their namespace. Which labels that
are belongs to the cluster: the chart says it, or else it is what the oldest of these objects asks for that looks beyond
its own namespace. The oldest, because somebody who may make another one must not change whose alerts are seen by whom.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from tracekeeper_spec.selector import LabelExpression, Operator, Selector

Object = Mapping[str, Any]
LabelsOf = Callable[[str], Mapping[str, str] | None]
"""Labels of a namespace; None when they are not known."""

_SERVICE = re.compile(r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?")
_PATH = re.compile(r"[A-Za-z0-9._~/-]{0,200}")
DEFAULT_PORTS = {"Prometheus": 9090, "Alertmanager": 9093}


class Strategy(StrEnum):
    """Which alerts an AlertmanagerConfig can route."""

    ON_NAMESPACE = "OnNamespace"
    """Those of its own namespace."""
    EXCEPT = "OnNamespaceExceptForAlertmanagerNamespace"
    """Likewise, but those of all namespaces in that of the Alertmanager."""
    NONE = "None"
    """Those that its own matchers say."""


@dataclass(frozen=True, slots=True)
class Selects:
    """Which objects of one kind are selected. An absent selector selects nothing, an empty one everything."""

    objects: Selector | None
    namespaces: Selector | None
    """None: only the namespace of who selects."""

    @property
    def far(self) -> bool:
        """Whether it looks beyond its own namespace."""
        return self.objects is not None and self.namespaces is not None

    def takes(self, own: str, namespace: str, labels: Mapping[str, str], labels_of: LabelsOf) -> bool:
        """Whether an object with `labels` in `namespace` is selected by one in the namespace `own`."""
        if self.objects is None or not self.objects.matches(labels):
            return False
        if self.namespaces is None:
            return namespace == own
        known = labels_of(namespace)
        return self.namespaces.empty or (known is not None and self.namespaces.matches(known))

    @property
    def wanted(self) -> dict[str, str]:
        """Labels that satisfy `objects`, as far as labels can."""
        found: dict[str, str] = {}
        for expression in self.objects.match_expressions if self.objects is not None else ():
            if expression.operator is Operator.IN and expression.values:
                found[expression.key] = expression.values[0]
            elif expression.operator is Operator.EXISTS:
                found[expression.key] = "true"
        return found | dict(self.objects.match_labels if self.objects is not None else {})


NOTHING = Selects(None, None)


@dataclass(frozen=True, slots=True)
class Server:
    """One object of the kind Prometheus or Alertmanager."""

    kind: str
    namespace: str
    name: str
    created: str
    url: str
    """By the Service that the Prometheus operator makes for all of its kind in a namespace."""
    selects: Selects
    """Which PrometheusRules, or AlertmanagerConfigs."""
    monitors: Selects = NOTHING
    """Which PodMonitors; only of a Prometheus."""
    enforced: str = ""
    """The label into which the namespace of a rule is forced; empty when none is."""
    spared: tuple[Mapping[str, str], ...] = ()
    """Objects to which that is not done."""
    strategy: Strategy = Strategy.ON_NAMESPACE

    @property
    def title(self) -> str:
        """`Prometheus monitoring/k8s`"""
        return f"{self.kind} {self.namespace}/{self.name}"

    def enforces(self, namespace: str, name: str) -> bool:
        """Whether the PrometheusRule of that name sees, and fires for, its own namespace alone."""

        def spares(entry: Mapping[str, str]) -> bool:
            if entry.get("resource") not in (None, "prometheusrules"):
                return False
            return entry.get("namespace") == namespace and entry.get("name", "") in ("", name)

        return bool(self.enforced) and not any(map(spares, self.spared))


def read_prometheus(found: Object) -> Server:
    """As the API server sends it; whatever is odd in it counts as absent."""
    spec = _mapping(found.get("spec"))
    return replace(
        _head(found, "Prometheus", spec),
        selects=Selects(_selector(spec.get("ruleSelector")), _selector(spec.get("ruleNamespaceSelector"))),
        monitors=Selects(_selector(spec.get("podMonitorSelector")), _selector(spec.get("podMonitorNamespaceSelector"))),
        enforced=str(spec.get("enforcedNamespaceLabel") or ""),
        spared=(
            *_mappings(spec.get("excludedFromEnforcement")),
            *(
                {"namespace": entry.get("ruleNamespace", ""), "name": entry.get("ruleName", "")}
                for entry in _mappings(spec.get("prometheusRulesExcludedFromEnforce"))
            ),
        ),
    )


def read_alertmanager(found: Object) -> Server:
    """The same."""
    spec = _mapping(found.get("spec"))
    objects, namespaces = spec.get("alertmanagerConfigSelector"), spec.get("alertmanagerConfigNamespaceSelector")
    strategy = str(_mapping(spec.get("alertmanagerConfigMatcherStrategy")).get("type", ""))
    return replace(
        _head(found, "Alertmanager", spec),
        selects=Selects(_selector(objects), _selector(namespaces)),
        strategy=Strategy(strategy) if strategy in set(Strategy) else Strategy.ON_NAMESPACE,
    )


def oldest(servers: Iterable[Server]) -> list[Server]:
    """In an order that a new one does not change for the others."""
    return sorted(servers, key=lambda server: (server.created, server.namespace, server.name))


def labels_for(
    servers: Sequence[Server], select: Callable[[Server], Selects], said: Mapping[str, str]
) -> dict[str, str]:
    """The labels that objects of ours get, which are selected as `select` says; `said` is what the chart does."""
    if said:
        return dict(said)
    there = [select(server) for server in servers if select(server).objects is not None]
    chosen = next((found for found in there if found.far), there[0] if there else None)
    return chosen.wanted if chosen is not None else {}


def _head(found: Object, kind: str, spec: Mapping[str, Any]) -> Server:
    meta = _mapping(found.get("metadata"))
    namespace = str(meta.get("namespace", ""))
    scheme = "https" if _mapping(_mapping(spec.get("web")).get("tlsConfig")) else "http"
    # Whoever may make such an object must not lead the operator anywhere but to a Service beside it.
    said, path = str(spec.get("serviceName") or ""), str(spec.get("routePrefix") or "/").strip("/")
    service = said if _SERVICE.fullmatch(said) else f"{kind.lower()}-operated"
    prefix = path if _PATH.fullmatch(path) and not {".", ".."} & {*path.split("/")} else ""
    address = f"{scheme}://{service}.{namespace}.svc:{DEFAULT_PORTS[kind]}"
    return Server(
        kind,
        namespace,
        str(meta.get("name", "")),
        str(meta.get("creationTimestamp", "")),
        f"{address}/{prefix}" if prefix else address,
        NOTHING,
    )


def _selector(found: Any) -> Selector | None:
    """None where there is none."""
    if not isinstance(found, Mapping):
        return None
    expressions = tuple(
        LabelExpression(
            str(item.get("key", "")), Operator(str(item["operator"])), tuple(map(str, item.get("values") or ()))
        )
        for item in _mappings(found.get("matchExpressions"))
        if item.get("operator") in set(Operator)
    )
    labels = {str(key): str(value) for key, value in _mapping(found.get("matchLabels")).items()}
    return Selector(labels, expressions)


def _mapping(found: Any) -> Mapping[str, Any]:
    return found if isinstance(found, Mapping) else {}


def _mappings(found: Any) -> list[Mapping[str, Any]]:
    return [item for item in found if isinstance(item, Mapping)] if isinstance(found, list) else []
