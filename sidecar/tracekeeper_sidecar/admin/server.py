"""The HTTP server on the metrics port: probes, health, metrics, the ledger, and flush from localhost."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from tracekeeper_sidecar.admin import exposition, health
from tracekeeper_sidecar.admin.ledger_page import ledger_page
from tracekeeper_sidecar.admin.snapshot import Snapshot

MAX_FLUSH = 300.0
"""Longest time in seconds that one flush may wait."""
STARTUP_PATIENCE = 4.0
"""Seconds that a start-up probe is kept waiting for the ports; a little less than the kubelet waits."""


@dataclass(frozen=True, slots=True)
class Flushed:
    """What a flush has left: spans that are still pending, and why nothing could be done if nothing could."""

    pending: int
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Probes:
    """What the server asks of the application."""

    snapshot: Callable[[], Snapshot]
    started: Callable[[float], Awaitable[bool]]
    """True once every port is bound; waits at most that many seconds for it."""
    alive: Callable[[], str]
    """Empty while the process can do its work; else why only a restart would help."""
    flush: Callable[[float], Awaitable[Flushed]]
    """Waits at most that many seconds for what is pending now."""


class AdminServer:
    """Serves until `stop`; holds no state of its own."""

    def __init__(self, probes: Probes) -> None:
        self._probes = probes
        app = web.Application()
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/startupz", self._startupz)
        app.router.add_get("/health", self._health)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/ledger", self._ledger)
        app.router.add_post("/flush", self._flush)
        # Stopping waits only briefly for open connections: a scraper's keep-alive must not hold up the drain.
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)

    async def start(self, port: socket.socket) -> None:
        """Serve on a socket that listens already; it is closed by `stop`."""
        await self._runner.setup()
        await web.SockSite(self._runner, port).start()

    async def stop(self) -> None:
        """Close the port and every connection."""
        await self._runner.cleanup()

    async def _livez(self, request: web.Request) -> web.Response:
        problem = self._probes.alive()
        return web.Response(text=problem or "alive", status=503 if problem else 200)

    async def _startupz(self, request: web.Request) -> web.Response:
        started = await self._probes.started(STARTUP_PATIENCE)
        return web.Response(text="started" if started else "ports are being bound", status=200 if started else 503)

    async def _health(self, request: web.Request) -> web.Response:
        body = health.report(self._probes.snapshot())
        return web.json_response(body, status=503 if body["status"] == "unhealthy" else 200)

    async def _metrics(self, request: web.Request) -> web.Response:
        from importlib.metadata import version  # noqa: PLC0415 - slow import

        text = exposition.render(self._probes.snapshot(), version("tracekeeper"))
        return web.Response(body=text, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    async def _ledger(self, request: web.Request) -> web.Response:
        return web.json_response(ledger_page(self._probes.snapshot()))

    async def _flush(self, request: web.Request) -> web.Response:
        if not _is_loopback(request.remote):
            return web.Response(status=403, text="flush is answered on localhost only: run it inside the pod\n")
        timeout = _seconds(request.query.get("timeout", "10"))
        if timeout is None:
            return web.Response(status=400, text="timeout: a number of seconds from 0 to 300, such as 10\n")
        left = await self._probes.flush(timeout)
        done = left.pending == 0 and not left.problem
        body = {"flushed": done, "pending": left.pending, "problem": left.problem}
        return web.json_response(body, status=200 if done else 503 if left.problem else 504)


def _seconds(text: str) -> float | None:
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if 0 <= seconds <= MAX_FLUSH else None


def _is_loopback(remote: str | None) -> bool:
    address = ipaddress.ip_address(remote or "0.0.0.0")
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
