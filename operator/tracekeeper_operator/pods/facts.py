"""What is remembered of one injected pod: from its metadata alone, as a watch of metadata brings it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .. import names
from ..events import Owner, controller_of

NO_CONFIG = "none"
"""What `resolved_from` says of a pod that no TracingConfig selected at its admission."""


@dataclass(frozen=True, slots=True)
class PodFacts:
    """One pod with a sidecar."""

    namespace: str
    name: str
    uid: str
    labels: Mapping[str, str]
    inject: str
    """What its annotation `tracekeeper.dev/inject` says; empty where its namespace opted in for it."""
    resolved_from: tuple[str, ...]
    """`namespace/name@generation` of every TracingConfig that its injection was made from; empty if there was none."""
    image: str
    """Of its sidecar, as it was given at admission or since; empty if it does not say."""
    own_image: bool
    """Whether the pod itself asked for another image than others get."""
    version: str
    """Of the operator that injected it."""
    owner: Owner | None
    """Its controller."""
    created: str
    """RFC 3339."""
    deleted: bool
    """Whether it is on its way out."""

    @property
    def named(self) -> tuple[str, str] | None:
        """Namespace and name of the TracingConfig that the pod asks for by name; None when it asks for none."""
        return named(self.inject, self.namespace)

    @property
    def annotations(self) -> dict[str, str]:
        """As far as they decide which config the pod gets."""
        return {names.INJECT: self.inject} if self.inject else {}


def named(inject: str, namespace: str) -> tuple[str, str] | None:
    """What `tracekeeper.dev/inject` on a pod of `namespace` names: `name` or `namespace/name`."""
    if inject in ("", "true", "false"):
        return None
    where, slash, name = inject.partition("/")
    return (where, name) if slash else (namespace, inject)


def read(manifest: Mapping[str, Any]) -> PodFacts:
    """From a pod, or from its metadata alone."""
    meta = _map(manifest, "metadata")
    annotations = _map(meta, "annotations")
    namespace = str(meta.get("namespace", ""))
    sources = str(annotations.get(names.RESOLVED_FROM, "")).split(",")
    return PodFacts(
        namespace=namespace,
        name=str(meta.get("name", "")),
        uid=str(meta.get("uid", "")),
        labels={str(key): str(value) for key, value in _map(meta, "labels").items()},
        inject=str(annotations.get(names.INJECT, "")),
        resolved_from=tuple(source.strip() for source in sources if source.strip() not in ("", NO_CONFIG)),
        image=str(annotations.get(names.SIDECAR_IMAGE, "")),
        own_image=names.IMAGE in annotations,
        version=str(annotations.get(names.SIDECAR_VERSION, "")),
        owner=controller_of(manifest, namespace),
        created=str(meta.get("creationTimestamp", "")),
        deleted=meta.get("deletionTimestamp") is not None,
    )


def _map(body: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = body.get(key)
    return found if isinstance(found, Mapping) else {}
