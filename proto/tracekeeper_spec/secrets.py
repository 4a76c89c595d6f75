"""Where values of Secrets come from: the policy document in a pod, a directory on a laptop."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tracekeeper_spec.config import ConfigSpec, Otlp
from tracekeeper_spec.faults import Fault
from tracekeeper_spec.secret_ref import SecretKeyRef
from tracekeeper_spec.texts import DNS_SUBDOMAIN, SECRET_KEY

MAX_SECRET_BYTES = 1024 * 1024
"""Kubernetes allows no Secret to be larger."""
CERTIFICATE_KEYS = ("tls.crt", "tls.key")
"""The keys of a Secret of type kubernetes.io/tls."""
RESERVED = "tracekeeper-"
"""What names of the operator's own Secrets begin with, and those in policy documents of Secrets of other namespaces."""


class Secrets(Protocol):
    """Looks up one key of a Secret."""

    def get(self, name: str, key: str) -> bytes | None:
        """The value, exactly as stored; None when the Secret or the key is not there. Does not raise."""


class DocumentSecrets:
    """Secrets as a policy document carries them."""

    def __init__(self, secrets: Mapping[str, Mapping[str, bytes]]) -> None:
        self._secrets = secrets

    def get(self, name: str, key: str) -> bytes | None:
        return self._secrets.get(name, {}).get(key)


class DirectorySecrets:
    """Secrets as files: DIRECTORY/NAME/KEY, which is also what mounting each Secret there gives.

    A file that is missing, unreadable or larger than a Secret may be counts as missing. Each value is read
    anew.
    """

    def __init__(self, directory: Path | str) -> None:
        self._directory = Path(directory)

    def get(self, name: str, key: str) -> bytes | None:
        if not (re.fullmatch(DNS_SUBDOMAIN.pattern, name) and re.fullmatch(SECRET_KEY.pattern, key)):
            return None
        try:
            with open(self._directory / name / key, "rb") as file:
                value = file.read(MAX_SECRET_BYTES + 1)
        except OSError:
            return None
        return value if len(value) <= MAX_SECRET_BYTES else None


@dataclass(frozen=True, slots=True)
class SecretUse:
    """One key of a Secret that a config needs, and the field that needs it."""

    name: str
    key: str
    path: str


def secret_uses(spec: ConfigSpec) -> list[SecretUse]:
    """Every key of a Secret that backends and processors of `spec` refer to, in order of their fields: what sidecars
    must have."""
    uses: list[SecretUse] = []
    for index, backend in enumerate(spec.backends or ()):
        uses.extend(_uses(backend.otlp, f"spec.backends[{index}].otlp"))
    for index, processor in enumerate(spec.processors or ()):
        if processor.redact is not None and processor.redact.hash_key is not None:
            uses.append(_use(processor.redact.hash_key.secret_key_ref, f"spec.processors[{index}].redact.hashKey"))
    return uses


def secret_refs(spec: ConfigSpec) -> set[tuple[str, str]]:
    """(name, key) of every key of a Secret that backends and processors of `spec` refer to."""
    return {(use.name, use.key) for use in secret_uses(spec)}


def channel_uses(spec: ConfigSpec) -> list[SecretUse]:
    """Every key of a Secret that channels of `spec` refer to, in order of their fields. Only Alertmanager may have
    their values: they are in no policy, and consent to use a config does not hand them over."""
    return [
        _use(ref, f"spec.alerts.channels[{index}].{below}")
        for index, channel in enumerate(spec.alerts.channels if spec.alerts else ())
        for below, ref in channel.references()
    ]


def missing_secrets(spec: ConfigSpec, secrets: Secrets) -> list[Fault]:
    """A fault for each field of `spec` whose Secret or key is not in `secrets`."""
    return [
        Fault(use.path, f"Secret {use.name!r} has no key {use.key!r}, or does not exist", "create it")
        for use in secret_uses(spec)
        if secrets.get(use.name, use.key) is None
    ]


def reserved_names(spec: ConfigSpec) -> list[Fault]:
    """A fault for each field of `spec`, as people write it, that names a Secret which only the operator may have.

    Else a policy could hold itself, or take for its own what was published for somebody else.
    """
    problem, hint = (
        f"names of Secrets that begin with {RESERVED} are the operator's own",
        "give the Secret another name",
    )
    paths = dict.fromkeys(
        use.path if use.path.endswith(".secretName") else f"{use.path}.name"
        for use in (*secret_uses(spec), *channel_uses(spec))
        if use.name.startswith(RESERVED)
    )
    return [Fault(path, problem, hint) for path in paths]


def _uses(otlp: Otlp, path: str) -> Iterator[SecretUse]:
    for index, header in enumerate(otlp.headers):
        if header.secret_key_ref is not None:
            yield _use(header.secret_key_ref, f"{path}.headers[{index}]")
    if otlp.auth is not None and otlp.auth.bearer is not None:
        yield _use(otlp.auth.bearer.secret_key_ref, f"{path}.auth.bearer")
    if otlp.auth is not None and otlp.auth.basic is not None:
        yield _use(otlp.auth.basic.password.secret_key_ref, f"{path}.auth.basic.password")
    if otlp.tls is not None and otlp.tls.ca is not None:
        yield _use(otlp.tls.ca.secret_key_ref, f"{path}.tls.ca")
    if otlp.tls is not None and otlp.tls.client_certificate is not None:
        name = otlp.tls.client_certificate.secret_name
        for key in CERTIFICATE_KEYS:
            yield SecretUse(name, key, f"{path}.tls.clientCertificate.secretName")


def _use(ref: SecretKeyRef, path: str) -> SecretUse:
    return SecretUse(ref.name, ref.key, f"{path}.secretKeyRef")
