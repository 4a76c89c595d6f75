"""Reads a World from the cluster: of one pod, of one namespace, or of all."""

from __future__ import annotations

from dataclasses import replace

from tracekeeper_cli.cluster import AUTHORITY, Cluster
from tracekeeper_cli.errors import CLIError
from tracekeeper_cli.missing import applied
from tracekeeper_cli.network_policy import Need, need
from tracekeeper_cli.objects import Objects
from tracekeeper_cli.world import (
    INJECT,
    PART_OF,
    POLICY_SECRET,
    WEBHOOK,
    Object,
    World,
    annotations_of,
    meta,
    sidecar,
)
from tracekeeper_spec.wish import parse_wish

WORKLOADS = {
    "deployments": "Deployment",
    "statefulsets": "StatefulSet",
    "daemonsets": "DaemonSet",
    "replicasets": "ReplicaSet",
    "jobs": "Job",
    "cronjobs": "CronJob",
}
SKIPPED = "reason=InjectionSkipped"


def survey(cluster: Cluster, namespace: str | None, operator: str | None, *, policies: bool = True) -> World:
    """What is in one namespace, or (None) in all, and what is there for its pods. Raises CLIError."""
    objects = cluster.objects()
    pods = objects.all_of("pods", namespace)
    world = installed(objects, operator)
    if namespace is None:
        namespaces = {str(meta(item).get("name")): item for item in objects.all_of("namespaces")}
        configs = cluster.tracing_configs(None)
    else:
        found = objects.namespace(namespace)
        namespaces = {namespace: found} if found is not None else {}
        configs = _configs(cluster, objects, namespace, world.root, pods)
    workloads: list[Object] = []
    for plural, kind in WORKLOADS.items():
        workloads += [{**item, "kind": kind} for item in objects.all_of(plural, namespace)]
    concerned = {str(meta(pod).get("namespace")) for pod in pods if sidecar(pod) is not None} if policies else set()
    concerned |= {str(meta(item).get("namespace")) for item in configs if namespace in (None, _space(item))}
    world = replace(
        world,
        namespaces=namespaces,
        configs=tuple(configs),
        pods=tuple(pods),
        workloads=tuple(workloads),
        skips=tuple(objects.all_of("events", namespace, fields=SKIPPED)),
        policies=_policies(objects, sorted(concerned)) if policies else {},
        networks=tuple(objects.all_of("networkpolicies", namespace)) if policies else (),
        unread=tuple(dict.fromkeys(objects.unread)),
    )
    world = replace(world, needs=_needs(cluster, world))
    return _told_of(objects, world) if policies else world


def _told_of(objects: Objects, world: World) -> World:
    """What only a doctor needs: how sidecars tell of themselves, and who might scrape those that nobody does."""
    objects.unread.clear()
    stream = objects.config_map(world.operator, AUTHORITY)
    if stream is None and world.parts and not objects.unread:
        objects.unread.append(
            "what sidecars say of themselves (backends, silence, scrapes, sampling): the control stream is off, by the "
            "chart's value control.enabled"
        )
    counts = ((item.get("status") or {}).get("pods") or {} for item in world.configs)
    monitors = objects.pod_monitors() if any(each.get("unscraped") for each in counts) else None
    return replace(
        world,
        stream=stream,
        monitors=tuple(monitors) if monitors is not None else None,
        unread=(*world.unread, *objects.unread),
    )


def _needs(cluster: Cluster, world: World) -> dict[str, Need]:
    """Services are read where there are NetworkPolicies and sidecars, to which they might matter."""
    injected = {_space(pod) for pod in world.pods if sidecar(pod) is not None}
    return {
        namespace: need(namespace, applied(world, namespace), world.operator, cluster.service)
        for namespace in sorted({_space(item) for item in world.networks} & injected)
    }


def _configs(cluster: Cluster, objects: Objects, namespace: str, root: str, pods: list[Object]) -> list[Object]:
    """The namespace's own, those of the root namespace, and those of namespaces that its pods name."""
    wishes = (parse_wish(annotations_of(pod).get(INJECT, "true"), namespace) for pod in pods)
    named = {wish.named.namespace for wish in wishes if wish is not None and wish.named is not None}
    found = list(cluster.tracing_configs(namespace))
    for space in sorted((named | {root}) - {namespace}):
        try:
            found += cluster.tracing_configs(space)
        except CLIError as error:
            objects.unread.append(str(error))
    return found


def installed(objects: Objects, operator: str | None) -> World:
    """Tracekeeper itself. Where it is, is in its webhook, which few may not read."""
    mutating = objects.all_of("mutatingwebhookconfigurations", labels=PART_OF)
    validating = objects.all_of("validatingwebhookconfigurations", labels=PART_OF)
    told = (
        str(((hook.get("clientConfig") or {}).get("service") or {}).get("namespace") or "")
        for found in mutating
        for hook in found.get("webhooks") or ()
        if hook.get("name") == WEBHOOK
    )
    space = operator or next(filter(None, told), "") or "tracekeeper-system"
    return World(
        operator=space,
        parts=tuple(objects.all_of("deployments", space, labels=PART_OF)),
        mutating=tuple(mutating),
        validating=tuple(validating),
    )


def _policies(objects: Objects, namespaces: list[str]) -> dict[str, Object | None]:
    """Those that may not be read are left out."""
    found: dict[str, Object | None] = {}
    for namespace in namespaces:
        before = len(objects.unread)
        secret = objects.secret(namespace, POLICY_SECRET)
        if len(objects.unread) == before:
            found[namespace] = secret
        else:
            # Whoever may not read Secrets need not be told so for every namespace.
            del objects.unread[before:]
    return found


def _space(item: Object) -> str:
    return str(meta(item).get("namespace", ""))
