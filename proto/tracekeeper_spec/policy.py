"""The policy document: what the operator tells the sidecars of one namespace.

It is JSON, in key `policy.json` of the Secret `tracekeeper-policy`:

    {"formatVersion": 1,
     "revision": 7,                                   only grows; an undo is a new revision
     "namespace": "shop",                             whose pods it is for
     "configs": [{"name": "agents", "namespace": "shop", "uid": "…", "generation": 3,
                  "created": "2026-01-01T00:00:00Z", "retired": false,
                  "sources": ["shop/agents@3", "observability/default@1"],
                  "origins": {"backends": "observability/default"},
                  "operator": {"sidecar": {…}},       fields of sections that sidecars need not know
                  "beside": {"alerts": {…}},          sections that sidecars of earlier versions do not know
                  "spec": {…},                        merged, as written, without defaults
                  "candidate": {…}, "halted": {…}}],  a new version that some pods try first: see `candidate`
     "named": [{…}],                                  configs of other namespaces, for pods that name them
     "secrets": {"tempo": {"token": "<base64>"}},     only keys that the configs refer to
     "control": {"endpoint": "tracekeeper-control.tracekeeper.svc:9444",
                 "ca": "-----BEGIN CERTIFICATE-----…"}}   absent where there is no control stream

Members that this version does not know are ignored at every level above `spec`; a change that must not be
ignored raises formatVersion. Specs are kept as they are here, and read by `PolicyEntry.parse`. Merging is done
already: a sidecar that knows nothing of it picks by labels among `configs`, and gets the same.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from tracekeeper_spec import members, selector
from tracekeeper_spec.aliases import Aliases, in_processors, renamed
from tracekeeper_spec.candidate import Candidate, Halted, read_candidate, read_halted
from tracekeeper_spec.config import ConfigSpec, Section, TracingConfig
from tracekeeper_spec.earlier import is_copy, prices_for_earlier
from tracekeeper_spec.faults import Fault
from tracekeeper_spec.members import PolicyFormatError as PolicyFormatError
from tracekeeper_spec.merge import ABOUT_CONFIGS, BESIDE, FOR_OPERATOR, ONLY_OPERATOR, SUSPEND, Merged, SecretKey, only
from tracekeeper_spec.parse import parse_spec
from tracekeeper_spec.secrets import DocumentSecrets, reserved_names, secret_uses
from tracekeeper_spec.selector import Selector
from tracekeeper_spec.units import show
from tracekeeper_spec.wish import ANNOTATION, Reference, parse_wish

FORMAT_VERSION = 1
SECRET_NAME = "tracekeeper-policy"
SECRET_KEY = "policy.json"
MAX_BYTES = 1024 * 1024 - 16 * 1024
"""What a document may weigh: a Secret holds 1 MiB, less a margin for what else may be put into it."""


@dataclass(frozen=True, slots=True)
class PolicyEntry:
    """What some pods of the namespace get; named after the most specific TracingConfig in it."""

    name: str
    namespace: str
    uid: str
    generation: int
    created: str
    spec: Mapping[str, Any]
    """Merged, as it was written, without what is for the operator; see `parse`."""
    retired: bool = False
    """Deleted: its sidecars drain what they hold, then answer OK, store nothing and count."""
    retired_at: int = 0
    """When that was, as Unix time."""
    sources: tuple[str, ...] = ()
    """`namespace/name@generation` of every config that takes part, the most specific first."""
    origins: Mapping[str, str] = field(default_factory=dict)
    """Sections that come from another config, by their names in the spec: `namespace/name`."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """What the config says about configs, for the operator: whom it may be used by, what may not be replaced."""
    operator: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By section, the fields in `FOR_OPERATOR`, and whole the sections `ONLY_OPERATOR`: sidecars of earlier versions
    refuse a spec with one that they do not know."""
    beside: Mapping[str, Any] = field(default_factory=dict)
    """The sections `BESIDE`, whole: what comes to all pods at once, without a trial, and harms no span. And prices, for
    sidecars of the version before: see `earlier`."""
    candidate: Candidate | None = None
    """A new version of it, which only some pods have."""
    halted: Halted | None = None
    """The new version that was taken back from those; None once there is another one."""

    @classmethod
    def of(cls, merged: Merged, aliases: Aliases, *, named: bool = False) -> PolicyEntry:
        """The entry for what was merged. `named`: for pods that name it, whatever its selector says."""
        head, spec, origins = merged.head, merged.written, dict[str, str]()
        for section, config in merged.sections.items():
            if section is Section.BACKENDS:  # Secrets of channels are in no policy: see `channel_uses`.
                spec[section.field] = renamed(spec[section.field], aliases.within(config.namespace))
            if section is Section.PROCESSORS:
                spec[section.field] = in_processors(spec[section.field], aliases.within(config.namespace))
            if config is not head:
                origins[section.field] = f"{config.namespace}/{config.name}"
        if merged.suspended and not head.spec.suspend:
            origins[SUSPEND] = f"{merged.suspended[0].namespace}/{merged.suspended[0].name}"
        if named:
            spec.pop("selector", None)
        operator = {name: found for name in FOR_OPERATOR if name in spec and (found := _for_operator(spec, name))}
        for name, found in operator.items():
            spec[name] = {key: value for key, value in spec[name].items() if key not in found}
        operator |= {name: spec.pop(name) for name in ONLY_OPERATOR if name in spec}
        return cls(
            head.name,
            head.namespace,
            head.uid,
            head.generation,
            head.created,
            spec,
            sources=merged.sources,
            origins=origins,
            about={} if named else {key: head.written[key] for key in ABOUT_CONFIGS if key in head.written},
            operator=operator,
            beside=_beside({name: spec.pop(name) for name in BESIDE if name in spec}, origins)
            | _for_earlier(spec.get(Section.PROCESSORS.field, ())),
        )

    def own(self) -> TracingConfig | None:
        """The config itself as far as it can be told from here: without what it inherits. Only for an entry in its own
        namespace's document; None when it cannot be read.
        """
        written = {key: value for key, value in self._whole().items() if key not in self.origins} | dict(self.about)
        spec, faults = parse_spec(written)
        if faults or reserved_names(spec):
            return None
        return TracingConfig(self.name, self.namespace, self.uid, self.generation, self.created, spec, written)

    def parse(self) -> tuple[ConfigSpec, list[Fault]]:
        """The spec as types, and what is wrong with it (nothing, unless operator and sidecar differ in
        version)."""
        return parse_spec(self.spec)

    def parse_whole(self) -> tuple[ConfigSpec, list[Fault]]:
        """The same with what is for the operator."""
        return parse_spec(self._whole())

    def section(self, section: Section) -> tuple[Any, list[Fault]]:
        """One of the sections in `beside` as a type, None when nobody wrote it or it has faults, and the faults.
        One that cannot be read, because it was written for another version, harms nothing else.
        """
        if section.field not in self.beside:
            return None, []
        spec, faults = parse_spec({section.field: self.beside[section.field]})
        return (None if faults else getattr(spec, section.attribute)), faults

    def author(self, section: Section) -> str:
        """`namespace/name` of the config that the section comes from; empty when nobody wrote it."""
        if not any(section.field in found for found in (self.spec, self.operator, self.beside)):
            return ""
        return self.origins.get(section.field, f"{self.namespace}/{self.name}")

    def _whole(self) -> dict[str, Any]:
        # An operator of before kept processors beside the spec, and this one a copy of their prices.
        spec = {**self.beside, **self.spec}
        if is_copy(spec.get(Section.PROCESSORS.field)):
            del spec[Section.PROCESSORS.field]
        for name, found in self.operator.items():
            if name in ONLY_OPERATOR:
                spec[name] = found
            elif isinstance(spec.get(name), Mapping):
                spec[name] = {**spec[name], **found}
        return spec

    @property
    def secrets(self) -> tuple[tuple[Reference, SecretKey], ...]:
        """Every value that it refers to, its candidate's too: the config which needs that, and with the config's
        namespace the name *in the document* and the key.
        """
        spec, _ = self.parse()
        found: list[tuple[Reference, SecretKey]] = []
        for section in Section:
            namespace, _, name = self.origins.get(section.field, f"{self.namespace}/{self.name}").partition("/")
            config = Reference(namespace, name)
            found += [(config, SecretKey(namespace, use.name, use.key)) for use in secret_uses(only(spec, section))]
        trial = self.trial
        return tuple(dict.fromkeys((*found, *trial.secrets))) if trial is not None else tuple(found)

    @property
    def trial(self) -> PolicyEntry | None:
        """The entry as those have it who try its candidate; None when there is none."""
        new = self.candidate
        if new is None or self.retired:
            return None
        return replace(
            self,
            spec=new.spec,
            generation=new.generation,
            sources=new.sources,
            origins=new.origins,
            candidate=None,
            halted=None,
        )

    def taken_by(self, uid: str) -> PolicyEntry:
        """What the pod with that UID has of it: the candidate, or what is known to work."""
        trial = self.trial
        return trial if trial is not None and self.candidate is not None and self.candidate.takes(uid) else self

    @property
    def proven(self) -> PolicyEntry:
        """It without what is tried."""
        return replace(self, candidate=None, halted=None)

    @property
    def selector(self) -> Selector | None:
        """The spec's selector; one that cannot be read counts as absent here, and is passed over by `pick`."""
        return parse_spec({"selector": self.spec["selector"]})[0].selector if "selector" in self.spec else None


@dataclass(frozen=True, slots=True)
class Control:
    """Where the operator serves the control stream, and whom to trust there."""

    endpoint: str
    """`host:port`; the host is the name that the server's certificate carries."""
    ca: str
    """The authorities as PEM, one certificate after the other; nobody else is trusted."""


@dataclass(frozen=True, slots=True)
class _Choice:
    """An entry that a pod may get by its labels, with its selector read."""

    entry: PolicyEntry
    selector: Selector | None

    @property
    def name(self) -> str:
        return self.entry.name

    @property
    def created(self) -> str:
        return self.entry.created


@dataclass(frozen=True)
class PolicyDocument:
    """Never changed, so that what was read of it once stays true."""

    revision: int
    configs: tuple[PolicyEntry, ...] = ()
    secrets: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)
    """Name of a Secret, key in it, value (decoded)."""
    control: Control | None = None
    """None where sidecars are to work each for itself."""
    named: tuple[PolicyEntry, ...] = ()
    """Configs of other namespaces, for pods that name them; no labels lead to them."""
    namespace: str = ""
    """Whose pods it is for; empty in documents of operators that did not say."""

    def to_json(self) -> str:
        """The document's text, the same for equal documents."""
        secrets = {
            name: {key: base64.b64encode(value).decode() for key, value in keys.items()}
            for name, keys in self.secrets.items()
        }
        document = {**self._public(), "namespace": self.namespace, "revision": self.revision, "secrets": secrets}
        if self.control is not None:
            document["control"] = {"endpoint": self.control.endpoint, "ca": self.control.ca}
        return _dump(document)

    @classmethod
    def from_json(cls, text: str | bytes) -> PolicyDocument:
        """Reads what `to_json` wrote. Raises PolicyFormatError, and nothing else, for any other text."""
        try:
            obj = json.loads(text)
        except json.JSONDecodeError as error:
            raise PolicyFormatError(f"offset {error.pos}", f"is not JSON: {error.msg}") from None
        except (ValueError, RecursionError) as error:
            raise PolicyFormatError("document", f"is not JSON: {error}") from None
        return _document(obj)

    @cached_property
    def digest(self) -> str:
        """`sha256:…` over the configs. Not over the revision: an undo has the digest of what it goes back
        to. And not over secrets: a digest is shown to people, and would let them try out passwords. Nor over
        `control`, which says nothing of what is done with spans."""
        return "sha256:" + hashlib.sha256(_dump(self._public()).encode()).hexdigest()

    @cached_property
    def last_good(self) -> str:
        """The digest without what is tried: that of the document before a candidate came, and after it was taken
        back."""
        return replace(self, configs=_proven(self.configs), named=_proven(self.named)).digest

    def same_content(self, other: PolicyDocument) -> bool:
        """Whether both say the same, secrets included, whatever their revisions are."""
        return replace(self, revision=0).to_json() == replace(other, revision=0).to_json()

    def size_fault(self) -> Fault | None:
        """Set when the document is too large to be published."""
        size = len(self.to_json().encode())
        if size <= MAX_BYTES:
            return None
        problem = f"this namespace's policy has {size} bytes, and its Secret can hold {MAX_BYTES}"
        return Fault("", problem, "use fewer TracingConfigs in it, or smaller Secrets")

    def pick(self, labels: Mapping[str, str], annotations: Mapping[str, str]) -> PolicyEntry | None:
        """The entry for a pod with `labels`: the config that it names in its annotations, and nothing instead of that;
        else see `selector.pick`. A retired one only if no other is there.
        """
        wish = parse_wish(annotations.get(ANNOTATION, "true"), self._home)
        if wish is not None and wish.named is not None:
            return self.find(wish.named)
        living = (each for each in self._choices if not each.entry.retired)
        retired = (each for each in self._choices if each.entry.retired)
        found = selector.pick(living, labels, annotations) or selector.pick(retired, labels, annotations)
        return found.entry if found is not None else None

    def living(self, uid: str) -> PolicyEntry | None:
        """The entry in `configs` of the config with that UID; None when there is none, or one that is retired."""
        return self._living.get(uid)

    def find(self, wanted: Reference) -> PolicyEntry | None:
        """The entry of that config, a living one before one that is retired."""
        # In `named` the config stands over what the namespace has; in `configs`, as its default, only where the
        # namespace has nothing that it could stand over.
        found = [
            entry
            for entry in (*self.named, *self.configs)
            if (entry.namespace, entry.name) == (wanted.namespace, wanted.name)
        ]
        return min(found, key=lambda entry: entry.retired, default=None)

    @cached_property
    def _living(self) -> dict[str, PolicyEntry]:
        return {entry.uid: entry for entry in reversed(self.configs) if not entry.retired}

    @cached_property
    def _choices(self) -> tuple[_Choice, ...]:
        """Those whose selector can be read. The operator asks for each of thousands of pods."""
        found = [_Choice(entry, entry.selector) for entry in self.configs]
        return tuple(each for each in found if each.selector is not None or "selector" not in each.entry.spec)

    @property
    def _home(self) -> str:
        return self.namespace or next((entry.namespace for entry in self.configs), "")

    def lookup(self) -> DocumentSecrets:
        """The document's secrets, as backends ask for them."""
        return DocumentSecrets(self.secrets)

    def _public(self) -> dict[str, Any]:
        public: dict[str, Any] = {"configs": [_written(entry) for entry in self.configs]}
        if self.named:
            public["named"] = [_written(entry) for entry in self.named]
        return {"formatVersion": FORMAT_VERSION, **public}


def _written(entry: PolicyEntry) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": entry.name,
        "namespace": entry.namespace,
        "uid": entry.uid,
        "generation": entry.generation,
        "created": entry.created,
        "retired": entry.retired,
        "spec": entry.spec,
    }
    optional = {
        "retiredAt": entry.retired_at,
        "sources": list(entry.sources),
        "origins": entry.origins,
        "about": entry.about,
        "operator": entry.operator,
        "beside": entry.beside,
        "candidate": entry.candidate.written() if entry.candidate is not None else None,
        "halted": entry.halted.written() if entry.halted is not None else None,
    }
    return found | {key: value for key, value in optional.items() if value}


def _proven(entries: tuple[PolicyEntry, ...]) -> tuple[PolicyEntry, ...]:
    return tuple(entry.proven for entry in entries)


def _dump(obj: Mapping[str, Any]) -> str:
    return json.dumps(obj, sort_keys=True, separators=(",", ":"))


def _document(obj: object) -> PolicyDocument:
    top = members.mapping(obj, "document")
    version = members.integer(top, "formatVersion", "")
    if version != FORMAT_VERSION:
        problem = f"is {version}, and this version reads {FORMAT_VERSION}: operator and sidecar do not go together"
        raise PolicyFormatError("formatVersion", problem)
    secrets = {
        name: {
            key: members.decode(value, f"secrets.{name}.{key}")
            for key, value in members.mapping(keys, f"secrets.{name}").items()
        }
        for name, keys in members.mapping(top.get("secrets", {}), "secrets").items()
    }
    return PolicyDocument(
        members.integer(top, "revision", ""),
        _entries(top, "configs"),
        secrets,
        _control(top.get("control")),
        _entries(top, "named"),
        members.text({"namespace": "", **top}, "namespace", ""),
    )


def _entries(top: Mapping[str, Any], member: str) -> tuple[PolicyEntry, ...]:
    items = members.list_of(top, member, "")
    return tuple(_entry(item, f"{member}[{index}]") for index, item in enumerate(items))


def _control(obj: object) -> Control | None:
    if obj is None:
        return None
    item = members.mapping(obj, "control")
    return Control(members.text(item, "endpoint", "control"), members.text(item, "ca", "control"))


def _entry(obj: object, where: str) -> PolicyEntry:
    item = members.mapping(obj, where)
    name, namespace = members.text(item, "name", where), members.text(item, "namespace", where)
    uid, created = members.text(item, "uid", where), members.text(item, "created", where)
    retired = item.get("retired", False)
    if not isinstance(retired, bool):
        raise PolicyFormatError(f"{where}.retired", f"must be true or false, not {show(retired)}")
    spec = members.mapping(item.get("spec"), f"{where}.spec")
    return PolicyEntry(
        name,
        namespace,
        uid,
        members.integer(item, "generation", where),
        created,
        spec,
        retired,
        members.integer({"retiredAt": 0, **item}, "retiredAt", where),
        tuple(members.texts(members.list_of(item, "sources", where), f"{where}.sources")),
        members.text_map(item, "origins", where),
        members.mapping(item.get("about", {}), f"{where}.about"),
        members.mappings(item, "operator", where),
        members.mapping(item.get("beside", {}), f"{where}.beside"),
        read_candidate(item.get("candidate")),
        read_halted(item.get("halted")),
    )


def _beside(sections: Mapping[str, Any], origins: Mapping[str, str]) -> dict[str, Any]:
    """Without the rules and channels of another config, which are not for everybody's eyes: of those, pods need to know
    only that there are some, and whose."""
    return {name: {} if name == Section.ALERTS.field and name in origins else each for name, each in sections.items()}


def _for_earlier(processors: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    prices = prices_for_earlier(processors)
    return {Section.PROCESSORS.field: prices} if prices else {}


def _for_operator(spec: Mapping[str, Any], section: str) -> dict[str, Any]:
    return {key: spec[section][key] for key in FOR_OPERATOR[section] if key in spec[section]}
