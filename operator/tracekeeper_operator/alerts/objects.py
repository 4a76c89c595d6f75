"""The objects that we write for Prometheus' operator: how they are marked as ours, and told apart."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .. import names
from ..kinds import Kind
from .wanted import Alerting

Object = dict[str, Any]
Key = tuple[Kind, str, str]
"""Kind, namespace and name."""

OURS = f"{names.MANAGED_BY}={names.MANAGER}"
"""Selects what we wrote."""

LONGEST = 120
"""Characters of a config's name in an object's. Prometheus' operator makes the key of a ConfigMap of namespace, name
and UID, and that may have 253."""


def part_of_name(config: str) -> str:
    """What stands in an object's name for that of the config `namespace/name`; of a long one, a digest."""
    name = config.partition("/")[2]
    return name if len(name) <= LONGEST else hashlib.sha256(name.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class There:
    """An object of ours as the API server has it."""

    uid: str
    of: str
    """`namespace/name` of the config that it is for."""
    generation: int
    """Grows with each change of its spec, whoever makes it."""
    digest: str
    """Of its spec; where that was not read, as it was when we wrote it."""
    labels: Mapping[str, str]
    owners: frozenset[str]
    """UIDs of what it is deleted with."""

    def is_as(self, wanted: Object, generation: int | None) -> bool:
        """Whether it is what `wanted` says, given the generation that our last write of it made, if that is known."""
        meta = wanted["metadata"]
        owners = {owner["uid"] for owner in meta.get("ownerReferences", ())}
        return (
            self.digest == meta["annotations"][names.ALERTS_DIGEST]
            and generation in (None, self.generation)
            and owners <= self.owners
            and all(self.labels.get(key) == value for key, value in meta["labels"].items())
        )


def read(manifest: Mapping[str, Any]) -> There:
    """An object, or its metadata alone."""
    meta = manifest.get("metadata") or {}
    annotations = meta.get("annotations") or {}
    said = str(annotations.get(names.ALERTS_DIGEST, ""))
    generation = meta.get("generation")
    return There(
        str(meta.get("uid", "")),
        str(annotations.get(names.ALERTS_OF, "")),
        generation if isinstance(generation, int) else 0,
        digest(manifest["spec"]) if "spec" in manifest else said,
        meta.get("labels") or {},
        frozenset(str(owner.get("uid")) for owner in meta.get("ownerReferences") or ()),
    )


def made(
    kind: Kind,
    namespace: str,
    name: str,
    labels: Mapping[str, str],
    spec: Object,
    *,
    of: str,
    owner: Object | None,
) -> Object:
    """An object to apply. `labels` are those by which it is selected; `of` is the config that it is for."""
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {
            "namespace": namespace,
            "name": name,
            "labels": {**labels, names.MANAGED_BY: names.MANAGER},
            "annotations": {names.ALERTS_OF: of, names.ALERTS_DIGEST: digest(spec)},
            **({"ownerReferences": [owner]} if owner is not None else {}),
        },
        "spec": spec,
    }


def owner_of(item: Alerting) -> Object:
    """With what Kubernetes deletes an object in the config's namespace."""
    return {
        "apiVersion": f"{names.GROUP}/{names.VERSION}",
        "kind": names.KIND,
        "name": item.name,
        "uid": item.uid,
    }


def digest(spec: Any) -> str:
    """The same for equal specs."""
    return hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:16]


def key_of(kind: Kind, manifest: Mapping[str, Any]) -> Key:
    meta = manifest["metadata"]
    return kind, str(meta["namespace"]), str(meta["name"])


def is_ours(manifest: Mapping[str, Any]) -> bool:
    """Whether we made it, and may change or delete it."""
    meta = manifest.get("metadata") or {}
    ours = (meta.get("labels") or {}).get(names.MANAGED_BY) == names.MANAGER
    return ours and names.ALERTS_OF in (meta.get("annotations") or {})
