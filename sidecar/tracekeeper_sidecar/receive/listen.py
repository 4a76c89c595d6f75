"""Why a port could not be bound, in words that say what to do."""

from __future__ import annotations

import errno
import os
import socket

from tracekeeper_sidecar.errors import ListenError

_HINTS = {
    errno.EADDRINUSE: "another process listens there; stop it or choose another port",
    errno.EACCES: "ports below 1024 need a privilege; choose a higher one",
    errno.EADDRNOTAVAIL: "no network interface has this address",
}


def join(host: str, port: int) -> str:
    """`host:port`, with brackets round an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def from_os(host: str, port: int, error: OSError) -> ListenError:
    """The error for what the operating system said."""
    if isinstance(error, socket.gaierror):
        return ListenError(join(host, port), f"the host name cannot be resolved ({error.strerror})")
    number = error.errno or 0
    cause = os.strerror(number) if number else str(error)
    hint = _HINTS.get(number)
    return ListenError(join(host, port), f"{cause} ({hint})" if hint else cause)
