"""Listening: on one address, and on every one, whichever families the machine has."""

from __future__ import annotations

import socket

import aiohttp
from aiohttp import web

from tracekeeper_operator.settings import Address
from tracekeeper_operator.web import Server


def free(host: str, family: socket.AddressFamily) -> int:
    """A free port of this loopback address; 0 when the machine has no such address."""
    try:
        with socket.socket(family) as found:
            found.bind((host, 0))
            return int(found.getsockname()[1])
    except OSError:
        return 0


async def answers(url: str) -> bool:
    try:
        async with aiohttp.request("GET", url) as answer:
            return answer.status == 404
    except aiohttp.ClientError:
        return False


async def test_without_a_host_it_answers_on_both_families() -> None:
    port = free("127.0.0.1", socket.AF_INET)
    async with Server(web.Application(), Address("", port)):
        assert await answers(f"http://127.0.0.1:{port}/")
        assert await answers(f"http://[::1]:{port}/") is bool(free("::1", socket.AF_INET6))


async def test_with_a_host_it_answers_there_only() -> None:
    async with Server(web.Application(), Address("127.0.0.1", 0)) as server:
        assert await answers(f"http://127.0.0.1:{server.port}/")
        assert not await answers(f"http://[::1]:{server.port}/")
