"""Where a pod's sidecar keeps its spans: the volume, its mount, and what the sidecar and the kubelet are told. Pure.

The kubelet evicts a pod whose emptyDir volumes, logs and container files together exceed the sum of its containers'
limits for ephemeral storage, and it takes that sum as soon as one container has such a limit. So the sidecar asks for
what its volume may take in every pod, but gets a limit only where the pod has one already: there it raises the sum by
as much as the buffer may take; alone it would become a limit on the application's own files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tracekeeper_spec.config import StorageType
from tracekeeper_spec.resolve import ResolvedSpec
from tracekeeper_spec.units import format_quantity

from . import names
from .pod import Pod

Object = dict[str, Any]

EPHEMERAL_STORAGE = "ephemeral-storage"
QUOTA_PERCENT = {StorageType.EMPTY_DIR: 95, StorageType.EPHEMERAL: 90, StorageType.HOST_PATH: 95}
"""Of the volume's size: the log must refuse before the kubelet evicts the pod for a full emptyDir; a file system of
its own needs some of the volume for itself, ext4 about 5 %."""
LOGS = 64 << 20
"""Bytes beside the volume: what the kubelet keeps of the sidecar's own log, five files of 10 MiB, and some room."""
EVERYWHERE = "*"
GROUP = 65532
"""The sidecar's group, which fsGroup gives a volume to."""
FRAGILE = ("persistentVolumeClaim", "ephemeral", "csi", "secret", "projected")
"""Volumes whose files may be meant to have exactly the modes and groups that they have: keys, databases."""
TOKEN_VOLUME = "kube-api-access-"
"""The API server puts such a projected volume into nearly every pod; a group does it no harm."""


@dataclass(frozen=True, slots=True)
class HostPaths:
    """What the platform allows with `storage.type: HostPath`."""

    path: str = ""
    """The folder on every node in which buffers may be."""
    namespaces: tuple[str, ...] = ()
    """Where TracingConfigs may ask for it; `*` is every namespace."""

    def allow(self, namespace: str) -> bool:
        """Whether pods of the namespace may keep their buffer on the node."""
        return EVERYWHERE in self.namespaces or namespace in self.namespaces

    def refusal(self, spec: ResolvedSpec, namespace: str) -> str:
        """Why this config does not get what it asks for, and what it gets; empty when nothing is refused."""
        if spec.sidecar.storage.type is not StorageType.HOST_PATH or self.allow(namespace):
            return ""
        return (
            f"storage.type HostPath is not allowed in namespace {namespace}: pods get an EmptyDir of the same size; "
            "write another type, or have the namespace listed in the chart's value sidecar.hostPath.namespaces"
        )


NOWHERE = HostPaths()


@dataclass(frozen=True, slots=True)
class Storage:
    """What one pod's buffer is made of."""

    mount: Object
    volume: Object
    """What to add when the pod declares no volume of that name."""
    arguments: tuple[str, ...]
    environment: tuple[Object, ...]
    ephemeral: int
    """Bytes of ephemeral storage that the sidecar may take of the node, its log included."""
    limited: bool
    """Whether they are a limit too."""
    fs_group: int | None
    """The pod's fsGroup to set."""
    note: str
    """For the Event; empty when all is as the config says."""
    warning: bool
    """Whether the note asks for something to be done."""


def plan(pod: Pod, spec: ResolvedSpec, namespace: str, config: str, host_paths: HostPaths) -> Storage:
    """Decide about one pod that gets a sidecar; `config` is the name of its TracingConfig. Raises MalformedPod."""
    storage = spec.sidecar.storage
    declared = pod.volumes.get(names.BUFFER_VOLUME)
    note = "" if declared is not None else host_paths.refusal(spec, namespace)
    kind = StorageType.EMPTY_DIR if note else storage.type
    on_node = declared is None and kind is StorageType.HOST_PATH
    fs_group, advice = (None, "") if declared is not None else _fs_group(pod, kind)
    in_pod = _is_empty_dir(declared) if declared is not None else kind is StorageType.EMPTY_DIR
    mount: Object = {"name": names.BUFFER_VOLUME, "mountPath": names.BUFFER_PATH}
    return Storage(
        # Only the config's own folder is mounted: no sidecar sees what other namespaces have on the node.
        mount=mount | ({"subPath": f"{namespace}/{config}"} if on_node else {}),
        volume=_volume(kind, spec, host_paths),
        arguments=(*_directories(on_node), *_sizes(spec, QUOTA_PERCENT[kind])),
        environment=(_pod_uid(),) if on_node else (),
        ephemeral=LOGS + (storage.size if in_pod else 0),
        limited=any(_limits(pod)),
        fs_group=fs_group,
        note=note or advice,
        warning=bool(note),
    )


def _directories(on_node: bool) -> Iterator[str]:
    if on_node:
        yield f"--data-dir={names.BUFFER_PATH}/$({names.POD_UID})"
        yield f"--adopt-from={names.BUFFER_PATH}"
    else:
        yield f"--data-dir={names.BUFFER_PATH}"


def _sizes(spec: ResolvedSpec, percent: int) -> Iterator[str]:
    storage = spec.sidecar.storage
    yield f"--storage-size={storage.size * percent // 100}"
    if storage.history != storage.size // 2:  # What the sidecar takes for granted.
        yield f"--storage-history={storage.history * percent // 100}"


def _pod_uid() -> Object:
    return {"name": names.POD_UID, "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}


def _volume(kind: StorageType, spec: ResolvedSpec, host_paths: HostPaths) -> Object:
    storage = spec.sidecar.storage
    size = format_quantity(storage.size)
    source: Object
    if kind is StorageType.HOST_PATH:
        # With "Directory", a node that lacks the folder would keep the application from starting.
        source = {"hostPath": {"path": host_paths.path, "type": "DirectoryOrCreate"}}
    elif kind is StorageType.EPHEMERAL:
        claim: Object = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
        if storage.ephemeral is not None and storage.ephemeral.storage_class_name:
            claim["storageClassName"] = storage.ephemeral.storage_class_name
        source = {"ephemeral": {"volumeClaimTemplate": {"spec": claim}}}
    else:
        source = {"emptyDir": {"sizeLimit": size}}
    return {"name": names.BUFFER_VOLUME, **source}


def _is_empty_dir(volume: Mapping[str, Any]) -> bool:
    """Whether it counts against the pod's ephemeral storage; in memory it counts as memory instead."""
    found = volume.get("emptyDir")
    return isinstance(found, Mapping) and found.get("medium") in (None, "")


def _fs_group(pod: Pod, kind: StorageType) -> tuple[int | None, str]:
    """The fsGroup that the pod needs for its sidecar to write on a new file system, or what to say instead.

    A new file system belongs to root; only fsGroup gives it to somebody else, and only for the pod as a whole. So it
    is set where nothing of the application's can be hurt by it.
    """
    if kind is not StorageType.EPHEMERAL:
        return None, ""
    context = pod.spec.get("securityContext") or {}
    if not isinstance(context, Mapping) or context.get("fsGroup") is not None:
        return None, ""
    fragile = sorted(name for name, volume in pod.volumes.items() if _fragile(name, volume))
    if not fragile:
        return GROUP, ""
    return None, (
        f"the pod sets no securityContext.fsGroup, and is not given one because of its volumes {', '.join(fragile)}: "
        "if the StorageClass makes volumes that only root may write to, set one, or spans are refused"
    )


def _fragile(name: str, volume: Mapping[str, Any]) -> bool:
    return not name.startswith(TOKEN_VOLUME) and any(kind in volume for kind in FRAGILE)


def _limits(pod: Pod) -> Iterator[object]:
    """Every limit for ephemeral storage that a container of the pod has."""
    for container in (*pod.init_containers, *pod.containers):
        resources = container.body.get("resources")
        limits = resources.get("limits") if isinstance(resources, Mapping) else None
        if isinstance(limits, Mapping) and limits.get(EPHEMERAL_STORAGE) is not None:
            yield limits[EPHEMERAL_STORAGE]
