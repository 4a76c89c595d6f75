"""The way to the API server: from the pod's service account, or from a kubeconfig file.

Only what can be read from files is supported: service-account tokens, client certificates, static tokens. A
kubeconfig that calls a program for credentials is refused with a message, because a pod would not have the
program.
"""

from __future__ import annotations

import base64
import binascii
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from .errors import AccessError

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True, slots=True)
class Access:
    """Where the API server is and how to prove who we are; PEM texts, never printed."""

    server: str
    ca: str | None = None
    certificate: str | None = field(default=None, repr=False)
    key: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    token_file: Path | None = None
    server_name: str | None = None
    insecure: bool = False

    def bearer(self) -> str | None:
        """The token to send, read again at every call because the kubelet replaces it; None with a client
        certificate.

        Raises AccessError when the file cannot be read.
        """
        if self.token_file is None:
            return self.token
        try:
            return self.token_file.read_text().strip()
        except OSError as error:
            raise AccessError(str(self.token_file), f"cannot read the service account's token: {error}") from error

    def tls(self) -> ssl.SSLContext | None:
        """The context for requests; None for a plain-HTTP server. Raises AccessError when the material is
        damaged.
        """
        if self.server.startswith("http://"):
            return None
        try:
            context = ssl.create_default_context(cadata=self.ca)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            if self.insecure:
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            if self.certificate is not None and self.key is not None:
                load_chain(context, self.certificate, self.key)
        except (ssl.SSLError, ValueError) as error:
            raise AccessError(self.server, f"certificate material cannot be used: {error}") from error
        return context


def load_chain(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Load PEM texts into a context without a file on disk: OpenSSL only takes paths, so they go through
    memory files.

    Raises ssl.SSLError when the texts are damaged or do not belong together; the context then is as it was.
    """
    descriptors = [os.memfd_create(name) for name in ("certificate", "key")]
    try:
        for descriptor, text in zip(descriptors, (certificate, key), strict=True):
            os.write(descriptor, text.encode())
        paths = [f"/proc/self/fd/{descriptor}" for descriptor in descriptors]
        # OpenSSL installs the certificate before it looks at the key, so a pair that does not fit would already
        # have replaced the one in use: a context that nobody serves with takes it first.
        for target in (ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), context):
            target.load_cert_chain(paths[0], paths[1])
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def find(environ: Mapping[str, str], account: Path = ACCOUNT) -> Access:
    """The way to the API server: `KUBECONFIG` if it is set, else the pod's service account. Raises
    AccessError.
    """
    if path := environ.get("KUBECONFIG"):
        return from_kubeconfig(Path(path))
    if "KUBERNETES_SERVICE_HOST" in environ:
        return from_pod(environ, account)
    raise AccessError(
        "environment", "neither KUBECONFIG nor KUBERNETES_SERVICE_HOST is set: run in a pod, or set KUBECONFIG"
    )


def from_pod(environ: Mapping[str, str], account: Path = ACCOUNT) -> Access:
    """The service account that the kubelet mounted. Raises AccessError when it is not there."""
    host = environ["KUBERNETES_SERVICE_HOST"]
    port = environ.get("KUBERNETES_SERVICE_PORT", "443")
    try:
        ca = (account / "ca.crt").read_text()
    except OSError as error:
        raise AccessError(str(account), f"no service account is mounted: {error}") from error
    host = f"[{host}]" if ":" in host else host
    return Access(server=f"https://{host}:{port}", ca=ca, token_file=account / "token")


def from_kubeconfig(path: Path) -> Access:
    """The current context of a kubeconfig file. Raises AccessError naming the file and the field."""
    try:
        document = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise AccessError(str(path), f"cannot be read as a kubeconfig: {error}") from error
    context = _named(path, document, "contexts", "context", _current(path, document))
    cluster = _named(path, document, "clusters", "cluster", context.get("cluster"))
    user = _named(path, document, "users", "user", context.get("user"))
    if "exec" in user or "auth-provider" in user:
        raise AccessError(str(path), "the user calls a program for credentials; use a token or a client certificate")
    server = cluster.get("server")
    if not isinstance(server, str):
        raise AccessError(str(path), "clusters[].cluster.server is missing")
    token_file = user.get("tokenFile")
    return Access(
        server=server.rstrip("/"),
        ca=_material(path, cluster, "certificate-authority"),
        certificate=_material(path, user, "client-certificate"),
        key=_material(path, user, "client-key"),
        token=user.get("token"),
        token_file=path.parent / token_file if isinstance(token_file, str) else None,
        server_name=cluster.get("tls-server-name"),
        insecure=cluster.get("insecure-skip-tls-verify") is True,
    )


def _current(path: Path, document: Any) -> Any:
    if not isinstance(document, dict) or not document.get("current-context"):
        raise AccessError(str(path), "current-context is missing")
    return document["current-context"]


def _named(path: Path, document: Any, group: str, member: str, name: Any) -> dict[str, Any]:
    entries = document.get(group) if isinstance(document, dict) else None
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict) and entry.get("name") == name and isinstance(entry.get(member), dict):
            return dict(entry[member])
    raise AccessError(str(path), f"{group} has no entry named {name!r}")


def _material(path: Path, section: Mapping[str, Any], field_name: str) -> str | None:
    """PEM text from `<field>-data` (base64) or from the file that `<field>` names, relative to the
    kubeconfig.
    """
    inline, file = section.get(f"{field_name}-data"), section.get(field_name)
    try:
        if isinstance(inline, str):
            return base64.b64decode(inline, validate=True).decode()
        if isinstance(file, str):
            return (path.parent / file).read_text()
    except (OSError, binascii.Error, UnicodeDecodeError) as error:
        raise AccessError(str(path), f"{field_name}: {error}") from error
    return None
