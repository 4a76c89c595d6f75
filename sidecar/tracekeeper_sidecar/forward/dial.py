"""Opens a connection to a backend: of the addresses that its name has, the first that answers."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

ONE_ADDRESS = 2.0
"""Seconds for an address when there are others: an address that is gone may swallow everything without a word."""

ALIVE = {socket.TCP_KEEPIDLE: 30, socket.TCP_KEEPINTVL: 10, socket.TCP_KEEPCNT: 3}
"""The system asks an idle connection every 30 s: what lies between does not forget it, and one that is gone is found
before a request runs out of time on it."""

Wire = TypeVar("Wire", bound=asyncio.Protocol)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a backend listens."""

    host: str
    port: int
    context: ssl.SSLContext | None
    """None for plaintext."""
    address: str | None = None
    """The one address of it to connect to; None for whichever answers. TLS asks for the host's name all the same."""


async def find_addresses(host: str, port: int) -> list[str]:
    """What the resolver says, in its order, as text. Raises OSError."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise OSError(f"{host!r} is no name of a host: {error}") from None
    return [_text(address) for *_, address in found]


async def dial(place: Place, make: Callable[[], Wire], deadline: float) -> Wire:
    """A connection, TLS included, to one of the addresses of `place`, tried in the resolver's order; each gets its
    share of the time until loop time `deadline`, which the caller enforces. Raises OSError for the last of them."""
    if place.address is not None:
        return await _connect(place, place.address, make)
    loop = asyncio.get_running_loop()
    addresses = await find_addresses(place.host, place.port)
    for left, address in zip(range(len(addresses) - 1, 0, -1), addresses, strict=False):
        share = min(ONE_ADDRESS, (deadline - loop.time()) / (left + 1))
        try:
            async with asyncio.timeout(share):
                return await _connect(place, address, make)
        except OSError:  # TimeoutError, too.
            continue
    return await _connect(place, addresses[-1] if addresses else place.host, make)


async def _connect(place: Place, address: str, make: Callable[[], Wire]) -> Wire:
    name = place.host.removesuffix(".")  # A name's last dot is for resolvers; certificates do not have it.
    transport, wire = await asyncio.get_running_loop().create_connection(
        make, address, place.port, ssl=place.context, server_hostname=name if place.context is not None else None
    )
    link = transport.get_extra_info("socket")
    if link is not None:
        with suppress(OSError):  # It may be over already; its user will see.
            link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in ALIVE.items():
                link.setsockopt(socket.IPPROTO_TCP, option, value)
    return wire


def _text(address: tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]) -> str:
    """A host for `create_connection`, with the link that a link-local address is on."""
    host = str(address[0])
    return f"{host}%{address[3]}" if len(address) == 4 and address[3] else host
