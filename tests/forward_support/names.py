"""A resolver that tests decide on."""

from __future__ import annotations

import asyncio
import socket
from typing import Any


class Names(asyncio.SelectorEventLoop):
    """A loop whose resolver knows one more name."""

    def __init__(self, name: str, *addresses: str) -> None:
        super().__init__()
        self._name, self.addresses = name, list(addresses)

    async def getaddrinfo(self, host: Any, port: Any, **settings: Any) -> Any:
        if host != self._name:
            return await super().getaddrinfo(host, port, **settings)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in self.addresses]
