"""By which way alerts reach Prometheus and Alertmanager, and what is to be written for it: pure.

Where the API server has the Prometheus operator's kinds, these are written; else plain files, if the chart names a
namespace for them. Rules and routes each go their own way, since their kinds come and go each for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from tracekeeper_spec.alert.builtin import operator_rules
from tracekeeper_spec.alert.routing import Routing, routing

from ..kinds import Kind
from . import pod_monitor
from .alertmanager_config import alertmanager_config, far_name, own_name, references, refused
from .kinds import ALERTMANAGER_CONFIGS, POD_MONITORS, PROMETHEUS_RULES
from .objects import Key, Object, key_of, owner_of
from .options import AlertOptions
from .prometheus_rule import MOST, operator_rule, prometheus_rule, too_large
from .selection import LabelsOf, Selects, Server, Strategy, labels_for
from .wanted import Alerting


class Way(StrEnum):
    OPERATOR = "operator"
    """By objects of the Prometheus operator."""
    PLAIN = "plain"
    """By plain files."""
    NOWHERE = "nowhere"


@dataclass(frozen=True, slots=True)
class Ways:
    rules: Way
    routes: Way


@dataclass(frozen=True, slots=True)
class View:
    """What is known of the cluster."""

    kinds: frozenset[Kind]
    """Of the Prometheus operator, that are there."""
    prometheuses: Sequence[Server] = ()
    """The oldest first."""
    alertmanagers: Sequence[Server] = ()
    """Likewise."""
    labels_of: LabelsOf = lambda namespace: None
    monitors: Sequence[Mapping[str, Any]] = ()
    """PodMonitors of others."""
    owner: Object | None = None
    """With what objects in the operator's namespace are deleted."""
    far_owner: Object | None = None
    """With what those in an Alertmanager's namespace are."""
    lent: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """Why a Secret, by namespace and name, may not be used by a config of the root namespace; empty: it may."""


@dataclass(frozen=True, slots=True)
class Told:
    """What is to be said of one config besides what Prometheus says."""

    way: Way
    rule: Key | None = None
    """Its PrometheusRule."""
    routes: Key | None = None
    """Its AlertmanagerConfig."""
    server: Server | None = None
    """The oldest Prometheus that selects its rules."""
    problem: str = ""
    """Why its rules are not written."""
    unselected: str = ""
    """Why no Prometheus takes them."""
    enforced: str = ""
    """Why they do not see what they should."""
    notes: tuple[str, ...] = ()
    """About its channels."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What should be there, and what is said of it."""

    objects: Mapping[Key, Object]
    told: Mapping[str, Told]
    """By the config's UID."""
    notes: tuple[str, ...] = ()
    """For the log."""


def ways(kinds: frozenset[Kind], options: AlertOptions) -> Ways:
    """Which way rules and routes go."""
    plain = Way.PLAIN if options.plain_namespace else Way.NOWHERE

    def way(kind: Kind) -> Way:
        return Way.OPERATOR if options.prometheus_operator and kind in kinds else plain

    return Ways(way(PROMETHEUS_RULES), way(ALERTMANAGER_CONFIGS))


Render = Callable[[Alerting, Mapping[str, str]], Object]
"""The PrometheusRule of a config, with these labels."""


def wish(items: Iterable[Alerting], view: View, options: AlertOptions, render: Render = prometheus_rule) -> Wish:
    """Everything that should be there of the Prometheus operator's kinds. Where they go another way, nothing should."""
    chosen = ways(view.kinds, options)
    labels = {
        PROMETHEUS_RULES: labels_for(view.prometheuses, lambda server: server.selects, options.labels),
        POD_MONITORS: labels_for(view.prometheuses, lambda server: server.monitors, options.labels),
        ALERTMANAGER_CONFIGS: labels_for(view.alertmanagers, lambda server: server.selects, options.labels),
    }
    objects: dict[Key, Object] = {}
    told: dict[str, Told] = {}
    notes = _scraping(objects, labels, view, options)
    if chosen.rules is Way.OPERATOR and (rules := operator_rules(options.links)):
        _add(objects, PROMETHEUS_RULES, operator_rule(rules, options.namespace, labels[PROMETHEUS_RULES], view.owner))
    for item in items:
        routes, routed = _routes(item, chosen.routes, view, labels[ALERTMANAGER_CONFIGS])
        if routes is not None:
            _add(objects, ALERTMANAGER_CONFIGS, routes)
        sent = key_of(ALERTMANAGER_CONFIGS, routes) if routes is not None else None
        told[item.uid] = Told(chosen.rules, routes=sent, notes=routed)
        if chosen.rules is Way.OPERATOR and item.compiled.rules:
            told[item.uid] = _rules(item, told[item.uid], view, render(item, labels[PROMETHEUS_RULES]), objects)
    return Wish(objects, told, tuple(notes))


def _scraping(
    objects: dict[Key, Object], labels: Mapping[Kind, Mapping[str, str]], view: View, options: AlertOptions
) -> list[str]:
    """Add the PodMonitors; what is to be said of them."""
    if not options.prometheus_operator or not options.monitors or POD_MONITORS not in view.kinds:
        return []
    chosen = labels[POD_MONITORS]
    if options.own_pods:
        made = pod_monitor.operator(options.namespace, options.own_pods, chosen, view.owner)
        _add(objects, POD_MONITORS, made)
    trusted = {options.namespace, options.root, *(server.namespace for server in view.prometheuses[:1])}
    if other := pod_monitor.scraped_by_others(view.monitors, trusted):
        return [f"PodMonitor {other} has sidecars scraped, so none is written: with two, everything counts twice"]
    _add(objects, POD_MONITORS, pod_monitor.sidecars(options.namespace, chosen, view.owner))
    return []


def _rules(item: Alerting, told: Told, view: View, manifest: Object, objects: dict[Key, Object]) -> Told:
    if size := too_large(manifest):
        text = f"its rules have {size} bytes, and a PrometheusRule may have {MOST}: use fewer rules, or several configs"
        return replace(told, problem=text)
    _add(objects, PROMETHEUS_RULES, manifest)
    written: Mapping[str, str] = manifest["metadata"]["labels"]
    server = _selecting(view.prometheuses, lambda each: each.selects, item.namespace, written, view.labels_of)
    key = key_of(PROMETHEUS_RULES, manifest)
    unselected = enforced = ""
    if server is None and view.prometheuses:
        unselected = _unselected(view.prometheuses[0], "ruleSelector", "ruleNamespaceSelector", item.namespace)
    if server is not None and item.root and server.enforces(item.namespace, key[2]):
        enforced = (
            f"{server.title} forces its rules to see namespace {item.namespace} alone (enforcedNamespaceLabel): add "
            f"{{group: monitoring.coreos.com, resource: prometheusrules, namespace: {item.namespace}}} to its "
            "excludedFromEnforcement"
        )
    return replace(told, rule=key, server=server, unselected=unselected, enforced=enforced)


def _routes(item: Alerting, way: Way, view: View, labels: Mapping[str, str]) -> tuple[Object | None, tuple[str, ...]]:
    """The AlertmanagerConfig, and what is to be said of the channels."""
    routes = routing(item.alerts, item.config, root=item.root)
    if not routes.receivers or way is Way.PLAIN:
        return None, ()
    if way is Way.NOWHERE:
        return None, ("channels reach nobody: the API server has no AlertmanagerConfigs",)
    left_out = tuple(text for each in routes.receivers if (text := refused(each.channel)))
    if not item.root:
        own = own_name(item.config)
        manifest = alertmanager_config(routes, item.namespace, own, labels, root=False, owner=owner_of(item))
        return manifest, (*left_out, *_unrouted(manifest, view))
    namespace, text = _place(item, view, labels)
    if namespace is None:
        return None, (text,)
    far = namespace != item.namespace
    if far and (missing := _not_lent(routes, namespace, view)):
        return None, (missing,)
    name = far_name(item.config) if far else own_name(item.config)
    owner = view.far_owner if far else owner_of(item)
    manifest = alertmanager_config(routes, namespace, name, labels, root=True, owner=owner)
    return manifest, (*left_out, *_unrouted(manifest, view))


def far_secrets(items: Iterable[Alerting], view: View, options: AlertOptions) -> set[tuple[str, str]]:
    """Namespace and name of the Secrets beside an Alertmanager that configs of the root namespace name."""
    if ways(view.kinds, options).routes is not Way.OPERATOR:
        return set()
    labels = labels_for(view.alertmanagers, lambda server: server.selects, options.labels)
    found: set[tuple[str, str]] = set()
    for item in items:
        if item.root and item.alerts.channels:
            namespace, _ = _place(item, view, labels)
            if namespace not in (None, item.namespace):
                names = references(routing(item.alerts, item.config, root=True))
                found |= {(str(namespace), name) for name in names}
    return found


def _place(item: Alerting, view: View, labels: Mapping[str, str]) -> tuple[str | None, str]:
    """Where the routes of a config of the root namespace may lie so that they see alerts of all namespaces; else why
    nowhere."""
    for server in view.alertmanagers:
        match server.strategy:
            case Strategy.NONE:
                namespace = item.namespace
            case Strategy.EXCEPT:
                namespace = server.namespace
            case Strategy.ON_NAMESPACE:
                continue
        if server.selects.takes(server.namespace, namespace, labels, view.labels_of):
            return namespace, ""
    strategy = "spec.alertmanagerConfigMatcherStrategy.type"
    return None, (
        "its alerts are routed by the labels tracekeeper_config and severity alone, by whatever routes Alertmanager "
        "has: no Alertmanager lets an AlertmanagerConfig see alerts of other namespaces. For its channels to be told, "
        f"let {strategy} of the Alertmanager be {Strategy.EXCEPT} or {Strategy.NONE}"
    )


def _not_lent(routes: Routing, namespace: str, view: View) -> str:
    for name in sorted(references(routes)):
        if problem := view.lent.get((namespace, name), "it was not read yet"):
            return f"its channels are not written beside the Alertmanager: Secret {namespace}/{name}: {problem}"
    return ""


def _unrouted(manifest: Object, view: View) -> tuple[str, ...]:
    meta = manifest["metadata"]
    if not view.alertmanagers:
        return ()
    if _selecting(view.alertmanagers, lambda each: each.selects, meta["namespace"], meta["labels"], view.labels_of):
        return ()
    selectors = "alertmanagerConfigSelector", "alertmanagerConfigNamespaceSelector"
    return ("channels: " + _unselected(view.alertmanagers[0], *selectors, meta["namespace"]),)


def _selecting(
    servers: Iterable[Server],
    select: Callable[[Server], Selects],
    namespace: str,
    labels: Mapping[str, str],
    labels_of: LabelsOf,
) -> Server | None:
    """The oldest that selects an object with these labels there."""
    return next((each for each in servers if select(each).takes(each.namespace, namespace, labels, labels_of)), None)


def _unselected(server: Server, objects: str, namespaces: str, namespace: str) -> str:
    """Of the oldest one."""
    found = server.selects
    if found.objects is None:
        why = f"it has no {objects}, so it selects nothing: write one, for instance {{}}"
    elif found.namespaces is None:
        why = f"it has no {namespaces}, so it looks into its own namespace alone: write one, for instance {{}}"
    else:
        said = ", ".join(f"{key}={value}" for key, value in sorted(found.wanted.items())) or "{}"
        why = (
            f"its {objects} asks for {said}, and its {namespaces} has to match namespace {namespace}: set the chart's "
            "value alerts.labels, or change the selectors"
        )
    return f"{server.title} does not select it: {why}"


def _add(objects: dict[Key, Object], kind: Kind, manifest: Object) -> None:
    objects[key_of(kind, manifest)] = manifest
