"""TLS for outgoing connections: reads what the secrets hold once, so that a bad PEM is named before any handshake."""

from __future__ import annotations

import os
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from tracekeeper_sidecar.forward.connection import Connection


def client_context(connection: Connection) -> ssl.SSLContext:
    """A context that trusts `ca` alone, or the system's authorities without one, and presents the client certificate.
    TLS 1.2 is the least, whatever OpenSSL's own settings on the machine allow.

    Raises ValueError naming the field of the TracingConfig whose secret is not usable.
    """
    try:
        authorities = None if connection.ca is None else connection.ca.decode("ascii")
        if authorities == "":  # OpenSSL would fall back to the system's authorities: more trust than was asked for.
            raise ValueError("it is empty")
        context = ssl.create_default_context(cadata=authorities)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
    except (ssl.SSLError, ValueError) as error:
        raise ValueError(f"otlp.tls.ca holds no readable PEM certificates: {error}") from error
    if connection.certificate is not None and connection.key is not None:
        try:
            with _as_file(connection.certificate) as chain, _as_file(connection.key) as key:
                context.load_cert_chain(chain, key, password=_no_password)
        except (ssl.SSLError, ValueError, OSError) as error:
            raise ValueError(
                "otlp.tls.clientCertificate: tls.crt and tls.key are not a PEM certificate and its private key: "
                f"{error}"
            ) from error
    return context


def _no_password() -> str:
    # Without this OpenSSL would ask on the terminal and block the process.
    raise ValueError("the private key is encrypted; store it without a passphrase")


@contextmanager
def _as_file(data: bytes) -> Iterator[str]:
    """A path that reads as `data`: load_cert_chain takes nothing else, and keys should never touch the disk."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("tracekeeper-tls")
        try:
            os.write(descriptor, data)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
    else:
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            yield file.name
