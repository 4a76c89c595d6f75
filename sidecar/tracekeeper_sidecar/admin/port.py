"""Takes the metrics port before anything slow is imported.

The kubelet's first start-up probe comes within moments of the process. On a port that listens it waits for the answer,
which comes as soon as every other port is bound; on one that does not it fails at once, and the application's first
container waits a whole period longer. Standard library only, for that reason.
"""

from __future__ import annotations

import socket

from tracekeeper_sidecar.errors import ListenError
from tracekeeper_sidecar.settings import Address

BACKLOG = 128


def take(address: Address) -> socket.socket:
    """A socket that listens on `address`; without a host on every address, IPv4 and IPv6. Raises ListenError."""
    try:
        if not address.host:
            return _everywhere(address.port)
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        return socket.create_server((address.host, address.port), family=family, backlog=BACKLOG)
    except OSError as error:
        cause = f"{error.strerror or error} (is another sidecar running there? choose another port)"
        raise ListenError(str(address), cause) from None


def _everywhere(port: int) -> socket.socket:
    """One socket for both families where the machine has both, else one for IPv4."""
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=BACKLOG)
    return socket.create_server(("", port), backlog=BACKLOG)
