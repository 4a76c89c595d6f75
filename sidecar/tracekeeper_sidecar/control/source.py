"""Where the sidecar's instructions come from: a manifest on a laptop, a policy document in a pod.

Reading yields an `Instruction` or raises PolicyError; both sources are read again whenever their text changes.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from tracekeeper_sidecar.errors import PolicyError
from tracekeeper_sidecar.model import NO_POD, Pod
from tracekeeper_spec.budget import Budget
from tracekeeper_spec.config import ConfigSpec, Section
from tracekeeper_spec.earlier import is_copy
from tracekeeper_spec.metering import Metering, Push
from tracekeeper_spec.pod_facts import VARIABLES
from tracekeeper_spec.policy import Control, PolicyDocument, PolicyEntry, PolicyFormatError
from tracekeeper_spec.price import NO_PRICE, Price
from tracekeeper_spec.processor import price_of
from tracekeeper_spec.resolve import ResolvedSpec, check_resolved, resolve
from tracekeeper_spec.secrets import DirectorySecrets, DocumentSecrets, Secrets

logger = logging.getLogger(__name__)

_POD_MAPS = ("annotations", "labels")
_SERVICE_ANNOTATION = "resource.opentelemetry.io/service.name"


@dataclass(frozen=True, slots=True)
class Instruction:
    """What is in force: a resolved config and the secrets that its backends refer to."""

    config: str
    """`namespace/name` of the TracingConfig."""
    revision: int
    """The policy's revision; 0 for a manifest."""
    spec: ResolvedSpec
    secrets: Secrets
    uid: str = ""
    """Of the TracingConfig; a manifest has none."""
    control: Control | None = None
    """Where the operator hears and tells what sidecars do; None where each works for itself."""
    digest: str = ""
    """Of the policy document, or of the candidate in it that this pod tries; a manifest has none."""
    refused: tuple[str, ...] = ()
    """What is wrong with the candidate that this pod was to try: it has what is known to work instead."""
    budgets: tuple[Budget, ...] = ()
    """What its calls of models count against, where an operator adds that up."""
    pushes: tuple[Push, ...] = ()
    """Where metrics go, besides being scraped."""
    pod: Pod = NO_POD
    """Whose metrics they are."""
    alerts: str = ""
    """`namespace/name` of the config whose alerts hold for them; empty without alerts."""
    prices: Price = NO_PRICE
    """What holds before the book of prices."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Of the pod. So are the annotations."""
    annotations: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    """What else is known of it, by `pod_facts.VARIABLES`."""


class Source(Protocol):
    """Something that instructions are read from."""

    file: str

    def read(self) -> Instruction | None:
        """What the file says now, or None when there is nothing for this pod yet. Raises PolicyError, OSError."""

    def fingerprint(self) -> object:
        """A value that differs when anything that `read` looks at has changed."""


def _read(path: Path) -> str | None:
    """The file's text, or None when there is no such file: in a pod the policy may come after the sidecar."""
    try:
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except UnicodeDecodeError as error:
        raise PolicyError(str(path), [f"not UTF-8 text: byte {error.start} cannot be decoded"]) from None


def _stamp(path: Path) -> object:
    try:
        stat = path.stat()
    except OSError as error:
        return error.errno
    return (stat.st_ino, stat.st_mtime_ns, stat.st_size)


class ManifestSource:
    """`run --config FILE`: a TracingConfig manifest, with secrets from a folder of NAME/KEY files."""

    def __init__(self, file: str, secrets_dir: str | None) -> None:
        self.file = file
        self._path = Path(file)
        self._secrets_dir = Path(secrets_dir) if secrets_dir else None

    def read(self) -> Instruction | None:
        text = _read(self._path)
        if text is None:
            raise PolicyError(self.file, ["there is no such file"])
        # A pod's policy is JSON: YAML is imported for people's manifests alone.
        from tracekeeper_spec.manifest import load_manifest  # noqa: PLC0415

        config, faults = load_manifest(text, self.file)
        if config is None or faults:
            raise PolicyError(self.file, [*(fault.located() for fault in faults), *self._no_backends(text)])
        spec = resolve(config.spec)
        if unusable := check_resolved(spec):
            raise PolicyError(self.file, [f"{self.file}: {fault}" for fault in unusable])
        secrets: Secrets = DirectorySecrets(self._secrets_dir) if self._secrets_dir else DocumentSecrets({})
        return Instruction(
            f"{config.namespace}/{config.name}",
            0,
            spec,
            secrets,
            pushes=config.spec.metrics.push if config.spec.metrics is not None else (),
            pod=Pod(config.namespace, socket.gethostname()),
            alerts=f"{config.namespace}/{config.name}" if config.spec.alerts is not None else "",
            prices=price_of(spec.processors),
        )

    def _no_backends(self, text: str) -> list[str]:
        """The fault of a manifest that has others too, and names no backend: all are reported at once."""
        import yaml  # noqa: PLC0415

        try:
            written = yaml.safe_load(text)["spec"]
        except (yaml.YAMLError, ValueError, TypeError, KeyError, RecursionError):
            return []
        if not isinstance(written, dict) or "backends" in written or written.get("suspend") is True:
            return []
        return [f"{self.file}: {fault}" for fault in check_resolved(resolve(ConfigSpec()))]

    def fingerprint(self) -> object:
        if self._secrets_dir is None:
            return _stamp(self._path)
        return (_stamp(self._path), *(_stamp(path) for path in sorted(self._secrets_dir.glob("*/*"))))


class PolicySource:
    """`run --policy FILE`: the document that the operator writes for a namespace; the pod picks its config from it."""

    def __init__(self, file: str, pod_info_dir: str | None) -> None:
        self.file = file
        self._path = Path(file)
        self._pod_info = Path(pod_info_dir) if pod_info_dir else None

    def read(self) -> Instruction | None:
        text = _read(self._path)
        if text is None:
            return None
        try:
            document = PolicyDocument.from_json(text)
        except PolicyFormatError as error:
            raise PolicyError(self.file, [str(error)]) from None
        labels, annotations = self._pod_map("labels"), self._pod_map("annotations")
        entry = document.pick(labels, annotations)
        if entry is None:
            return None
        taken, refused = entry.taken_by(self._uid()), list[str]()
        try:
            resolved = self._resolved(taken)
        except PolicyError as error:
            if taken is entry:
                raise
            taken, refused, resolved = entry, error.faults, self._resolved(entry)
        tried = entry.candidate.digest if entry.candidate is not None and taken is not entry else ""
        return Instruction(
            f"{entry.namespace}/{entry.name}",
            document.revision,
            resolved,
            document.lookup(),
            entry.uid,
            document.control,
            tried or document.digest,
            tuple(refused),
            budgets=taken.section(Section.BUDGETS)[0] or (),
            pushes=_pushes(taken),
            pod=Pod(
                self._pod_text("namespace") or document.namespace,
                self._pod_text("name") or socket.gethostname(),
                self._pod_text("uid"),
            ),
            alerts=taken.author(Section.ALERTS),
            prices=_prices(taken, resolved),
            labels=labels,
            annotations=annotations,
            facts=_facts(),
        )

    def _resolved(self, entry: PolicyEntry) -> ResolvedSpec:
        """The entry's spec with defaults; of a retired one, suspended: what is held is drained, nothing new stored."""
        written, faults = entry.parse()
        spec = resolve(written)
        if faults := [*faults, *check_resolved(spec)]:
            raise PolicyError(self.file, [str(fault) for fault in faults])
        return replace(spec, suspend=True) if entry.retired else spec

    def fingerprint(self) -> object:
        if self._pod_info is None:
            return _stamp(self._path)
        return (_stamp(self._path), *(_stamp(self._pod_info / name) for name in ("labels", "annotations")))

    def _uid(self) -> str:
        """The pod's; empty where it is not known."""
        return self._pod_text("uid")

    def _pod_text(self, name: str) -> str:
        """What the downward API says in one line; empty where it does not."""
        return (_read(self._pod_info / name) or "").strip() if self._pod_info else ""

    def _pod_map(self, name: str) -> dict[str, str]:
        """The pod's labels or annotations, as the downward API writes them: one `key="escaped value"` a line."""
        text = _read(self._pod_info / name) if self._pod_info else None
        return parse_downward_map(text or "")


def _facts() -> dict[str, str]:
    return {name: found for name, (variable, _) in VARIABLES.items() if (found := os.environ.get(variable, ""))}


def _pushes(entry: PolicyEntry) -> tuple[Push, ...]:
    """Where metrics go. What this version cannot read, written for another one, keeps nobody from his spans."""
    found, faults = entry.section(Section.METRICS)
    for fault in faults:
        logger.warning("metrics are not pushed: %s", fault)
    return found.push if isinstance(found, Metering) else ()


def _prices(entry: PolicyEntry, resolved: ResolvedSpec) -> Price:
    """What holds before the book. An operator of the version before says it beside the spec, for the meter alone."""
    if resolved.processors or is_copy(entry.beside.get(Section.PROCESSORS.field)):
        return price_of(resolved.processors)
    return price_of(entry.section(Section.PROCESSORS)[0] or ())


def service_of(pod_info_dir: str | None) -> str:
    """What the pod's service is called, by its annotations and labels as OpenTelemetry reads them; empty where none of
    them says it. The downward API's files may change, and are read each time."""
    if not pod_info_dir:
        return ""
    annotations, labels = (parse_downward_map(_read(Path(pod_info_dir) / name) or "") for name in _POD_MAPS)
    said = (annotations.get(_SERVICE_ANNOTATION), labels.get("app.kubernetes.io/name"), labels.get("app"))
    return next((name for name in said if name), "")


def parse_downward_map(text: str) -> dict[str, str]:
    """Read the downward API's map files: `key="value"` lines with Go's quoting; odd lines are passed over."""
    pairs: dict[str, str] = {}
    for line in text.splitlines():
        key, equals, quoted = line.partition("=")
        if equals and len(quoted) >= 2 and quoted[0] == quoted[-1] == '"':
            pairs[key] = _unquote(quoted[1:-1])
    return pairs


_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


def _unquote(text: str) -> str:
    """Undo Go's strconv.Quote, as far as label and annotation values need it: simple, \\x, \\u and \\U escapes."""
    out: list[str] = []
    position = 0
    while position < len(text):
        character = text[position]
        if character != "\\" or position + 1 >= len(text):
            out.append(character)
            position += 1
            continue
        kind = text[position + 1]
        width = {"x": 2, "u": 4, "U": 8}.get(kind, 0)
        digits = text[position + 2 : position + 2 + width]
        if width and len(digits) == width and all(d in "0123456789abcdefABCDEF" for d in digits):
            out.append(chr(int(digits, 16)) if int(digits, 16) < 0x110000 else "\N{REPLACEMENT CHARACTER}")
        else:
            out.append(_ESCAPES.get(kind, kind))
            width = 0
        position += 2 + width
    return "".join(out)
