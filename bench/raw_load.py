"""Load that costs its sender next to nothing: requests encoded beforehand, written to sockets, their answers counted.

A client that takes more of a small machine than what is measured measures itself. So no library speaks here: there is
what an exporter sends, with its headers, and what it takes to tell a success from all else. `Client` is a client over
OTLP/HTTP, and `raw_calls` makes it one over gRPC.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from itertools import cycle
from typing import cast

from processes import Failed

LIMIT = 30.0
"""Seconds to wait for the last answers."""
POST = (
    "POST /v1/traces HTTP/1.1\r\nHost: localhost:4318\r\nUser-Agent: OTel-OTLP-Exporter-Python/1.38.0\r\n"
    "Accept-Encoding: gzip, deflate\r\nAccept: */*\r\nConnection: keep-alive\r\n"
    "Content-Type: application/x-protobuf\r\nContent-Length: {}\r\n\r\n"
)
LENGTH = re.compile(rb"\r\nContent-Length: *(\d+)\r\n", re.IGNORECASE)


class Client(asyncio.Protocol):
    """One connection with so many requests in flight, each followed by another, until it is told to stop."""

    def __init__(self, bodies: Sequence[bytes], in_flight: int) -> None:
        self.answered = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Stopped, and nothing in flight any more; or Failed."""
        self.transport: asyncio.Transport | None = None
        self._requests = cycle([self.encoded(body) for body in bodies])
        self._in_flight, self._owed = in_flight, in_flight
        self._stopping, self._rest = False, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name
        self._send(self.greeting())

    def data_received(self, data: bytes) -> None:
        try:
            said, answers, self._rest = self.read(self._rest + data)
        except Failed as error:
            self._fail(str(error))
            return
        self.answered += answers
        self._owed += answers
        self._send(said)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(f"the server closed a connection: {exc or 'no reason given'}")

    def stop(self) -> None:
        """Ask no more."""
        self._stopping = True

    def close(self) -> None:
        """End the connection."""
        if self.transport is not None:
            self.transport.abort()

    def _send(self, said: bytes) -> None:
        while self._owed and not self._stopping and self.has_room():
            said += self.request()
            self._owed -= 1
        if said and self.transport is not None:
            self.transport.write(said)
        if self._stopping and self._owed == self._in_flight and not self.done.done():
            self.done.set_result(None)

    def _fail(self, why: str) -> None:
        if not self.done.done():
            self.done.set_exception(Failed(why))

    # What differs.

    def encoded(self, body: bytes) -> bytearray:
        """A request."""
        return bytearray(POST.format(len(body)).encode() + body)

    def greeting(self) -> bytes:
        """What a connection begins with."""
        return b""

    def has_room(self) -> bool:
        """Whether the server would take another request now."""
        return True

    def request(self) -> bytes:
        """The next one."""
        return bytes(next(self._requests))

    def read(self, data: bytes) -> tuple[bytes, int, bytes]:
        """What to say at once, how many answers have come, and what is no whole answer yet. Raises Failed."""
        answers = at = 0
        while (head := data.find(b"\r\n\r\n", at)) >= 0:
            length = LENGTH.search(data, at, head + 2)
            if not data.startswith(b"HTTP/1.1 200 ", at) or length is None:
                raise Failed(f"the server answered {data[at:head]!r}")
            if head + 4 + int(length[1]) > len(data):
                break
            at, answers = head + 4 + int(length[1]), answers + 1
        return b"", answers, data[at:]


async def run(
    make: type[Client], port: int, bodies: Sequence[bytes], connections: int, in_flight: int, seconds: float
) -> tuple[int, float]:
    """Requests answered with success, and seconds. Raises Failed when any was not, or answers do not come."""
    loop, begin = asyncio.get_running_loop(), time.perf_counter()
    opening = (loop.create_connection(lambda: make(bodies, in_flight), "127.0.0.1", port) for _ in range(connections))
    clients = [client for _, client in await asyncio.gather(*opening)]
    ends = [client.done for client in clients]
    try:
        await asyncio.wait(ends, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for client in clients:
            client.stop()
        await asyncio.wait_for(asyncio.gather(*ends), LIMIT)
        took = time.perf_counter() - begin
    except TimeoutError:
        raise Failed(f"answers have not come within {LIMIT:g} s") from None
    finally:
        for client in clients:
            client.close()
        await asyncio.sleep(0)  # in which transports close
    return sum(client.answered for client in clients), took
