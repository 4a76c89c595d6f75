"""What one connection, and all of a server's together, may take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MAX_HEAD: Final = 32 * 1024
"""Bytes of a request's head. SDKs send some 300; service meshes and tracers add a few hundred."""
MAX_PIPELINED: Final = 32
"""Requests of one connection that wait for their answers; more are not read before one is answered."""
MAX_DISCARD: Final = 64 * 1024
"""Bytes of a body that are read for nothing, so that the connection lives on when its request was refused early."""
LINGER: Final = 2.0
"""Seconds that a refused sender has to read why, before the connection is cut under what it still sends."""
READ_SIZE: Final = 32 * 1024
"""Bytes of one read: a head with an ordinary body. Larger bodies are read straight into their own memory."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Times in seconds."""

    idle: float
    """Between two requests."""
    head: float
    """From the first byte of a head to its last, however steadily they trickle."""
    body: float
    """From the end of the head to the end of the body."""
    write: float = 30.0
    """For a client that does not read its answers."""
    connections: int = 512
    """At once; beyond that a connection is told to come back, and closed."""

    @property
    def sweep(self) -> float:
        """Between two looks at who is late."""
        return min(1.0, self.idle / 4, self.head / 4, self.body / 4)
