"""What the commands judge: objects of the cluster as they were read, and plain questions about them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tracekeeper_cli.network_policy import Need
from tracekeeper_spec.config import TracingConfig
from tracekeeper_spec.faults import Fault
from tracekeeper_spec.parse import parse_manifest
from tracekeeper_spec.scope import Scope

INJECT = "tracekeeper.dev/inject"
INJECTED = "tracekeeper.dev/injected"
RESOLVED_FROM = "tracekeeper.dev/resolved-from"
IMAGE = "tracekeeper.dev/image"
SIDECAR_IMAGE = "tracekeeper.dev/sidecar-image"
SIDECAR_VERSION = "tracekeeper.dev/sidecar-version"
MIRROR = "kubernetes.io/config.mirror"
CONTAINER = "tracekeeper-sidecar"
POLICY_SECRET = "tracekeeper-policy"
WEBHOOK = "inject.tracekeeper.dev"
PART_OF = "app.kubernetes.io/part-of=tracekeeper"
COMPONENT = "app.kubernetes.io/component"
Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class World:
    """One look at a cluster, or at a part of it."""

    operator: str
    """The namespace of Tracekeeper itself."""
    namespaces: Mapping[str, Object] = field(default_factory=dict)
    configs: tuple[Object, ...] = ()
    pods: tuple[Object, ...] = ()
    workloads: tuple[Object, ...] = ()
    """Whatever makes pods; each with its `kind`."""
    skips: tuple[Object, ...] = ()
    """Events with which the injector said why it left a pod alone."""
    parts: tuple[Object, ...] = ()
    """Deployments of Tracekeeper itself."""
    mutating: tuple[Object, ...] = ()
    validating: tuple[Object, ...] = ()
    policies: Mapping[str, Object | None] = field(default_factory=dict)
    """By namespace: the Secret with the policy, its metadata alone; None where it is missing."""
    networks: tuple[Object, ...] = ()
    """NetworkPolicies."""
    needs: Mapping[str, Need] = field(default_factory=dict)
    """By namespace, what sidecars need of the network; of those that have NetworkPolicies and pods with a sidecar."""
    monitors: tuple[Object, ...] | None = None
    """PodMonitors; None where the cluster does not know them, and where nobody needs them."""
    stream: Object | None = None
    """ConfigMap `tracekeeper-ca`, in which the control stream is described; None where there is none."""
    unread: tuple[str, ...] = ()

    def scope(self, namespace: str) -> Scope:
        """What is there for the pods of a namespace: the operator's own way to see it."""
        known = valid(self.configs)
        found = self.namespaces.get(namespace)
        return Scope(
            namespace, labels(found) if found is not None else None, lambda name: known.get(name, []), self.root
        )

    @property
    def root(self) -> str:
        """Where defaults for the whole cluster are: as the operator's flag says, else beside it."""
        for part in self.parts:
            for container in containers(part.get("spec", {}).get("template", {})):
                for argument in container.get("args") or ():
                    flag, _, value = str(argument).partition("=")
                    if flag == "--root-namespace" and value:
                        return value
        return self.operator

    @property
    def image(self) -> str:
        """Which the sidecar is given; empty where that is not known."""
        for part in self.parts:
            for container in containers(part.get("spec", {}).get("template", {})):
                for entry in container.get("env") or ():
                    if entry.get("name") == "TRACEKEEPER_SIDECAR_IMAGE":
                        return str(entry.get("value") or "")
        return ""

    @property
    def registries(self) -> tuple[str, ...]:
        """What the name of an image must begin with that a pod asks for; empty where none may be asked for."""
        for part in self.parts:
            for container in containers(part.get("spec", {}).get("template", {})):
                for argument in container.get("args") or ():
                    flag, _, value = str(argument).partition("=")
                    if flag == "--image-registries":
                        return tuple(filter(None, value.split(",")))
        return ()

    @property
    def version(self) -> str:
        """Of the operator; empty where that is not known."""
        return next((labels(part).get("app.kubernetes.io/version", "") for part in self.parts), "")

    @property
    def injecting(self) -> list[Object]:
        """The webhooks that pods are shown to, of all configurations."""
        return [hook for found in self.mutating for hook in found.get("webhooks") or () if hook.get("name") == WEBHOOK]

    @property
    def excluded(self) -> frozenset[str]:
        """Namespaces whose pods are never shown to the injector."""
        return frozenset(
            value
            for hook in self.injecting
            for rule in (hook.get("namespaceSelector") or {}).get("matchExpressions") or ()
            if rule.get("key") == "kubernetes.io/metadata.name" and rule.get("operator") == "NotIn"
            for value in rule.get("values") or ()
        )

    def opted_in(self, namespace: str) -> bool:
        """Whether a namespace asks for sidecars in all of its pods."""
        return labels(self.namespaces.get(namespace, {})).get(INJECT) == "true"

    def makers(self, pod: Object) -> list[Object]:
        """The workloads that a pod comes from, the nearest first; empty where none is known."""
        by_uid = {meta(item).get("uid"): item for item in self.workloads}
        found: list[Object] = []
        item: Object | None = pod
        while item is not None and len(found) < 4:
            owners = [each.get("uid") for each in meta(item).get("ownerReferences") or () if each.get("controller")]
            item = by_uid.get(owners[0]) if owners else None
            found += [item] if item is not None else []
        return found


def valid(manifests: tuple[Object, ...]) -> dict[str, list[TracingConfig]]:
    """Those without faults, by namespace."""
    found: dict[str, list[TracingConfig]] = {}
    for manifest in manifests:
        config, _ = parsed(manifest)
        if config is not None:
            found.setdefault(config.namespace, []).append(config)
    return found


def parsed(manifest: Object) -> tuple[TracingConfig | None, list[Fault]]:
    """As the operator reads it. Items of a list do not say what they are."""
    return parse_manifest({"apiVersion": "tracekeeper.dev/v1alpha1", "kind": "TracingConfig", **manifest})


def meta(item: Object) -> Object:
    found: Object = item.get("metadata") or {}
    return found


def labels(item: Object) -> dict[str, str]:
    return dict(meta(item).get("labels") or {})


def annotations_of(item: Object) -> dict[str, str]:
    return dict(meta(item).get("annotations") or {})


def name_of(item: Object) -> str:
    """`shop/agents`"""
    return f"{meta(item).get('namespace', '')}/{meta(item).get('name', '')}".removeprefix("/")


def template(workload: Object) -> Object:
    """Of the pods that a workload makes."""
    spec = workload.get("spec") or {}
    if workload.get("kind") == "CronJob":
        spec = (spec.get("jobTemplate") or {}).get("spec") or {}
    found: Object = spec.get("template") or {}
    return found


def containers(pod: Object) -> Iterator[Object]:
    """Init containers too."""
    spec = pod.get("spec") or {}
    yield from spec.get("initContainers") or ()
    yield from spec.get("containers") or ()


def sidecar(pod: Object) -> Object | None:
    """Our container in a pod."""
    return next((each for each in containers(pod) if each.get("name") == CONTAINER), None)


def alive(pod: Object) -> bool:
    """Whether it runs, or is going to."""
    phase = (pod.get("status") or {}).get("phase")
    return phase not in ("Succeeded", "Failed") and not meta(pod).get("deletionTimestamp")


def sidecar_status(pod: Object) -> Object:
    """What the kubelet says of our container; empty where it says nothing yet."""
    status = pod.get("status") or {}
    entries = (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ()))
    return next((each for each in entries if each.get("name") == CONTAINER), {})
