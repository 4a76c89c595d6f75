"""Why a pod has no sidecar, and what to do: pure. The injector's own words count, where it has said some."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tracekeeper_cli.world import INJECT, MIRROR, Object, World, annotations_of, containers, labels, meta, template
from tracekeeper_spec.held import held
from tracekeeper_spec.merge import Merged
from tracekeeper_spec.resolve import ResolvedSpec, resolve
from tracekeeper_spec.scope import Scope, takes_all
from tracekeeper_spec.wish import parse_wish

TEMPLATE = "spec.template.metadata.annotations"
PORTS = ("tracekeeper.dev/grpc-port", "tracekeeper.dev/http-port", "tracekeeper.dev/metrics-port")


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that is in the way."""

    reason: str
    """One word, CamelCase."""
    problem: str
    next: str
    """What to do."""


def wants(pod: Object, world: World) -> bool:
    """Whether somebody has asked for a sidecar in this pod, where the injector can see it."""
    wish = annotations_of(pod).get(INJECT)
    return world.opted_in(_space(pod)) if wish is None else wish != "false"


def misplaced(world: World, pod: Object) -> Cause | None:
    """Whether somebody seems to have asked for a sidecar in a place where nobody looks."""
    for maker in world.makers(pod):
        if (cause := misplaced_on(maker)) is not None:
            return cause
    if (cause := labelled(pod)) is not None:
        return cause
    if annotations_of(world.namespaces.get(_space(pod), {})).get(INJECT, "false") != "false":
        return annotated_namespace(_space(pod))
    return None


def labelled(pod: Object) -> Cause | None:
    """Whether a pod has as a label what has to be an annotation."""
    if INJECT in annotations_of(pod) or labels(pod).get(INJECT, "false") == "false":
        return None
    return Cause(
        "LabelOnPod",
        f"{INJECT} is a label of the pod, and has to be an annotation (a label counts on namespaces only)",
        f"write it into {TEMPLATE} of what makes the pod",
    )


def odd_label(namespace: str, found: str) -> Cause:
    """A namespace whose label says something that nobody looks for."""
    return Cause(
        "InvalidLabel",
        f'the label {INJECT} of namespace {namespace} is {found[:63]!r}, and only "true" opts its pods in',
        f"kubectl label namespace {namespace} --overwrite {INJECT}=true; pods name a TracingConfig by an annotation",
    )


def excluded_namespace(namespace: str) -> Cause:
    """A namespace in which pods ask for sidecars that none of them gets."""
    return Cause(
        "ExcludedNamespace",
        f"pods of namespace {namespace} are never injected: it is Tracekeeper's own, kube-system, or excluded by the "
        "chart's value webhook.excludedNamespaces",
        "run the application in another namespace, or take this one out of that value",
    )


def annotated_namespace(namespace: str) -> Cause:
    """A namespace that has the annotation of a pod."""
    return Cause(
        "AnnotationOnNamespace",
        f"{INJECT} is an annotation of namespace {namespace}, and has to be a label there",
        f"kubectl label namespace {namespace} {INJECT}=true, then restart its pods",
    )


def misplaced_on(workload: Object) -> Cause | None:
    """Whether a workload has the annotation on itself (or a label), and not on the template of its pods."""
    wish = annotations_of(workload).get(INJECT) or labels(workload).get(INJECT, "false")
    if wish == "false" or workload.get("kind") == "ReplicaSet" or INJECT in annotations_of(template(workload)):
        return None
    kind, name = str(workload.get("kind")), str(meta(workload).get("name"))
    path = "spec.jobTemplate.spec.template.metadata.annotations" if kind == "CronJob" else TEMPLATE
    return Cause(
        f"AnnotationOn{kind}",
        f"{INJECT} is on {kind} {name} itself, and has to be an annotation on the template of its pods",
        f"move it to {path} of {kind} {name}; its pods are then made anew",
    )


def causes(world: World, pod: Object) -> list[Cause]:
    """Why a pod without a sidecar has none, what has to be mended first at the beginning; never empty."""
    if not wants(pod, world):
        return [misplaced(world, pod) or _not_asked(pod)]
    found = list(_against(world, pod))
    said = _said(world, pod)
    if said is not None and all(said.reason != cause.reason for cause in found):
        found.append(said)
    found += _of_operator(world)
    return found or [_too_late(world, pod)]


def _not_asked(pod: Object) -> Cause:
    if annotations_of(pod).get(INJECT) == "false":
        return Cause("OptedOut", f'its annotation {INJECT} says "false"', "take the annotation away, if it should not")
    return Cause(
        "NotOptedIn",
        "nobody has asked for a sidecar: neither the pod's annotation nor its namespace's label is there",
        f'write {INJECT}: "true" into {TEMPLATE} of what makes the pod',
    )


def _against(world: World, pod: Object) -> Iterator[Cause]:
    """What the pod itself, or the place where it is, makes impossible; the injector's reasons, in its words."""
    space, spec = _space(pod), pod.get("spec") or {}
    if space in world.excluded:
        yield excluded_namespace(space)
    if MIRROR in annotations_of(pod):
        yield Cause("MirrorPod", "it is a static pod, which runs without asking the API server", "use a Deployment")
    wish = annotations_of(pod).get(INJECT)
    if wish is not None and parse_wish(wish, space) is None:
        yield Cause(
            "InvalidAnnotation",
            f"annotation {INJECT} is {wish[:63]!r}",
            'write "true", "false", or the name of a TracingConfig, NAME or NAMESPACE/NAME',
        )
    system = (spec.get("os") or {}).get("name") or (spec.get("nodeSelector") or {}).get("kubernetes.io/os")
    if system not in (None, "linux"):
        yield Cause("UnsupportedOS", f"it runs on {system}, and the sidecar on linux", "send its spans elsewhere")
    if spec.get("hostNetwork"):
        yield Cause(
            "HostNetwork",
            "it uses the host's network, where the sidecar's ports would belong to the whole node",
            "run it without hostNetwork, or send its spans elsewhere",
        )
    scope = world.scope(space)
    enforced = held(scope, applying(scope, pod)).enforcer is not None
    ours = ports(resolved(scope, pod), {} if enforced else annotations_of(pod))
    for container in containers(pod):
        for port in container.get("ports") or ():
            number = port.get("containerPort")
            if number in ours and port.get("protocol", "TCP") == "TCP":
                yield Cause(
                    "PortConflict",
                    f"container {container.get('name')} declares port {number}, which is the sidecar's for "
                    f"{ours[number]}",
                    f"move one of them: annotation {', '.join(PORTS)}, or the TracingConfig's spec.sidecar",
                )


def _said(world: World, pod: Object) -> Cause | None:
    """What the injector has said last of the pod, or of what makes it."""
    # By name: a pod that is only being created has no UID.
    about = {(str(item.get("kind", "Pod")), meta(item).get("name")) for item in (pod, *world.makers(pod))}
    for event in sorted(world.skips, key=_time, reverse=True):
        owner = event.get("involvedObject") or {}
        if owner.get("namespace") == _space(pod) and (owner.get("kind"), owner.get("name")) in about:
            message = str(event.get("message", ""))
            first, colon, rest = message.partition(": ")
            return Cause(first if colon else "InjectionSkipped", rest or message, "as it says; then restart the pod")
    return None


def _of_operator(world: World) -> Iterator[Cause]:
    if world.mutating and not world.injecting:
        yield Cause(
            "NoWebhook",
            "the API server does not show pods to the injector: there is no webhook of that name",
            "helm status tracekeeper -n " + world.operator,
        )
    for part in world.parts:
        if labels(part).get("app.kubernetes.io/component") != "injector":
            continue
        if not (part.get("status") or {}).get("readyReplicas"):
            yield Cause(
                "InjectorNotReady",
                "no injector is ready: pods start without a sidecar meanwhile",
                f"kubectl logs -n {world.operator} deploy/{meta(part).get('name')}; then restart the pod",
            )


def _too_late(world: World, pod: Object) -> Cause:
    makers = world.makers(pod)
    if makers and INJECT in annotations_of(pod) and INJECT not in annotations_of(template(makers[-1])):
        kind, name = makers[-1].get("kind"), meta(makers[-1]).get("name")
        return Cause(
            "AnnotationOnRunningPod",
            "the annotation was put on the running pod, and pods are looked at only when they are created",
            f"put it into {TEMPLATE} of {kind} {name}; its pods are then made anew",
        )
    again = "delete it and create it anew"
    if makers:
        kind, name = str(makers[-1].get("kind")), meta(makers[-1]).get("name")
        again = f"kubectl rollout restart {kind.lower()}/{name} -n {_space(pod)}"
        if kind in ("Job", "CronJob", "ReplicaSet"):
            again = f"let {kind} {name} make it anew"
    return Cause(
        "CreatedBefore",
        "nothing speaks against it now: it was created before it was asked for, or while no injector answered",
        again,
    )


def applying(scope: Scope, pod: Object) -> Merged | None:
    """What applies to a pod."""
    wish = parse_wish(annotations_of(pod).get(INJECT, "true"), scope.namespace)
    named = wish.named if wish is not None else None
    return scope.by_name(named) if named is not None else scope.by_labels(labels(pod))


def applied(world: World, namespace: str) -> list[Object]:
    """As configs with a `spec` alone: all that applies to pods of a namespace, and what would to others of its pods."""
    scope = world.scope(namespace)
    selecting = [config for config in scope.own if not takes_all(config)]
    pods = [pod for pod in world.pods if _space(pod) == namespace and wants(pod, world)]
    found = [*(scope.with_level(config) for config in (None, *selecting)), *(applying(scope, pod) for pod in pods)]
    specs: list[Object] = []
    for merged in found:
        spec = {"spec": merged.written} if merged is not None else None
        if spec is not None and spec not in specs:
            specs.append(spec)
    return specs


def resolved(scope: Scope, pod: Object) -> ResolvedSpec:
    """The same with all defaults, and what is enforced."""
    return resolve(held(scope, applying(scope, pod)).spec)


def ports(spec: ResolvedSpec, notes: dict[str, str]) -> dict[int, str]:
    """The sidecar's ports, and what each is for; annotations of the pod count."""
    otlp = spec.sidecar.receivers.otlp
    said = [notes.get(key, "").strip() for key in PORTS]
    usual = (
        (otlp.grpc_port, "OTLP over gRPC"),
        (otlp.http_port, "OTLP over HTTP"),
        (spec.sidecar.ports.metrics, "metrics"),
    )
    return {
        int(text) if text.isascii() and text.isdigit() else port: use
        for text, (port, use) in zip(said, usual, strict=True)
    }


def _space(pod: Object) -> str:
    return str(meta(pod).get("namespace", ""))


def _time(event: Object) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or meta(event).get("creationTimestamp") or "")
