"""The HTTP server on the metrics port: probes, health, metrics, the ledger, and flush from localhost."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tracekeeper_sidecar.admin.scrapes import Scrapes, is_loopback, scraper_of
from tracekeeper_sidecar.errors import DumpBusy
from tracekeeper_sidecar.http.answer import Answer
from tracekeeper_sidecar.http.exchange import Exchange
from tracekeeper_sidecar.http.head import Head
from tracekeeper_sidecar.http.limits import Limits
from tracekeeper_sidecar.http.server import Server
from tracekeeper_sidecar.model import DumpAsked

if TYPE_CHECKING:
    from tracekeeper_sidecar.admin.decision import Asked
    from tracekeeper_sidecar.admin.snapshot import Snapshot
    from tracekeeper_sidecar.meter.reading import Reading

logger = logging.getLogger(__name__)

LIMITS: Final = Limits(idle=75.0, head=10.0, body=10.0, connections=64)
TEXT: Final = "text/plain; charset=utf-8"
JSON: Final = "application/json; charset=utf-8"
MAX_FLUSH = 300.0
"""Longest time in seconds that one flush may wait."""
BUDGETS, DECISION = "/v1/budgets/", "/decision"
"""Around a budget's name, the path under which is answered whether a call may be made."""
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
    reading: Callable[[], Reading | None]
    """What spans are counted as; None before they are."""
    started: Callable[[float], Awaitable[bool]]
    """True once every port is bound; waits at most that many seconds for it."""
    alive: Callable[[], str]
    """Empty while the process can do its work; else why only a restart would help."""
    flush: Callable[[float], Awaitable[Flushed]]
    """Waits at most that many seconds for what is pending now."""
    dead_letters: Callable[[], Awaitable[list[dict[str, object]]]]
    """The refused requests that are kept, described."""
    replay: Callable[[float], Awaitable[dict[str, object]]]
    """Sends them again within about that many seconds."""
    begin_dump: Callable[[DumpAsked], object]
    """Raises DumpBusy, and ValueError in words for people."""
    dumped: Callable[[], dict[str, object] | None]
    """How far the last dump has come; None before the first."""
    stop_dump: Callable[[], Awaitable[None]]
    budget: Callable[[str], Asked]
    """What is known of the budget with that name."""


class AdminServer:
    """Serves until `stop`; holds no state but the requests under way. A `Handler` of `tracekeeper_sidecar.http`."""

    def __init__(self, probes: Probes, scrapes: Scrapes) -> None:
        self._probes, self._scrapes = probes, scrapes
        self._rendering = asyncio.Lock()
        self._server: Server | None = None
        self._pages: dict[tuple[str, str], Callable[[Exchange, Head], Awaitable[Answer]]] = {
            ("GET", "/livez"): self._livez,
            ("GET", "/startupz"): self._startupz,
            ("GET", "/health"): self._health,
            ("GET", "/metrics"): self._metrics,
            ("GET", "/ledger"): self._ledger,
            ("POST", "/flush"): self._flush,
            ("GET", "/dead-letters"): self._dead_letters,
            ("POST", "/dead-letters/replay"): self._replay,
            ("POST", "/dump"): self._begin_dump,
            ("GET", "/dump"): self._dumped,
            ("POST", "/dump/stop"): self._stop_dump,
        }
        self._answering: set[asyncio.Task[None]] = set()

    async def start(self, port: socket.socket) -> None:
        """Serve on a socket that listens already; it is closed by `stop`."""
        self._server = Server(self, LIMITS)
        await self._server.start_on(port)

    async def stop(self) -> None:
        """Close the port and every connection. A scraper's keep-alive must not hold up the end."""
        if self._server is not None:
            await self._server.stop(1.0)
        for task in self._answering:
            task.cancel()

    def begin(self, exchange: Exchange, head: Head) -> None:
        """As Handler.begin: no page takes a body."""
        method = "GET" if head.method == "HEAD" else head.method
        page = self._pages.get((method, head.path))
        if page is None and method == "GET" and head.path.startswith(BUDGETS) and head.path.endswith(DECISION):
            page = self._decision
        if page is not None:
            task = asyncio.ensure_future(self._answer(exchange, head, page))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)
            return
        allowed = [one for one, path in self._pages if path == head.path]
        if allowed:
            exchange.reply(Answer(405, TEXT, f"use {allowed[0]}\n".encode(), (("Allow", allowed[0]),)))
        else:
            pages = ", ".join([*(path for _, path in self._pages), "/v1/budgets/NAME/decision"])
            exchange.reply(Answer(404, TEXT, f"nothing is served here; there are {pages}\n".encode()))

    def refuse(self, status: int, problem: str) -> Answer:
        """As Handler.refuse."""
        return Answer(status, TEXT, f"{problem}\n".encode())

    async def _answer(
        self, exchange: Exchange, head: Head, page: Callable[[Exchange, Head], Awaitable[Answer]]
    ) -> None:
        try:
            exchange.reply(await page(exchange, head))
        except Exception:
            logger.exception("%s could not be answered", head.path)
            exchange.reply(Answer(500, TEXT, b"the sidecar failed on this request; its log has the details\n"))

    async def _livez(self, exchange: Exchange, head: Head) -> Answer:
        problem = self._probes.alive()
        return Answer(503 if problem else 200, TEXT, (problem or "alive").encode())

    async def _startupz(self, exchange: Exchange, head: Head) -> Answer:
        started = await self._probes.started(STARTUP_PATIENCE)
        return Answer(200, TEXT, b"started") if started else Answer(503, TEXT, b"ports are being bound")

    async def _health(self, exchange: Exchange, head: Head) -> Answer:
        from tracekeeper_sidecar.admin import health  # noqa: PLC0415 - not on the way to the ports

        body = health.report(self._probes.snapshot())
        return Answer(503 if body["status"] == "unhealthy" else 200, JSON, json.dumps(body).encode())

    async def _metrics(self, exchange: Exchange, head: Head) -> Answer:
        from importlib.metadata import version  # noqa: PLC0415 - slow import

        from tracekeeper_sidecar.admin import accept, exposition  # noqa: PLC0415 - not on the way to the ports

        form = accept.form_for(head.field(b"accept"))
        scraper = scraper_of(exchange.peer, head)
        self._scrapes.note(exchange.peer)
        # One after the other: whoever asks a hundred times at once has the threads and the memory of one page.
        async with self._rendering:
            own = exposition.own(self._probes.snapshot(), version("tracekeeper"))
            reading = self._probes.reading()
            shown = self._scrapes.newborns.shown_to(scraper, reading.youngest) if reading else 0
            page = await asyncio.to_thread(exposition.render, own, reading, shown, form)
        return Answer(200, form.value, page)

    async def _decision(self, exchange: Exchange, head: Head) -> Answer:
        if not is_loopback(exchange.peer):
            return Answer(403, TEXT, b"budgets are told on localhost only: ask from inside the pod\n")
        from urllib.parse import parse_qs, unquote  # noqa: PLC0415 - not on the way to the ports

        from tracekeeper_sidecar.admin import decision  # noqa: PLC0415

        name = unquote(head.path[len(BUDGETS) : -len(DECISION)])
        values = {key: found[-1] for key, found in parse_qs(head.query).items()}
        status, body = decision.answer(name, values, self._probes.budget(name))
        return Answer(status, JSON, body, (("Cache-Control", "no-store"),))

    async def _ledger(self, exchange: Exchange, head: Head) -> Answer:
        from tracekeeper_sidecar.admin.ledger_page import ledger_page  # noqa: PLC0415 - not on the way to the ports

        return Answer(200, JSON, json.dumps(ledger_page(self._probes.snapshot())).encode())

    async def _flush(self, exchange: Exchange, head: Head) -> Answer:
        if not is_loopback(exchange.peer):
            return Answer(403, TEXT, b"flush is answered on localhost only: run it inside the pod\n")
        timeout = _timeout(head.query, "10")
        if timeout is None:
            return Answer(400, TEXT, b"timeout: a number of seconds from 0 to 300, such as 10\n")
        left = await self._probes.flush(timeout)
        done = left.pending == 0 and not left.problem
        body = {"flushed": done, "pending": left.pending, "problem": left.problem}
        return Answer(200 if done else 503 if left.problem else 504, JSON, json.dumps(body).encode())

    async def _dead_letters(self, exchange: Exchange, head: Head) -> Answer:
        if not is_loopback(exchange.peer):
            return Answer(403, TEXT, b"dead letters are shown on localhost only: look from inside the pod\n")
        return Answer(200, JSON, json.dumps({"letters": await self._probes.dead_letters()}).encode())

    async def _replay(self, exchange: Exchange, head: Head) -> Answer:
        if not is_loopback(exchange.peer):
            return Answer(403, TEXT, b"replay is answered on localhost only: run it inside the pod\n")
        timeout = _timeout(head.query, "60")
        if timeout is None:
            return Answer(400, TEXT, b"timeout: a number of seconds from 0 to 300, such as 60\n")
        return Answer(200, JSON, json.dumps(await self._probes.replay(timeout)).encode())

    async def _begin_dump(self, exchange: Exchange, head: Head) -> Answer:
        if not is_loopback(exchange.peer):
            return Answer(403, TEXT, b"a dump is begun on localhost only: run it inside the pod\n")
        try:
            self._probes.begin_dump(_asked(head.query))
        except DumpBusy:
            return Answer(409, TEXT, b"a dump is under way: wait for its end, or POST /dump/stop\n")
        except ValueError as error:
            return Answer(400, TEXT, f"{error}\n".encode())
        return await self._dumped(exchange, head)

    async def _dumped(self, exchange: Exchange, head: Head) -> Answer:
        if not is_loopback(exchange.peer):
            return Answer(403, TEXT, b"dumps are shown on localhost only: look from inside the pod\n")
        progress = self._probes.dumped()
        if progress is None:
            return Answer(404, TEXT, b"there was no dump since the sidecar started\n")
        return Answer(200, JSON, json.dumps(progress).encode())

    async def _stop_dump(self, exchange: Exchange, head: Head) -> Answer:
        if is_loopback(exchange.peer):
            await self._probes.stop_dump()
        return await self._dumped(exchange, head)


def _asked(query: str) -> DumpAsked:
    """Raises ValueError, in words for people."""
    from urllib.parse import parse_qs  # noqa: PLC0415 - not on the way to the ports

    found = {name: values[-1] for name, values in parse_qs(query).items()}
    try:
        since, timeout = float(found.get("since", "600")), float(found.get("timeout", "600"))
    except ValueError:
        raise ValueError("since and timeout: numbers of seconds, such as 600") from None
    return DumpAsked(since, found.get("where", ""), found.get("to", ""), found.get("forgotten") == "1", timeout)


def _timeout(query: str, default: str) -> float | None:
    """The seconds that a query asks for; None where they are none."""
    from urllib.parse import parse_qs  # noqa: PLC0415 - not on the way to the ports

    try:
        seconds = float(parse_qs(query).get("timeout", [default])[0])
    except ValueError:
        return None
    return seconds if 0 <= seconds <= MAX_FLUSH else None
