"""The HTTP server on the metrics port: probes, health, metrics, the ledger, and flush from localhost."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from tracekeeper_sidecar.admin import exposition, health
from tracekeeper_sidecar.admin.ledger_page import ledger_page
from tracekeeper_sidecar.admin.snapshot import Snapshot
from tracekeeper_sidecar.errors import ListenError
from tracekeeper_sidecar.settings import Address

MAX_FLUSH = 300.0
"""Longest time in seconds that one flush may wait."""


@dataclass(frozen=True, slots=True)
class Probes:
    """What the server asks of the application."""

    snapshot: Callable[[], Snapshot]
    started: Callable[[], bool]
    """True once every port is bound."""
    alive: Callable[[], str]
    """Empty while the process can do its work; else why only a restart would help."""
    flush: Callable[[float], Awaitable[int]]
    """Waits at most that many seconds for what is pending now; returns the spans that still are."""


class AdminServer:
    """Serves until `stop`; holds no state of its own."""

    def __init__(self, probes: Probes, version: str) -> None:
        self._probes, self._version = probes, version
        app = web.Application()
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/startupz", self._startupz)
        app.router.add_get("/health", self._health)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/ledger", self._ledger)
        app.router.add_post("/flush", self._flush)
        # Stopping waits only briefly for open connections: a scraper's keep-alive must not hold up the drain.
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)

    async def start(self, address: Address) -> int:
        """Bind `address` and serve; returns the port. Raises ListenError."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, address.host or None, address.port)
        try:
            await site.start()
        except OSError as error:
            raise ListenError(str(address), error.strerror or str(error)) from None
        port: int = self._runner.addresses[0][1]
        return port

    async def stop(self) -> None:
        """Close the port and every connection."""
        await self._runner.cleanup()

    async def _livez(self, request: web.Request) -> web.Response:
        problem = self._probes.alive()
        return web.Response(text=problem or "alive", status=503 if problem else 200)

    async def _startupz(self, request: web.Request) -> web.Response:
        started = self._probes.started()
        return web.Response(text="started" if started else "ports are being bound", status=200 if started else 503)

    async def _health(self, request: web.Request) -> web.Response:
        body = health.report(self._probes.snapshot())
        return web.json_response(body, status=503 if body["status"] == "unhealthy" else 200)

    async def _metrics(self, request: web.Request) -> web.Response:
        text = exposition.render(self._probes.snapshot(), self._version)
        return web.Response(body=text, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    async def _ledger(self, request: web.Request) -> web.Response:
        return web.json_response(ledger_page(self._probes.snapshot()))

    async def _flush(self, request: web.Request) -> web.Response:
        if not _is_loopback(request.remote):
            return web.Response(status=403, text="flush is answered on localhost only: run it inside the pod\n")
        try:
            timeout = min(float(request.query.get("timeout", "10")), MAX_FLUSH)
        except ValueError:
            return web.Response(status=400, text="timeout: a number of seconds, such as 10\n")
        pending = await self._probes.flush(timeout)
        return web.json_response({"flushed": pending == 0, "pending": pending}, status=200 if pending == 0 else 504)


def _is_loopback(remote: str | None) -> bool:
    return remote is not None and ipaddress.ip_address(remote).is_loopback
