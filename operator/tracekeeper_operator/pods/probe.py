"""Does an injector answer? Asked as the API server would: by its Service's name, with TLS that our authority signed."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable

WITHIN = 5.0
"""Seconds for an answer."""


class Probe:
    """Any HTTP answer counts: who has the certificate and speaks HTTP is an injector at work."""

    def __init__(
        self, host: str, port: int, authority: Callable[[], str | None], *, connect: str | None = None
    ) -> None:
        self._host, self._port, self._authority = host, port, authority
        self._connect = connect if connect is not None else host
        """The address to connect to, where that is not the name in the certificate."""

    async def answers(self) -> bool:
        """Never raises for what goes wrong on the way."""
        authority = self._authority()
        if authority is None:
            return False
        try:
            async with asyncio.timeout(WITHIN):
                return await self._ask(authority)
        except (OSError, TimeoutError, ssl.SSLError, ValueError):
            return False

    async def _ask(self, authority: str) -> bool:
        context = ssl.create_default_context(cadata=authority)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        reader, writer = await asyncio.open_connection(
            self._connect, self._port, ssl=context, server_hostname=self._host
        )
        try:
            writer.write(f"GET /healthz HTTP/1.1\r\nHost: {self._host}\r\nConnection: close\r\n\r\n".encode())
            await writer.drain()
            return (await reader.readline()).startswith(b"HTTP/1.1 ")
        finally:
            writer.close()
