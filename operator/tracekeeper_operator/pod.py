"""A pod as an admission request carries it: plain JSON, checked no further than injection needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import names


class MalformedPod(ValueError):
    """The pod does not have the shape that the API server guarantees; the text names the field."""


@dataclass(frozen=True, slots=True)
class Container:
    """One container of the pod, and where it stands: `/spec/containers/0`."""

    path: str
    name: str
    body: Mapping[str, Any]

    def entries(self, field: str) -> list[Mapping[str, Any]] | None:
        """A list of objects in the container, None when it is absent. Raises MalformedPod."""
        return entries(self.body, field, self.path)

    @property
    def sets_traces_exporter(self) -> bool:
        """Whether it says itself where its traces go. Raises MalformedPod."""
        own = {entry.get("name") for entry in self.entries("env") or []}
        return bool(own & {names.TRACES_ENDPOINT, names.TRACES_PROTOCOL})

    @property
    def stays(self) -> bool:
        """Of an init container: whether it is a native sidecar, which runs on beside the others."""
        return self.body.get("restartPolicy") == "Always"

    @property
    def tcp_ports(self) -> frozenset[int]:
        """Ports that it declares. Raises MalformedPod."""
        ports = self.entries("ports") or []
        found = (port.get("containerPort") for port in ports if port.get("protocol", "TCP") == "TCP")
        return frozenset(port for port in found if isinstance(port, int))


@dataclass(frozen=True, slots=True)
class Pod:
    """The parts of a pod that decide about injection."""

    meta: Mapping[str, Any]
    spec: Mapping[str, Any]
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    containers: tuple[Container, ...]
    init_containers: tuple[Container, ...]
    volumes: Mapping[str, Mapping[str, Any]]
    """Those that it declares, by name."""

    @property
    def injected(self) -> bool:
        """Whether a container of our name is there already."""
        return any(item.name == names.SIDECAR for item in (*self.init_containers, *self.containers))


def parse(body: Mapping[str, Any]) -> Pod:
    """Look at a pod. Raises MalformedPod naming the field that is not what the API server sends."""
    meta, spec = _member(body, "metadata", ""), _member(body, "spec", "")
    containers = _containers(spec, "containers")
    if not containers:
        raise MalformedPod("/spec/containers is empty")
    volumes = entries(spec, "volumes", "/spec") or []
    return Pod(
        meta=meta,
        spec=spec,
        labels=_texts(meta, "labels"),
        annotations=_texts(meta, "annotations"),
        containers=containers,
        init_containers=_containers(spec, "initContainers"),
        volumes={str(volume.get("name")): volume for volume in volumes},
    )


def entries(body: Mapping[str, Any], field: str, path: str) -> list[Mapping[str, Any]] | None:
    """The list of objects at `body[field]`, None when it is absent or null. Raises MalformedPod."""
    value = body.get(field)
    if value is None:
        return None
    # From JSON all of them are dicts; to ask whether each is a Mapping took a tenth of an admission's time.
    if not isinstance(value, list) or not all(isinstance(item, (dict, Mapping)) for item in value):
        raise MalformedPod(f"{path}/{field} is not a list of objects")
    return value


def _containers(spec: Mapping[str, Any], field: str) -> tuple[Container, ...]:
    found = entries(spec, field, "/spec") or []
    return tuple(Container(f"/spec/{field}/{index}", str(item.get("name")), item) for index, item in enumerate(found))


def _member(body: Mapping[str, Any], field: str, path: str) -> Mapping[str, Any]:
    value = body.get(field)
    if not isinstance(value, Mapping):
        raise MalformedPod(f"{path}/{field} is not an object")
    return value


def _texts(meta: Mapping[str, Any], field: str) -> Mapping[str, str]:
    value = meta.get(field)
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(
        isinstance(key, str) and isinstance(text, str) for key, text in value.items()
    ):
        raise MalformedPod(f"/metadata/{field} is not a map of texts")
    return value
