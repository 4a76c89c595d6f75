"""All that a connection to one backend consists of, secrets included, as a value that can be compared."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field

from tracekeeper_spec.config import Auth, Backend, Compression, Header, Protocol, ShardBy, Tls
from tracekeeper_spec.secret_ref import SecretKeyRef
from tracekeeper_spec.secrets import Secrets


@dataclass(frozen=True, slots=True)
class Connection:
    """Two equal connections are interchangeable; a changed secret makes an unequal one."""

    protocol: Protocol
    url: str
    """HTTP: where requests go. GRPC: the endpoint, for messages only."""
    target: str
    """GRPC: host:port."""
    secure: bool = False
    """TLS, as the endpoint's scheme says."""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Names in lower case, authorization included."""
    ca: bytes | None = field(default=None, repr=False)
    """PEM of the authorities to trust instead of the system's."""
    certificate: bytes | None = field(default=None, repr=False)
    """PEM of the client's certificate chain, for mTLS."""
    key: bytes | None = field(default=None, repr=False)
    """PEM of its private key."""
    compression: str = ""
    """`gzip`, `zstd`, or empty."""
    max_connections: int = 4
    """To each address, if `sharded`."""
    sharded: bool = False
    """Each trace goes whole to one of the addresses that the host's name has."""
    retry_codes: tuple[int, ...] = ()
    """HTTP statuses that the config wants retried."""


@dataclass(frozen=True, slots=True)
class Unusable:
    """A backend that cannot be connected to as it is configured."""

    reason: str
    """What is wrong and what to do, naming the field or the secret."""


def connect(backend: Backend, secrets: Secrets) -> Connection | Unusable:
    """Look up everything that `backend` refers to."""
    otlp = backend.otlp
    try:
        headers = [(header.name.lower(), _header(header, secrets)) for header in otlp.headers]
        if otlp.auth is not None:
            headers.append(("authorization", _authorization(otlp.auth, secrets)))
        ca, certificate, key = _tls(otlp.tls, secrets) if otlp.tls is not None else (None, None, None)
    except ValueError as error:
        return Unusable(str(error))
    return Connection(
        protocol=otlp.protocol,
        url=otlp.endpoint if otlp.protocol is Protocol.GRPC else otlp.traces_url,
        target=otlp.target,
        secure=otlp.secure,
        headers=tuple(headers),
        ca=ca,
        certificate=certificate,
        key=key,
        compression={Compression.GZIP: "gzip", Compression.ZSTD: "zstd"}.get(otlp.compression, ""),
        max_connections=otlp.max_connections,
        sharded=otlp.shard_by is ShardBy.TRACE_ID,
        retry_codes=backend.retry.status_codes,
    )


def _header(header: Header, secrets: Secrets) -> str:
    if header.secret_key_ref is None:
        return header.value or ""
    return _line(f"otlp.headers[{header.name}]", header.secret_key_ref, secrets)


def _authorization(auth: Auth, secrets: Secrets) -> str:
    if auth.bearer is not None:
        return "Bearer " + _line("otlp.auth.bearer", auth.bearer.secret_key_ref, secrets)
    if auth.basic is None:
        raise ValueError("otlp.auth has neither bearer nor basic")
    ref = auth.basic.password.secret_key_ref
    password = _lookup("otlp.auth.basic.password", ref.name, ref.key, secrets).rstrip(b"\r\n")
    return "Basic " + base64.b64encode(auth.basic.username.encode() + b":" + password).decode()


def _tls(tls: Tls, secrets: Secrets) -> tuple[bytes | None, bytes | None, bytes | None]:
    ca = certificate = key = None
    if tls.ca is not None:
        ref = tls.ca.secret_key_ref
        ca = _lookup("otlp.tls.ca", ref.name, ref.key, secrets)
    if tls.client_certificate is not None:
        name = tls.client_certificate.secret_name
        certificate = _lookup("otlp.tls.clientCertificate", name, "tls.crt", secrets)
        key = _lookup("otlp.tls.clientCertificate", name, "tls.key", secrets)
    return ca, certificate, key


def _line(where: str, ref: SecretKeyRef, secrets: Secrets) -> str:
    """A secret that goes into a header. Files written by `echo` end in a newline, which nobody means."""
    value = _lookup(where, ref.name, ref.key, secrets).rstrip(b"\r\n")
    if not value or not all(0x20 <= byte <= 0x7E for byte in value):
        raise ValueError(
            f"{where}: key {ref.key!r} of secret {ref.name!r} is empty or holds more than one line of printable"
            " ASCII, which is all that a header can carry"
        )
    return value.decode("ascii")


def _lookup(where: str, name: str, key: str, secrets: Secrets) -> bytes:
    value = secrets.get(name, key)
    if value is None:
        raise ValueError(f"{where}: secret {name!r} with key {key!r} is missing; create it, spans wait meanwhile")
    return value
