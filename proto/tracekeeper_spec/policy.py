"""The policy document: what the operator tells the sidecars of one namespace.

It is JSON, in key `policy.json` of the Secret `tracekeeper-policy`:

    {"formatVersion": 1,
     "revision": 7,                                   only grows; an undo is a new revision
     "configs": [{"name": "agents", "namespace": "shop", "uid": "…", "generation": 3,
                  "created": "2026-01-01T00:00:00Z", "retired": false,
                  "spec": {…}}],                      as written, without defaults
     "secrets": {"tempo": {"token": "<base64>"}},     only keys that the configs refer to
     "control": {"endpoint": "tracekeeper-control.tracekeeper.svc:9444",
                 "ca": "-----BEGIN CERTIFICATE-----…"}}   absent where there is no control stream

Members that this version does not know are ignored at every level above `spec`; a change that must not be
ignored raises formatVersion. Specs are kept as they are here, and read by `PolicyEntry.parse`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tracekeeper_spec import selector
from tracekeeper_spec.config import ConfigSpec, TracingConfig
from tracekeeper_spec.faults import Fault
from tracekeeper_spec.parse import parse_spec
from tracekeeper_spec.secrets import DocumentSecrets
from tracekeeper_spec.selector import Selector
from tracekeeper_spec.units import show

FORMAT_VERSION = 1
SECRET_NAME = "tracekeeper-policy"
SECRET_KEY = "policy.json"
MAX_BYTES = 1024 * 1024 - 16 * 1024
"""What a document may weigh: a Secret holds 1 MiB, less a margin for what else may be put into it."""


class PolicyFormatError(ValueError):
    """A text is not a policy document. `where` is a field or an offset, `problem` what is wrong there."""

    def __init__(self, where: str, problem: str) -> None:
        self.where, self.problem = where, problem
        super().__init__(f"policy document: {where}: {problem}")


@dataclass(frozen=True, slots=True)
class PolicyEntry:
    """One TracingConfig in the document."""

    name: str
    namespace: str
    uid: str
    generation: int
    created: str
    spec: Mapping[str, Any]
    """As it was written; see `parse`."""
    retired: bool = False
    """Deleted: its sidecars drain what they hold, then answer OK, store nothing and count."""

    @classmethod
    def of(cls, config: TracingConfig, retired: bool = False) -> PolicyEntry:
        c = config
        return cls(c.name, c.namespace, c.uid, c.generation, c.created, c.written, retired)

    def parse(self) -> tuple[ConfigSpec, list[Fault]]:
        """The spec as types, and what is wrong with it (nothing, unless operator and sidecar differ in
        version)."""
        return parse_spec(self.spec)

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
class PolicyDocument:
    revision: int
    configs: tuple[PolicyEntry, ...] = ()
    secrets: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)
    """Name of a Secret, key in it, value (decoded)."""
    control: Control | None = None
    """None where sidecars are to work each for itself."""

    def to_json(self) -> str:
        """The document's text, the same for equal documents."""
        secrets = {
            name: {key: base64.b64encode(value).decode() for key, value in keys.items()}
            for name, keys in self.secrets.items()
        }
        document = {**self._public(), "revision": self.revision, "secrets": secrets}
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

    @property
    def digest(self) -> str:
        """`sha256:…` over the configs. Not over the revision: an undo has the digest of what it goes back
        to. And not over secrets: a digest is shown to people, and would let them try out passwords. Nor over
        `control`, which says nothing of what is done with spans."""
        return "sha256:" + hashlib.sha256(_dump(self._public()).encode()).hexdigest()

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
        """The entry for a pod with `labels`: a retired one only if no other matches. See `selector.pick`."""
        readable = [entry for entry in self.configs if not _selector_is_bad(entry)]
        living = selector.pick((entry for entry in readable if not entry.retired), labels, annotations)
        return living or selector.pick((entry for entry in readable if entry.retired), labels, annotations)

    def lookup(self) -> DocumentSecrets:
        """The document's secrets, as backends ask for them."""
        return DocumentSecrets(self.secrets)

    def _public(self) -> dict[str, Any]:
        configs = [
            {
                "name": entry.name,
                "namespace": entry.namespace,
                "uid": entry.uid,
                "generation": entry.generation,
                "created": entry.created,
                "retired": entry.retired,
                "spec": entry.spec,
            }
            for entry in self.configs
        ]
        return {"formatVersion": FORMAT_VERSION, "configs": configs}


def _selector_is_bad(entry: PolicyEntry) -> bool:
    return "selector" in entry.spec and entry.selector is None


def _dump(obj: Mapping[str, Any]) -> str:
    return json.dumps(obj, sort_keys=True, separators=(",", ":"))


def _document(obj: object) -> PolicyDocument:
    top = _mapping(obj, "document")
    version = _integer(top, "formatVersion", "")
    if version != FORMAT_VERSION:
        problem = f"is {version}, and this version reads {FORMAT_VERSION}: operator and sidecar do not go together"
        raise PolicyFormatError("formatVersion", problem)
    configs = top.get("configs", [])
    if not isinstance(configs, list):
        raise PolicyFormatError("configs", f"must be a list, not {show(configs)}")
    secrets = {
        name: {key: _decode(value, f"secrets.{name}.{key}") for key, value in _mapping(keys, f"secrets.{name}").items()}
        for name, keys in _mapping(top.get("secrets", {}), "secrets").items()
    }
    entries = tuple(_entry(item, f"configs[{index}]") for index, item in enumerate(configs))
    return PolicyDocument(_integer(top, "revision", ""), entries, secrets, _control(top.get("control")))


def _control(obj: object) -> Control | None:
    if obj is None:
        return None
    item = _mapping(obj, "control")
    return Control(_text(item, "endpoint", "control"), _text(item, "ca", "control"))


def _entry(obj: object, where: str) -> PolicyEntry:
    item = _mapping(obj, where)
    name, namespace = _text(item, "name", where), _text(item, "namespace", where)
    uid, created = _text(item, "uid", where), _text(item, "created", where)
    retired = item.get("retired", False)
    if not isinstance(retired, bool):
        raise PolicyFormatError(f"{where}.retired", f"must be true or false, not {show(retired)}")
    spec = _mapping(item.get("spec"), f"{where}.spec")
    return PolicyEntry(name, namespace, uid, _integer(item, "generation", where), created, spec, retired)


def _mapping(obj: object, where: str) -> dict[str, Any]:
    if not isinstance(obj, dict):
        raise PolicyFormatError(where, f"must be an object, not {show(obj)}")
    return obj


def _text(obj: Mapping[str, Any], key: str, where: str) -> str:
    value = obj.get(key)
    if not isinstance(value, str):
        raise PolicyFormatError(f"{where}.{key}", f"must be a string, not {show(value)}")
    return value


def _integer(obj: Mapping[str, Any], key: str, where: str) -> int:
    value = obj.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        path = f"{where}.{key}" if where else key
        raise PolicyFormatError(path, f"must be a whole number, not {show(value)}")
    return value


def _decode(value: object, where: str) -> bytes:
    # What is wrong is not shown: it may be a secret that somebody did not encode.
    try:
        return base64.b64decode(value, validate=True) if isinstance(value, str) else _not_base64(where)
    except (binascii.Error, ValueError):
        return _not_base64(where)


def _not_base64(where: str) -> bytes:
    raise PolicyFormatError(where, "must be a base64 string")
