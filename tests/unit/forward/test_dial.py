"""Which of a backend's addresses is taken, and what a name may be."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvloop

from forward_support.certificates import Authority, server_context
from forward_support.names import Names
from forward_support.servers import HttpBackend
from forward_support.spans import request
from tracekeeper_sidecar.forward.connection import Connection
from tracekeeper_sidecar.forward.dial import ALIVE, Place, dial
from tracekeeper_sidecar.forward.otlp_http import HttpExporter
from tracekeeper_sidecar.forward.outcome import Sent
from tracekeeper_spec.config import Protocol


@contextmanager
def swallowing() -> Iterator[tuple[str, int]]:
    """An address that lets no connection through and says nothing: its queue is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.2", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.2", port))
        try:
            yield "127.0.0.2", port
        finally:
            for filler in fillers:
                filler.close()


def test_address_that_swallows_everything_is_passed_over() -> None:
    async def main(port: int) -> None:
        server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", port)
        loop = asyncio.get_running_loop()
        wire = await dial(Place("backend.test", port, None), asyncio.Protocol, loop.time() + 4)
        assert isinstance(wire, asyncio.Protocol)
        server.close()
        await server.wait_closed()

    with swallowing() as (dead, port):
        loop = Names("backend.test", dead, "127.0.0.1")
        try:
            loop.run_until_complete(asyncio.wait_for(main(port), 30))
        finally:
            loop.close()


class Held(asyncio.Protocol):
    """Keeps its transport."""

    transport: asyncio.BaseTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport


@pytest.mark.parametrize("loop", [uvloop.new_event_loop, asyncio.new_event_loop])
def test_idle_connection_is_asked_whether_it_is_alive(loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def main() -> None:
        server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        wire = await dial(Place("127.0.0.1", port, None), Held, asyncio.get_running_loop().time() + 10)
        link = wire.transport.get_extra_info("socket")
        assert link.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert link.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == ALIVE[socket.TCP_KEEPIDLE]
        wire.transport.close()
        server.close()
        await server.wait_closed()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(main())


async def test_name_that_is_none_is_an_error_of_the_network() -> None:
    with pytest.raises(OSError, match="no name of a host"):
        await dial(Place("a" * 70 + ".test", 1, None), asyncio.Protocol, asyncio.get_running_loop().time() + 5)


def test_full_name_with_its_last_dot_meets_its_certificate(tmp_path: Path) -> None:
    """`collector.ns.svc.cluster.local.` spares the resolver its search list."""

    async def main() -> None:
        authority = Authority()
        backend = HttpBackend(context=server_context(tmp_path, authority.issue()))
        await backend.start()
        url = f"https://localhost.:{backend.port}/v1/traces"
        sender = HttpExporter(Connection(Protocol.HTTP, url, "", secure=True, ca=authority.pem))
        try:
            assert await sender.send(request(1)[0], 20) == Sent()
        finally:
            await sender.close()
            await backend.stop()

    loop = Names("localhost.", "127.0.0.1")
    try:
        loop.run_until_complete(main())
    finally:
        loop.close()
