"""Starting and stopping aiohttp servers, and the plain-HTTP one for probes and Prometheus."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from aiohttp import web

from .errors import ListenError
from .metrics import Metrics
from .settings import Address

Check = Callable[[], str]
"""What keeps the process from being ready, in words; empty when nothing does."""


class Server:
    """One listening port: `async with Server(app, address) as server`."""

    def __init__(
        self, app: web.Application, address: Address, *, tls: ssl.SSLContext | None = None, grace: float = 3.0
    ) -> None:
        self._address, self._tls = address, tls
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=grace)

    async def __aenter__(self) -> Self:
        """Raises ListenError."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._address.host or None, self._address.port, ssl_context=self._tls)
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            raise ListenError(str(self._address), error.strerror or str(error)) from error
        return self

    @property
    def port(self) -> int:
        """The bound port."""
        return int(self._runner.addresses[0][1])

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()


def health(metrics: Metrics, checks: Mapping[str, Check]) -> web.Application:
    """/healthz: the event loop turns. /readyz: every check passes, or 503 and what is missing. /metrics."""

    async def alive(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def ready(_: web.Request) -> web.Response:
        missing = [f"{name}: {problem}" for name, check in checks.items() if (problem := check())]
        return web.Response(text="\n".join(missing or ["ok"]) + "\n", status=503 if missing else 200)

    async def exposition(_: web.Request) -> web.Response:
        headers = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        return web.Response(body=metrics.render(), headers=headers)

    app = web.Application()
    app.router.add_get("/healthz", alive)
    app.router.add_get("/readyz", ready)
    app.router.add_get("/metrics", exposition)
    return app
