"""What one namespace should have: pure, from its TracingConfigs, their Secrets and what is published now.

A config with faults does not take down what works: the version of it that was published last stays in the
document until the faults are mended. The revision only grows, across restarts of the operator and deletions
of the Secret too, because it is never below the seconds since 1970.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tracekeeper_spec.aliases import Aliases
from tracekeeper_spec.config import ConfigSpec, TracingConfig
from tracekeeper_spec.faults import Fault
from tracekeeper_spec.merge import merge
from tracekeeper_spec.parse import parse_manifest
from tracekeeper_spec.policy import Control, PolicyDocument, PolicyEntry, PolicyFormatError
from tracekeeper_spec.resolve import check_resolved, resolve
from tracekeeper_spec.secrets import secret_uses

from . import names
from .errors import KubeError

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class SecretRead:
    """What reading one Secret gave."""

    data: Mapping[str, bytes] | None
    """None when it could not be read."""
    absent: bool = False
    """The API server says that there is none."""
    forbidden: bool = False
    """The operator may not read it."""
    problem: str = ""
    error: KubeError | None = None
    """Why it could not be read; None when the API server answered."""


@dataclass(frozen=True, slots=True)
class Published:
    """The policy Secret as it is now."""

    document: PolicyDocument | None
    """None when there is none, or none that can be read."""
    owners: frozenset[str] = frozenset()
    """UIDs in its ownerReferences."""
    exists: bool = False


@dataclass(frozen=True, slots=True)
class Assessed:
    """One TracingConfig, and what of it goes into the policy."""

    manifest: Object
    config: TracingConfig | None
    faults: tuple[Fault, ...]
    entry: PolicyEntry | None
    """The config's own, or the last good one of it; None when there never was one."""
    spec: ConfigSpec
    """Of `entry`."""

    @property
    def meta(self) -> Mapping[str, Any]:
        meta = self.manifest.get("metadata")
        return meta if isinstance(meta, Mapping) else {}

    @property
    def uid(self) -> str:
        return str(self.meta.get("uid", ""))

    @property
    def name(self) -> str:
        return str(self.meta.get("name", ""))

    @property
    def secrets(self) -> list[tuple[str, str]]:
        """Name and key of every Secret value that the entry needs."""
        return [(use.name, use.key) for use in secret_uses(self.spec)]

    @property
    def unresolved(self) -> list[Fault]:
        """What keeps a spec without faults from delivering anything."""
        return check_resolved(resolve(self.spec))


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do in one namespace."""

    namespace: str
    configs: tuple[Assessed, ...]
    document: PolicyDocument
    """What sidecars should have; with a size fault, what they have now."""
    write: bool
    """Whether the Secret has to be written."""
    delete: bool
    """Whether the Secret has to go, because there is no TracingConfig left."""
    size: Fault | None = None
    """Why the document cannot be published."""

    @property
    def secret(self) -> Object:
        """The Secret to apply. It belongs to the configs: the last one that goes takes it along."""
        owners = [
            {
                "apiVersion": f"{names.GROUP}/{names.VERSION}",
                "kind": names.KIND,
                "name": item.name,
                "uid": item.uid,
            }
            for item in self.configs
        ]
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": names.POLICY_SECRET,
                "namespace": self.namespace,
                "labels": {names.MANAGED_BY: names.MANAGER},
                "ownerReferences": owners,
            },
            "data": {names.POLICY_KEY: base64.b64encode(self.document.to_json().encode()).decode()},
        }


def assess(manifests: Sequence[Object], published: PolicyDocument | None) -> tuple[Assessed, ...]:
    """Read every config of a namespace; all faults of each together."""
    return tuple(_assess(manifest, published) for manifest in manifests)


def _assess(manifest: Object, published: PolicyDocument | None) -> Assessed:
    config, faults = parse_manifest(_bare(manifest))
    if config is not None:
        return Assessed(manifest, config, tuple(faults), PolicyEntry.of(merge([config]), Aliases(config.namespace, ())), config.spec)
    uid = (manifest.get("metadata") or {}).get("uid")
    known = published.configs if published is not None else ()
    kept = next((entry for entry in known if entry.uid == uid and not entry.parse()[1]), None)
    spec = kept.parse()[0] if kept is not None else ConfigSpec()
    return Assessed(manifest, None, tuple(faults), kept, spec)


def _bare(manifest: Object) -> Object:
    """Lists leave apiVersion and kind out of their items."""
    return {"apiVersion": f"{names.GROUP}/{names.VERSION}", "kind": names.KIND, **manifest}


def plan(
    namespace: str,
    configs: tuple[Assessed, ...],
    secrets: Mapping[str, SecretRead],
    published: Published,
    *,
    floor: int,
    now: float,
    control: Control | None = None,
) -> Plan:
    """Decide about one namespace. `floor` is the highest revision known of it; `now` is Unix time; `control` is where
    its sidecars find the control stream.
    """
    old = published.document
    wanted = PolicyDocument(
        revision=0,
        configs=tuple(item.entry for item in configs if item.entry is not None),
        secrets=_values(configs, secrets, old),
        control=control,
    )
    if not configs:
        return Plan(namespace, (), wanted, write=False, delete=published.exists)
    owners = frozenset(item.uid for item in configs)
    if old is not None and old.revision >= floor and wanted.same_content(old):
        return Plan(namespace, configs, old, write=owners != published.owners, delete=False)
    known = max(floor, old.revision if old is not None else 0)
    document = replace(wanted, revision=max(known + 1, int(now)))
    if (size := document.size_fault()) is not None:
        kept = old if old is not None else replace(document, configs=(), secrets={})
        return Plan(namespace, configs, kept, write=False, delete=False, size=size)
    return Plan(namespace, configs, document, write=True, delete=False)


def _values(
    configs: Sequence[Assessed], secrets: Mapping[str, SecretRead], old: PolicyDocument | None
) -> dict[str, dict[str, bytes]]:
    """The values to publish. One that cannot be read just now stays as published; one that is gone goes."""
    values: dict[str, dict[str, bytes]] = {}
    for name, key in sorted({use for item in configs for use in item.secrets}):
        read = secrets.get(name)
        if read is None or (read.data is None and not read.absent):
            source = (old.secrets.get(name) if old is not None else None) or {}
        else:
            source = read.data or {}
        if key in source:
            values.setdefault(name, {})[key] = source[key]
    return values


def read_secret(secret: Mapping[str, Any]) -> SecretRead:
    """A Secret as the API server sends it."""
    data = secret.get("data")
    values: dict[str, bytes] = {}
    for key, value in (data if isinstance(data, Mapping) else {}).items():
        try:
            values[str(key)] = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError, TypeError):
            continue
    return SecretRead(values)


def read_published(secret: Mapping[str, Any]) -> Published:
    """The policy Secret as the API server sends it; a document that cannot be read counts as none."""
    meta = secret.get("metadata") or {}
    owners = frozenset(str(owner.get("uid")) for owner in meta.get("ownerReferences") or [])
    text = (read_secret(secret).data or {}).get(names.POLICY_KEY)
    try:
        document = PolicyDocument.from_json(text) if text is not None else None
    except PolicyFormatError:
        document = None
    return Published(document, owners, exists=True)
