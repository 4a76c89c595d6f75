"""What is done to a pod at admission: pure, from the pod and the TracingConfigs of its namespace to a JSON
patch.

Only additions are made: the sidecar as first init container behind a service mesh's, up to five volumes, a label, four
annotations, two variables in each other container that says nothing about its traces exporter, the chart's pull
secrets, an fsGroup where a volume of the sidecar's own cannot do without and nothing else is touched by it, and, in a
pod that has a budget as a whole, the sidecar's share of it. A pod that was injected already gets nothing but those
variables, in containers that another webhook has added since, and probes that pass through a proxy that came so:
applying a patch and injecting again adds nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tracekeeper_spec.held import held
from tracekeeper_spec.merge import Merged
from tracekeeper_spec.resolve import ResolvedSpec, resolve
from tracekeeper_spec.scope import Scope
from tracekeeper_spec.wish import Reference, parse_wish

from . import mesh, names, resources, sidecar, storage
from .bounds import UNBOUND, Bounds
from .overrides import Overridden, override
from .pod import Container, MalformedPod, Pod, entries, parse
from .sidecar import Fit, Options
from .storage import Storage

Operation = dict[str, Any]
"""One operation of RFC 6902; always `add`."""

NO_CONFIG = "none"
"""In place of sources, when no TracingConfig is there for a pod."""

GRPC, HTTP = "grpc", "http/protobuf"
"""OTEL_EXPORTER_OTLP_TRACES_PROTOCOL, as OpenTelemetry writes it; HTTP is the default."""


class SkipReason(StrEnum):
    """Why a pod was left alone; the label of the metric and the first word of the Event."""

    NOT_OPTED_IN = "NotOptedIn"
    ALREADY_INJECTED = "AlreadyInjected"
    INVALID_ANNOTATION = "InvalidAnnotation"
    HOST_NETWORK = "HostNetwork"
    PORT_CONFLICT = "PortConflict"
    UNSUPPORTED_OS = "UnsupportedOS"
    MIRROR_POD = "MirrorPod"
    MALFORMED_POD = "MalformedPod"
    NO_IMAGE = "NoImage"
    NO_ROOM = "NoRoom"


@dataclass(frozen=True, slots=True)
class Skip:
    """The pod is left as it is."""

    reason: SkipReason
    message: str
    """What it means and what to do, for the Event on the pod's owner."""

    @property
    def silent(self) -> bool:
        """Whether nobody needs to hear of it."""
        return self.reason in (SkipReason.NOT_OPTED_IN, SkipReason.ALREADY_INJECTED, SkipReason.MIRROR_POD)


@dataclass(frozen=True, slots=True)
class Injection:
    """The pod gets a sidecar."""

    patch: tuple[Operation, ...]
    resolved_from: str
    """`namespace/name@generation` of each TracingConfig that takes part, the most specific first, separated by commas;
    `none` when there is none for the pod."""
    message: str
    """For the Event on the pod's owner; empty when there is nothing new to say."""
    warning: bool
    """Whether the message asks for something to be done."""
    again: bool = False
    """Whether it has the sidecar already, and only gets what is lacking beside it."""


def inject(
    body: Mapping[str, Any],
    scope: Scope,
    options: Options,
    *,
    by_namespace: bool = False,
    bounds: Bounds = UNBOUND,
) -> Injection | Skip:
    """Decide about one pod of the namespace that `scope` is about; never raises for what the pod says.

    `by_namespace` is True when the namespace's label opted in, so that the pod itself need not say anything. `bounds`
    are what the namespace asks of every container.
    """
    try:
        pod = parse(body)
        named = _named(pod, scope.namespace)
        merged = scope.by_name(named) if named is not None else scope.by_labels(pod.labels)
        known = held(scope, merged)
        wish = override(pod, resolve(known.spec), options, known.enforcer)
        skip = _skip(pod, wish.spec, by_namespace=by_namespace) or _no_image(wish)
        if skip is not None:
            return _again(pod, wish.spec) or skip if skip.reason is SkipReason.ALREADY_INJECTED else skip
        return _injection(pod, scope, merged, wish, options, bounds)
    except MalformedPod as error:
        return Skip(SkipReason.MALFORMED_POD, f"{error}: the pod was not understood and is left as it is")
    except resources.NoRoom as error:
        return Skip(SkipReason.NO_ROOM, f"namespace {scope.namespace}: {error}; the pod starts without tracing")


def _named(pod: Pod, namespace: str) -> Reference | None:
    """The config that the pod asks for by name."""
    wish = parse_wish(pod.annotations.get(names.INJECT, "true"), namespace)
    return wish.named if wish is not None else None


def _skip(pod: Pod, spec: ResolvedSpec, *, by_namespace: bool) -> Skip | None:
    """The first reason that speaks against injection, or None."""
    wish = pod.annotations.get(names.INJECT, "true" if by_namespace else "false")
    if wish == "false":
        return Skip(SkipReason.NOT_OPTED_IN, f"the pod is not annotated {names.INJECT}: true")
    if pod.injected:
        return Skip(SkipReason.ALREADY_INJECTED, f"the pod has a container named {names.SIDECAR} already")
    if names.MIRROR in pod.annotations:
        return Skip(SkipReason.MIRROR_POD, "the pod only shows a static pod, which runs already")
    if parse_wish(wish, "") is None:
        return Skip(
            SkipReason.INVALID_ANNOTATION,
            f'annotation {names.INJECT} is {wish[:63]!r}: write "true", "false", or the name of a TracingConfig, '
            "NAME or NAMESPACE/NAME; the pod starts without tracing",
        )
    if _foreign_os(pod) is not None:
        return Skip(
            SkipReason.UNSUPPORTED_OS,
            f"the pod runs on {_foreign_os(pod)} and the sidecar on linux; the pod starts without tracing",
        )
    if pod.spec.get("hostNetwork") is True:
        return Skip(
            SkipReason.HOST_NETWORK,
            "the pod uses the host's network (hostNetwork), where the sidecar's ports would belong to the whole node; "
            "the pod starts without tracing",
        )
    return _port_conflict(pod, spec)


def _no_image(wish: Overridden) -> Skip | None:
    if wish.image:
        return None
    return Skip(
        SkipReason.NO_IMAGE,
        "the sidecar's image cannot be pulled here, and no older one is known to work (see the condition Injected of "
        "the TracingConfig); the pod starts without tracing, because with it, it would not start at all",
    )


def _foreign_os(pod: Pod) -> str | None:
    """The pod's operating system when it is said, by itself or by the nodes that it asks for, and not linux."""
    for field, key in (("os", "name"), ("nodeSelector", names.NODE_OS)):
        section = pod.spec.get(field)
        system = section.get(key) if isinstance(section, Mapping) else None
        if system not in (None, "linux"):
            return str(system)
    return None


def _port_conflict(pod: Pod, spec: ResolvedSpec) -> Skip | None:
    ours = sidecar.ports(spec)
    for container in (*pod.init_containers, *pod.containers):
        for port in sorted(container.tcp_ports & ours.keys()):
            return Skip(
                SkipReason.PORT_CONFLICT,
                f"container {container.name} declares port {port}, which is the sidecar's for {ours[port]}; "
                "move one of them (spec.sidecar.ports and spec.sidecar.receivers of the TracingConfig, or annotations "
                "of the pod); "
                "the pod starts without tracing",
            )
    return None


def _injection(
    pod: Pod, scope: Scope, merged: Merged | None, wish: Overridden, options: Options, bounds: Bounds
) -> Injection:
    """Raises MalformedPod, NoRoom."""
    namespace, source = scope.namespace, ",".join(merged.sources) if merged is not None else NO_CONFIG
    spec, smaller = resources.fit_buffer(pod, wish.spec, namespace, bounds, options.host_paths)
    enforcer = held(scope, merged).enforcer
    config = merged.head.name if merged is not None else enforcer.name if enforcer is not None else ""
    buffer = storage.plan(pod, spec, namespace, config, options.host_paths)
    demand = resources.demand(pod, spec, buffer, bounds)
    fit = Fit(
        image=wish.image,
        resources={"requests": dict(demand.requests), "limits": dict(demand.limits)},
        probe_inside=mesh.intercepts(pod, spec.sidecar.ports.metrics),
        hide_token=pod.spec.get("automountServiceAccountToken") is not False,
    )
    added = _missing(pod, sidecar.volumes(buffer, hide_token=fit.hide_token))
    patch = (
        *_keys(pod, "labels", {names.INJECTED: "true"}),
        *_keys(pod, "annotations", _annotations(pod, wish.image, options, source, spec, added)),
        *_fs_group(pod, buffer),
        *_pull_secrets(pod, options),
        *_budget(demand.whole),
        *_volumes(pod, added),
        *_environment(pod, spec, mesh.place(pod)),
        # Last, because it moves the places of the other init containers.
        *_insert(pod, sidecar.container(spec, options, buffer, fit), mesh.place(pod)),
    )
    message, warning = _message(pod, scope, merged, spec)
    advice = [note for note in (buffer.note, smaller, demand.note) if note]
    faults = [*wish.faults, *_odd_protocol(pod)]
    text = "; ".join([message, *advice, *faults])
    return Injection(patch, source, text, warning or buffer.warning or bool(faults))


def _odd_protocol(pod: Pod) -> list[str]:
    protocol = pod.annotations.get(names.OTLP_PROTOCOL, HTTP)
    if protocol in (GRPC, HTTP):
        return []
    return [
        f"annotation {names.OTLP_PROTOCOL} is {protocol[:63]!r}, which is neither {GRPC} nor {HTTP}: {HTTP} is used"
    ]


def _again(pod: Pod, spec: ResolvedSpec) -> Injection | None:
    """What a pod of ours still lacks when the API server asks a second time; None when that is nothing."""
    if names.INJECTED not in pod.labels:
        return None
    places = [index for index, item in enumerate(pod.init_containers) if item.name == names.SIDECAR]
    patch = tuple(_environment(pod, spec, *places[:1])) + tuple(_probes(pod, spec))
    source = pod.annotations.get(names.RESOLVED_FROM, NO_CONFIG)
    return Injection(patch, source, "", False, again=True) if patch else None


def _probes(pod: Pod, spec: ResolvedSpec) -> list[Operation]:
    """Those of our container, where a mesh's proxy has come after it."""
    ours = [item for item in pod.init_containers if item.name == names.SIDECAR]
    if not mesh.intercepts(pod, spec.sidecar.ports.metrics):
        return []
    wanted = sidecar.probes(spec, inside=True)
    return [
        _add(f"{item.path}/{name}", probe)
        for item in ours
        for name, probe in wanted.items()
        if "httpGet" in (item.body.get(name) or {})
    ]


def _message(pod: Pod, scope: Scope, merged: Merged | None, spec: ResolvedSpec) -> tuple[str, bool]:
    if merged is None:
        return f"injected {names.SIDECAR}, but {_lack(pod, scope)}", True
    text = f"injected {names.SIDECAR} as {' over '.join(merged.sources)} says"
    if spec.suspend:
        text += "; it is suspended: spans are answered and not stored"
    from_env = [item.name for item in pod.containers if item.body.get("envFrom") and not item.sets_traces_exporter]
    if from_env:
        text += (
            f"; {names.TRACES_ENDPOINT} now wins over one from envFrom in {', '.join(from_env)}: to keep that one, "
            "name it in env"
        )
    return text, False


def _lack(pod: Pod, scope: Scope) -> str:
    """Why no TracingConfig is there for a pod, and what to do."""
    named, until = _named(pod, scope.namespace), "its spans wait in the buffer until"
    if named is None:
        return (
            f"no valid TracingConfig in namespace {scope.namespace} selects this pod: {until} one does "
            "(kubectl get tracingconfigs)"
        )
    if scope.find(named) is None:
        return (
            f"there is no valid TracingConfig {named}, which it names: {until} there is "
            f"(kubectl get tracingconfigs -n {named.namespace})"
        )
    return (
        f"TracingConfig {named}, which it names, may not be used in namespace {scope.namespace}: {until} its owner "
        "allows that (spec.allowedNamespaces), or another config is named"
    )


def _annotations(
    pod: Pod, image: str, options: Options, source: str, spec: ResolvedSpec, added: list[dict[str, Any]]
) -> dict[str, str]:
    scraped = _scraped(pod, spec) if options.scrape else {}
    return _marks(image, options, source) | _evictable(pod, added) | scraped


def _scraped(pod: Pod, spec: ResolvedSpec) -> dict[str, str]:
    """Where the sidecar's metrics are, for a Prometheus that goes by annotations; nothing in a pod that says where its
    own are, because there is room for one."""
    if any(name in pod.annotations for name in names.SCRAPE):
        return {}
    return dict(zip(names.SCRAPE, ("true", str(spec.sidecar.ports.metrics), "/metrics"), strict=True))


def _marks(image: str, options: Options, source: str) -> dict[str, str]:
    return {
        names.RESOLVED_FROM: source,
        names.SIDECAR_IMAGE: image,
        names.SIDECAR_VERSION: options.version,
    }


def _keys(pod: Pod, field: str, wanted: Mapping[str, str]) -> list[Operation]:
    """Labels or annotations of the pod's own."""
    if pod.meta.get(field) is None:
        return [_add(f"/metadata/{field}", dict(wanted))]
    return [_add(f"/metadata/{field}/{_escape(key)}", value) for key, value in wanted.items()]


def _fs_group(pod: Pod, buffer: Storage) -> list[Operation]:
    if buffer.fs_group is None:
        return []
    if pod.spec.get("securityContext") is None:
        return [_add("/spec/securityContext", {"fsGroup": buffer.fs_group})]
    return [_add("/spec/securityContext/fsGroup", buffer.fs_group)]


def _pull_secrets(pod: Pod, options: Options) -> list[Operation]:
    """A Secret that is not there keeps nothing from starting: the kubelet tries without it."""
    own = entries(pod.spec, "imagePullSecrets", "/spec")
    present = {entry.get("name") for entry in own or []}
    missing = [{"name": name} for name in options.pull_secrets if name not in present]
    if own is None and missing:
        return [_add("/spec/imagePullSecrets", missing)]
    return [_add("/spec/imagePullSecrets/-", entry) for entry in missing]


def _budget(whole: Mapping[str, Mapping[str, str]]) -> list[Operation]:
    return [
        _add(f"/spec/resources/{field}/{name}", amount)
        for field, sums in whole.items()
        for name, amount in sums.items()
    ]


def _missing(pod: Pod, volumes: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """A volume of our name that the pod declares is used as it is: that is how a buffer gets a claim of its
    own.
    """
    return [volume for volume in volumes if volume["name"] not in pod.volumes]


def _volumes(pod: Pod, missing: list[dict[str, Any]]) -> list[Operation]:
    if pod.spec.get("volumes") is None:
        return [_add("/spec/volumes", missing)]
    return [_add("/spec/volumes/-", volume) for volume in missing]


def _evictable(pod: Pod, volumes: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """A pod with a folder on its node keeps the cluster autoscaler from removing the node, unless it says that the
    folder may go; the sidecar empties its own before it ends."""
    ours = [volume["name"] for volume in volumes if "emptyDir" in volume]
    own = [name.strip() for name in pod.annotations.get(names.EVICTABLE, "").split(",") if name.strip()]
    return {names.EVICTABLE: ",".join([*own, *(name for name in ours if name not in own)])} if ours else {}


def _environment(pod: Pod, spec: ResolvedSpec, place: int = 0) -> list[Operation]:
    """Init containers too: the sidecar runs before those from `place` on, and they may trace."""
    wanted = exporter(pod.annotations.get(names.OTLP_PROTOCOL), spec)
    operations: list[Operation] = []
    for container in (*pod.init_containers[place:], *pod.containers):
        foreign = container.name == names.SIDECAR or mesh.belongs(container.name)
        if not foreign and not container.sets_traces_exporter:
            operations += _variables(container, wanted)
    return operations


def exporter(protocol: str | None, spec: ResolvedSpec) -> dict[str, str]:
    """The variables that lead an OpenTelemetry SDK's traces, and nothing else of it, to the sidecar.

    Only the traces' own: the general ones would take metrics and logs along, which the sidecar does not take.
    """
    otlp = spec.sidecar.receivers.otlp
    if protocol == GRPC:
        return {names.TRACES_ENDPOINT: f"http://127.0.0.1:{otlp.grpc_port}", names.TRACES_PROTOCOL: GRPC}
    endpoint = f"http://127.0.0.1:{otlp.http_port}/v1/traces"
    return {names.TRACES_ENDPOINT: endpoint, names.TRACES_PROTOCOL: HTTP}


def _variables(container: Container, wanted: Mapping[str, str]) -> list[Operation]:
    variables = [{"name": name, "value": value} for name, value in wanted.items()]
    if container.entries("env") is None:
        return [_add(f"{container.path}/env", variables)]
    return [_add(f"{container.path}/env/-", variable) for variable in variables]


def _insert(pod: Pod, container: dict[str, Any], place: int) -> list[Operation]:
    if pod.spec.get("initContainers") is None:
        return [_add("/spec/initContainers", [container])]
    return [_add(f"/spec/initContainers/{place}", container)]


def _add(path: str, value: Any) -> Operation:
    return {"op": "add", "path": path, "value": value}


def _escape(key: str) -> str:
    """A key as a part of a JSON pointer, RFC 6901."""
    return key.replace("~", "~0").replace("/", "~1")
