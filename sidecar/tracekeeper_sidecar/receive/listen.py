"""Why a port could not be bound: gRPC does not tell, so the operating system is asked again."""

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


def diagnose(host: str, port: int) -> ListenError:
    """Bind the address once more, to learn the cause of a failure that came without one."""
    try:
        for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            with socket.socket(family, kind, protocol) as probe:
                probe.bind(address)
                probe.listen(1)
    except OSError as error:
        return from_os(host, port, error)
    return ListenError(join(host, port), "gRPC could not bind it, but the address is free now; try again")
