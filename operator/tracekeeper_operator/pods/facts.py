"""What is remembered of one injected pod: from its metadata alone, as a watch of metadata brings it.

Whoever may make pods may give them our label, and write a quarter of a MiB into their annotations, and more into their
labels and owners: of all that, only so much is kept as can have a meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .. import names
from ..events import Owner, controller_of

LONGEST = 1024
"""Characters that are kept of an annotation: the longest reference of an image has half of it, and a name a quarter."""
LABELS = 8192
"""Characters of keys and values together, of as many labels as are kept."""
_READ = (names.INJECT, names.IMAGE, names.SIDECAR_IMAGE, names.SIDECAR_VERSION)


@dataclass(frozen=True, slots=True)
class PodFacts:
    """One pod with a sidecar."""

    namespace: str
    name: str
    uid: str
    labels: Mapping[str, str]
    """Of those that together have more than `LABELS` characters, the first by their keys."""
    inject: str
    """What its annotation `tracekeeper.dev/inject` says; empty where its namespace opted in for it."""
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
    annotations = _annotations(meta)
    namespace = str(meta.get("namespace", ""))
    return PodFacts(
        namespace=namespace,
        name=str(meta.get("name", "")),
        uid=str(meta.get("uid", "")),
        labels=_labels(meta),
        inject=annotations.get(names.INJECT, ""),
        image=annotations.get(names.SIDECAR_IMAGE, ""),
        own_image=names.IMAGE in annotations,
        version=annotations.get(names.SIDECAR_VERSION, ""),
        owner=controller_of(manifest, namespace),
        created=str(meta.get("creationTimestamp", "")),
        deleted=meta.get("deletionTimestamp") is not None,
    )


def lean(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """As much of a pod as `read` looks at."""
    meta = _map(manifest, "metadata")
    owner = controller_of(manifest, "")
    owners = []
    if owner is not None:
        named = {"apiVersion": owner.api_version, "kind": owner.kind, "name": owner.name, "uid": owner.uid}
        owners.append({**named, "controller": True})
    kept = ("namespace", "name", "uid", "creationTimestamp", "deletionTimestamp")
    return {
        "metadata": {
            **{key: meta[key] for key in kept if key in meta},
            "labels": _labels(meta),
            "annotations": _annotations(meta),
            "ownerReferences": owners,
        }
    }


def _annotations(meta: Mapping[str, Any]) -> dict[str, str]:
    found = _map(meta, "annotations")
    return {key: str(found[key])[:LONGEST] for key in _READ if key in found}


def _labels(meta: Mapping[str, Any]) -> dict[str, str]:
    labels = {str(key): str(value) for key, value in _map(meta, "labels").items()}
    if sum(map(len, labels)) + sum(map(len, labels.values())) <= LABELS:
        return labels
    found, room = dict[str, str](), LABELS
    for key in sorted(labels):
        room -= len(key) + len(labels[key])
        if room < 0:
            break
        found[key] = labels[key]
    return found


def _map(body: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = body.get(key)
    return found if isinstance(found, Mapping) else {}
