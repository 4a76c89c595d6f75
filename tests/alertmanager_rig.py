"""A real Alertmanager on the loopback, and what stands behind the channels: servers that take what it sends.

The Alertmanager is Debian's 0.25. `Inbox` speaks as Slack, PagerDuty, OpsGenie and a webhook do (it answers each with
what that answers), `Mail` is a mail server that wants a user name and a password.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import email
import email.policy
import json
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

import promtool
from waiting import attempted


@dataclass(slots=True)
class Alertmanager:
    """A running one."""

    url: str
    session: aiohttp.ClientSession

    async def post(self, *alerts: Mapping[str, Any]) -> None:
        async with self.session.post(f"{self.url}/api/v2/alerts", json=alerts) as answer:
            assert answer.status == 200, await answer.text()

    async def configuration(self) -> str:
        """What it runs with, every default worked in."""
        async with self.session.get(f"{self.url}/api/v2/status") as answer:
            text: str = (await answer.json())["config"]["original"]
            return text


@contextlib.asynccontextmanager
async def alertmanager(config: Path, storage: Path) -> AsyncIterator[Alertmanager]:
    """One that reads `config`, and keeps what it keeps in `storage`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [
        *promtool.alertmanager(),
        f"--config.file={config}",
        f"--storage.path={storage}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    process = await asyncio.create_subprocess_exec(
        *words, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    said: list[bytes] = []
    listening = asyncio.create_task(_listen(process.stderr, said))
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
            running = Alertmanager(f"http://127.0.0.1:{port}", session)

            async def ready() -> bool:
                assert process.returncode is None, b"".join(said).decode()
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(f"{running.url}/-/ready") as answer:
                        return answer.status == 200
                return False

            await attempted(ready, lambda: b"".join(said).decode())
            yield running
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), 30)
        await listening


async def _listen(stream: asyncio.StreamReader, said: list[bytes]) -> None:
    while piece := await stream.read(65536):
        said.append(piece)


@dataclass(slots=True)
class Inbox:
    """What came over HTTP, by path."""

    url: str
    took: list[tuple[str, Mapping[str, str], Any]] = field(default_factory=list)
    """Path, headers and the JSON that was sent."""

    def at(self, path: str) -> list[Any]:
        return [body for where, _, body in self.took if where == path]

    def headers(self, path: str) -> Mapping[str, str]:
        return next(headers for where, headers, _ in self.took if where == path)


@contextlib.asynccontextmanager
async def inbox() -> AsyncIterator[Inbox]:
    app = web.Application()
    runner = web.AppRunner(app)
    box = Inbox("")

    async def take(request: web.Request) -> web.Response:
        box.took.append((request.path, dict(request.headers), json.loads(await request.read())))
        pager = request.path.endswith("/enqueue")
        return web.Response(text="ok", status=202 if pager or request.path.startswith("/genie") else 200)

    app.router.add_route("*", "/{path:.*}", take)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        box.url = f"http://{host}:{port}"
        yield box
    finally:
        await runner.cleanup()


@dataclass(slots=True)
class Mail:
    """What came by mail, and with which user name and password."""

    port: int = 0
    took: list[EmailMessage] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)


@contextlib.asynccontextmanager
async def mail() -> AsyncIterator[Mail]:
    """Just as much SMTP as Alertmanager speaks (RFC 5321 and, for AUTH PLAIN, 4616)."""
    box = Mail()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail\r\n")
        while line := await reader.readline():
            verb = line.split(maxsplit=1)[0].upper() if line.strip() else b""
            match verb:
                case b"EHLO":
                    answer = b"250-mail\r\n250 AUTH PLAIN\r\n"
                case b"AUTH":
                    _, name, password = base64.b64decode(line.split()[2]).split(b"\0")
                    box.logins.append((name.decode(), password.decode()))
                    answer = b"235 yes\r\n"
                case b"DATA":
                    writer.write(b"354 go\r\n")
                    lines = []
                    while (line := await reader.readline()) not in (b".\r\n", b""):
                        lines.append(line)
                    message = email.message_from_bytes(b"".join(lines), policy=email.policy.default)
                    assert isinstance(message, EmailMessage)
                    box.took.append(message)
                    answer = b"250 taken\r\n"
                case b"QUIT":
                    writer.write(b"221 bye\r\n")
                    break
                case _:
                    answer = b"250 ok\r\n"
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    box.port = server.sockets[0].getsockname()[1]
    async with server:
        yield box
