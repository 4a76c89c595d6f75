"""What exporters say of a backend that cannot be used, in words for people: what happened, and which field to check."""

from __future__ import annotations

import os
import socket
import ssl

from tracekeeper_sidecar.forward.answer import shorten
from tracekeeper_sidecar.forward.connection import Connection


def unreachable(connection: Connection, error: OSError) -> str:
    """No connection could be made."""
    return f"{connection.url} cannot be reached ({cause_of(error)}); check {_fields(connection)}"


def cut_off(connection: Connection, cause: str) -> str:
    """A connection ended in the middle of a call."""
    hint = "; check otlp.tls" if connection.secure else ""
    return f"{connection.url} closed the connection before it answered ({shorten(cause)}){hint}"


def unanswered(connection: Connection, timeout: float) -> str:
    """Time was up."""
    return f"no answer from {connection.url} within {timeout:g} s; it hangs or is overloaded, or `timeout` is short"


def crowded(connection: Connection, timeout: float) -> str:
    """Time was up before there was a connection to send on."""
    return (
        f"all connections to {connection.url} were busy for {timeout:g} s; it is slow, or `otlp.maxConnections`"
        f" ({connection.max_connections}) is small"
    )


def not_accepted(said: str) -> str:
    """The backend does not know us."""
    return (
        f"it does not accept our credentials ({said}); check otlp.auth, otlp.headers and the Secrets they refer to;"
        " spans wait meanwhile"
    )


def wrong_place(connection: Connection, said: str) -> str:
    """Somebody else answers."""
    return (
        f"there is no OTLP trace service at {connection.url} ({said}); check otlp.endpoint and otlp.protocol (GRPC is"
        " usually on 4317, HTTP on 4318); spans wait meanwhile"
    )


def unavailable(connection: Connection, said: str) -> str:
    """The backend says that it cannot work now."""
    return f"{connection.url} is not available or is shutting down ({said}); check {_fields(connection)}"


def _fields(connection: Connection) -> str:
    return "otlp.endpoint, the network, and otlp.tls" if connection.secure else "otlp.endpoint and the network"


def cause_of(error: OSError) -> str:
    """The system's own word for it where there is one: asyncio's leaves out why a connection failed."""
    if error.errno and not isinstance(error, ssl.SSLError | socket.gaierror):
        return os.strerror(error.errno)
    return shorten(str(error)) or type(error).__name__
