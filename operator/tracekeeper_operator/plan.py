"""What one namespace should have: pure, from its TracingConfigs, those that are lent to it, their Secrets and what is
published now.

A config with faults does not take down what works: the version of it that was published last stays in the
document until the faults are mended. So do all of the namespace's own when they become too large together, and what is
lent to it changes all the same. The revision only grows, across restarts of the operator and deletions
of the Secret too, because it is never below the seconds since 1970.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tracekeeper_spec.aliases import Aliases
from tracekeeper_spec.config import ConfigSpec, TracingConfig
from tracekeeper_spec.faults import Fault
from tracekeeper_spec.merge import Merged, merge
from tracekeeper_spec.parse import parse_manifest
from tracekeeper_spec.policy import Control, PolicyDocument, PolicyEntry, PolicyFormatError
from tracekeeper_spec.resolve import check_resolved, resolve
from tracekeeper_spec.scope import MOST, Scope
from tracekeeper_spec.wish import Reference

from . import names
from .retire import Known, Staying, left, staying
from .rollout import Look, State
from .secret_read import SecretRead, read_secret
from .trials import POLL, advance, trying
from .wanted import Wanted, secret_name, want

Object = dict[str, Any]

TOO_MANY = Fault(
    "",
    f"there are more than {MOST} TracingConfigs in this namespace, of which the oldest {MOST} count",
    "delete some of them, or put several into one",
)


@dataclass(frozen=True, slots=True)
class Published:
    """The policy Secret as it is now."""

    document: PolicyDocument | None
    """None when there is none, or none that can be read."""
    owners: frozenset[str] = frozenset()
    """UIDs of what it is deleted with. Earlier versions named TracingConfigs, and so it went before it was retired."""
    ours: bool = False
    """Whether it was written by an operator, and not by somebody else under its name."""


@dataclass(frozen=True, slots=True)
class Assessed:
    """One TracingConfig, and what of it goes into the policy."""

    manifest: Object
    faults: tuple[Fault, ...]
    config: TracingConfig | None
    """What is in force of it: its own spec, or the last good one; None when there never was one."""
    merged: Merged | None
    """The same with what it stands over; None with `config`."""

    @property
    def spec(self) -> ConfigSpec:
        """Merged."""
        return self.merged.spec if self.merged is not None else ConfigSpec()

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
        """Name and key of every Secret value of its own namespace that is needed for it."""
        if self.config is None or self.merged is None:
            return []
        return [(use.name, use.key) for use in self.merged.secrets if use.namespace == self.config.namespace]

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
    """What sidecars should have; with a size fault, as much of it as there is room for."""
    write: bool
    """Whether the Secret has to be written."""
    delete: bool
    """Whether the Secret has to go, because there is nothing left to say."""
    size: Fault | None = None
    """Why what is wanted cannot be published."""
    owner: Object | None = None
    """What the Secret is to be deleted with, as a reference; None where that is not known."""
    due: float | None = None
    """Unix time at which the passing of time alone makes another plan; None when it does not."""
    rollouts: Mapping[str, State] = field(default_factory=dict)
    """How those stand that have a section `rollout`, by UID."""
    before: int = 0
    """Revision of the policy that is published now; 0 for none."""

    @property
    def secret(self) -> Object:
        """The Secret to apply. It belongs to no TracingConfig, because a retired one must outlive its config, but to
        the definition of all of them: with that, Kubernetes removes it when no operator is there to do so.
        """
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": names.POLICY_SECRET,
                "namespace": self.namespace,
                "labels": {names.MANAGED_BY: names.MANAGER},
                **({"ownerReferences": [self.owner]} if self.owner is not None else {}),
            },
            "data": {names.POLICY_KEY: base64.b64encode(self.document.to_json().encode()).decode()},
        }


def assess(manifests: Sequence[Object], published: PolicyDocument | None) -> tuple[Assessed, ...]:
    """Read every config of a namespace; all faults of each together."""
    return tuple(_assess(manifest, published) for manifest in manifests)


def _assess(manifest: Object, published: PolicyDocument | None) -> Assessed:
    config, faults = parse_manifest(_bare(manifest))
    if config is None and published is not None:
        config = last_good(published, manifest)
    return Assessed(manifest, tuple(faults), config, merge([config]) if config is not None else None)


def last_good(published: PolicyDocument, manifest: Object) -> TracingConfig | None:
    """The config as its namespace's document tells of it: its newest version without faults, even if that is only
    tried."""
    entry = published.living(_uid(manifest))
    return _of_entry(entry.trial or entry, manifest) if entry is not None else None


def _of_entry(entry: PolicyEntry, manifest: Object) -> TracingConfig | None:
    """The config as an entry of its namespace's document has it. Which one it is says the API server alone: whoever
    may write Secrets there may write that document too, and is not to speak for configs of others, nor to lead to
    their Secrets."""
    meta = manifest["metadata"]
    config = entry.own() if entry.namespace == meta.get("namespace") else None
    if config is None:
        return None
    return replace(config, name=str(meta.get("name", "")), created=str(meta.get("creationTimestamp", "")))


def _uid(manifest: Object) -> str:
    return str((manifest.get("metadata") or {}).get("uid", ""))


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
    scope: Scope | None = None,
    named: Iterable[Reference] = (),
    used: bool = True,
    vacant: bool = False,
    known: Known | None = None,
    owner: Object | None = None,
    look: Look | None = None,
) -> Plan:
    """Decide about one namespace.

    `secrets` are by name, those of other namespaces as `namespace/name`. `floor` is the highest revision known of it;
    `now` is Unix time; `control` is where its sidecars find the control stream. `scope` has the configs of other
    namespaces too (without it, there are none); for `named` and `used` see `want`; `vacant` says that not one injected
    pod is known, for which something would have to be retired; for `known` see `retire`; `owner` is
    what the Secret is to be deleted with, `look` is at the namespace's injected pods, by whom a new policy may be
    tried first.
    """
    scope = scope or alone(namespace, configs)
    old = published.document
    counting = {config.uid for config in scope.own}
    configs = tuple(_placed(item, scope) if item.uid in counting else _left_out(item) for item in configs)
    revision = max(max(floor, old.revision if old is not None else 0) + 1, int(now))
    maker = _Maker(scope, secrets, old, known or _known(configs), now, control, revision, look, vacant)
    asked = _Asked(tuple(sorted(set(named), key=str)), used)
    made = maker.make(scope, asked)
    if made.empty:
        return Plan(namespace, configs, made.document, write=False, delete=published.ours)
    if (size := made.document.size_fault()) is not None and trying(made.document):
        made = maker.make(scope, asked, lean=True)
        size = made.document.size_fault()
    if size is not None:
        made = next(candidate for candidate in _smaller(maker, asked, configs) if candidate.fits)
    due = made.until if not trying(made.document) else min(now + POLL, made.until or now + POLL)
    found = Plan(
        namespace,
        configs,
        made.document,
        write=True,
        delete=False,
        size=size,
        owner=owner,
        due=due,
        rollouts=made.rollouts,
        before=old.revision if old is not None else 0,
    )
    if old is not None and old.revision >= floor and made.document.same_content(old):
        owners = published.owners if owner is None else frozenset({str(owner["uid"])})
        return replace(found, document=old, write=owners != published.owners)
    return replace(found, write=old is not None or not made.empty)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What pods ask for: see `want`."""

    named: tuple[Reference, ...]
    used: bool


@dataclass(frozen=True, slots=True)
class _Made:
    """A document that may be published."""

    document: PolicyDocument
    until: int | None = None
    """Unix time at which something in it is due to go."""
    last: bool = False
    """There is no smaller one."""
    rollouts: Mapping[str, State] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        return not (self.document.configs or self.document.named)

    @property
    def fits(self) -> bool:
        return self.last or not (self.empty or self.document.size_fault() is not None)


@dataclass(frozen=True, slots=True)
class _Maker:
    """Makes the documents of a namespace, as they may be now."""

    scope: Scope
    secrets: Mapping[str, SecretRead]
    old: PolicyDocument | None
    known: Known
    now: float
    control: Control | None
    revision: int
    look: Look | None
    vacant: bool

    def make(
        self, scope: Scope, asked: _Asked, *, frozen: bool = False, alone: bool = False, lean: bool = False
    ) -> _Made:
        """What `scope` gives. `frozen`: with the values of the namespace's own Secrets as they are published. `alone`:
        without what only stays. `lean`: nothing is tried, so that nothing is there twice."""
        wanted = want(scope, asked.named, used=asked.used)
        stays = Staying()
        if not alone:
            configs, named = ({merged.head.uid for merged in found} for found in (wanted.configs, wanted.named))
            stays = self._needed(staying(self.old, configs, named, self.scope, self.known, self.now))
        wanted = wanted.without(stays)
        aliases = Aliases(scope.namespace, wanted.secrets)
        living = PolicyDocument(
            revision=self.revision,
            configs=tuple(PolicyEntry.of(merged, aliases) for merged in wanted.configs),
            secrets={},
            control=self.control,
            named=tuple(PolicyEntry.of(merged, aliases, named=True) for merged in wanted.named),
            namespace=scope.namespace,
        )
        fixed = {merged.head.uid: merged.fixed for merged in (*wanted.configs, *wanted.named)}
        tried = advance(living, fixed, self.old, self.scope, self.look, self.now, room=not lean)
        readable = self._readable(frozen)
        values = _values(wanted, aliases, readable, self.old)
        _add_held(values, tried.document, readable, self.old)
        document = _with(replace(tried.document, secrets=values), stays, self.old, self.scope)
        return _Made(document, stays.until, rollouts=tried.states)

    def make_left(self) -> _Made:
        """What of the document before may stay, whatever is wanted now."""
        stays = Staying() if self.old is None else self._needed(left(self.old, self.scope, self.known, self.now))
        empty = PolicyDocument(self.revision, control=self.control, namespace=self.scope.namespace)
        return _Made(_with(empty, stays, self.old, self.scope), stays.until, last=True)

    def _needed(self, stays: Staying) -> Staying:
        return stays.briefly(self.now) if self.vacant else stays

    def _readable(self, frozen: bool) -> Mapping[str, SecretRead]:
        if not frozen:
            return self.secrets
        return {name: read for name, read in self.secrets.items() if "/" in name}  # see `secret_name`


def _smaller(maker: _Maker, asked: _Asked, configs: Sequence[Assessed]) -> Iterator[_Made]:
    """Documents to publish in place of one that is too large, the best first.

    What the namespace itself has, or asks for, gives way to what the root namespace says: it may not keep that from
    arriving by being too large.
    """
    yield maker.make(maker.scope, asked, lean=True, alone=True)  # Those that work come before those that are gone.
    old = maker.old
    entries = [(old.living(item.uid), item.manifest) for item in configs] if old is not None else []
    found = [_of_entry(entry, manifest) for entry, manifest in entries if entry is not None]
    own = sorted((item for item in found if item is not None), key=lambda item: (item.created, item.name))
    held = _holding(maker.scope, own)
    yield maker.make(held, asked, frozen=True, lean=True)
    yield maker.make(held, asked, frozen=True, lean=True, alone=True)
    named = asked.named
    yield from _most(
        len(named) + len(own),
        lambda count: maker.make(
            _holding(maker.scope, own[: max(0, count - len(named))]),
            replace(asked, named=named[:count]),
            frozen=True,
            alone=True,
            lean=True,
        ),
    )
    yield maker.make_left()


def _holding(scope: Scope, own: Sequence[TracingConfig]) -> Scope:
    """With these in place of the namespace's own configs."""
    return replace(scope, configs=lambda wanted: own if wanted == scope.namespace else scope.configs(wanted))


def _most(most: int, make: Callable[[int], _Made]) -> Iterator[_Made]:
    """The largest that fits of those that `make` gives for fewer than `most`. What is empty is small: what pods name
    need not be there."""
    best: _Made | None = None
    low, high = -1, most
    while high - low > 1:
        middle = (low + high) // 2
        made = make(middle)
        if made.fits:
            low, best = middle, made
        elif made.empty:
            low = middle
        else:
            high = middle
    if best is not None:
        yield best


def alone(namespace: str, configs: Iterable[Assessed]) -> Scope:
    """A namespace to which nobody lends anything."""
    own = [item.config for item in configs if item.config is not None]
    return Scope(namespace, None, lambda wanted: own if wanted == namespace else [])


def _placed(item: Assessed, scope: Scope) -> Assessed:
    return item if item.config is None else replace(item, merged=scope.with_level(item.config))


def _left_out(item: Assessed) -> Assessed:
    """One that is not among those that count."""
    return item if item.config is None else replace(item, faults=(*item.faults, TOO_MANY), config=None, merged=None)


def _known(configs: Iterable[Assessed]) -> Known:
    uids = {item.uid for item in configs}
    return lambda reference, uid: uid in uids


def _with(living: PolicyDocument, stays: Staying, old: PolicyDocument | None, scope: Scope) -> PolicyDocument:
    """The document with what stays; values that are read now come before those of old."""
    secrets = stays.secrets(old, scope) if old is not None else {}
    kept = owners((*stays.configs, *stays.named))
    used = owners((*living.configs, *living.named)) if kept else {}
    for name in kept.keys() & used.keys():
        if kept[name] != used[name]:
            secrets.pop(name, None)  # What stays is of somebody else, who happens to be called so in the document.
    for name, keys in living.secrets.items():
        secrets[name] = {**secrets.get(name, {}), **keys}
    return replace(
        living,
        configs=(*living.configs, *stays.configs),
        named=(*living.named, *stays.named),
        secrets=secrets,
    )


def _values(
    wanted: Wanted, aliases: Aliases, secrets: Mapping[str, SecretRead], old: PolicyDocument | None
) -> dict[str, dict[str, bytes]]:
    """The values to publish. One that cannot be read just now stays as published, if it was published as the same
    Secret's; one that is gone goes.
    """
    before: dict[str, set[str]] | None = None
    values: dict[str, dict[str, bytes]] = {}
    for use in sorted(wanted.secrets, key=lambda use: (use.namespace, use.name, use.key)):
        alias = aliases.of(use.namespace, use.name)
        read = secrets.get(secret_name(use, aliases.namespace))
        if read is None or (read.data is None and not read.absent):
            if before is None:
                before = owners((*old.configs, *old.named)) if old is not None else {}
            same = before.get(alias) == {use.namespace}
            source = (old.secrets.get(alias) if old is not None and same else None) or {}
        else:
            source = read.data or {}
        if use.key in source:
            values.setdefault(alias, {})[use.key] = source[use.key]
    return values


def _add_held(
    values: dict[str, dict[str, bytes]],
    document: PolicyDocument,
    secrets: Mapping[str, SecretRead],
    old: PolicyDocument | None,
) -> None:
    """Add what entries need that hold on to what is known to work. Here, Secrets of other namespaces are looked for by
    their names in the document: see `lent`."""
    entries = (*document.configs, *document.named)
    for use in (use for entry in entries if entry.candidate or entry.halted for _, use in entry.secrets):
        read = secrets.get(secret_name(use, document.namespace))
        if read is None or (read.data is None and not read.absent):
            source = (old.secrets.get(use.name) if old is not None else None) or {}
        else:
            source = read.data or {}
        if use.key in source:
            values.setdefault(use.name, {}).setdefault(use.key, source[use.key])


def owners(entries: Iterable[PolicyEntry]) -> dict[str, set[str]]:
    """The namespaces whose Secrets are meant by each name in a document. With the name, the namespace says which Secret
    it is, since the other names are digests."""
    found: dict[str, set[str]] = {}
    for entry in entries:
        for _, use in entry.secrets:
            found.setdefault(use.name, set()).add(use.namespace)
    return found


def read_published(secret: Mapping[str, Any]) -> Published:
    """The policy Secret as the API server sends it; a document that cannot be read counts as none."""
    meta = secret.get("metadata") or {}
    ours = (meta.get("labels") or {}).get(names.MANAGED_BY) == names.MANAGER
    text = (read_secret(secret, {names.POLICY_KEY}).data or {}).get(names.POLICY_KEY)
    try:
        document = PolicyDocument.from_json(text) if text is not None else None
    except PolicyFormatError:
        document = None
    owners = frozenset(str(owner.get("uid")) for owner in meta.get("ownerReferences") or [])
    return Published(document, owners=owners, ours=ours)
