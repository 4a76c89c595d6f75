"""A port that cannot be bound: the address, the cause, and what to do."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Callable

import pytest

from receivers import Serving, serving
from tracekeeper_sidecar.errors import ListenError
from tracekeeper_sidecar.receive.intake import Receiver
from tracekeeper_sidecar.receive.listen import join
from tracekeeper_sidecar.receive.otlp_grpc import GrpcReceiver
from tracekeeper_sidecar.receive.otlp_http import HttpReceiver

Make = Callable[[Receiver], GrpcReceiver | HttpReceiver]


async def failure(make: Make, running: Serving, host: str, port: int) -> str:
    with pytest.raises(ListenError) as caught:
        await make(running.receiver).start(host, port)
    return str(caught.value)


@pytest.mark.parametrize("make", [GrpcReceiver, HttpReceiver])
async def test_a_port_in_use_is_never_shared(make: Make) -> None:
    async with serving() as running:
        for port in (running.grpc_port, running.http_port):
            assert await failure(make, running, "127.0.0.1", port) == (
                f"cannot listen on 127.0.0.1:{port}: Address already in use "
                "(another process listens there; stop it or choose another port)"
            )


@pytest.mark.parametrize("make", [GrpcReceiver, HttpReceiver])
async def test_other_causes(make: Make) -> None:
    async with serving() as running:
        foreign = await failure(make, running, "203.0.113.7", 4317)
        assert foreign.startswith("cannot listen on 203.0.113.7:4317: Cannot assign requested address (no network")
        nameless = await failure(make, running, "no-such-host.invalid", 4317)
        assert "no-such-host.invalid:4317: the host name cannot be resolved" in nameless


@pytest.mark.parametrize("make", [GrpcReceiver, HttpReceiver])
async def test_the_port_is_free_after_stop(make: Make) -> None:
    async with serving() as running:
        first = make(running.receiver)
        port = await first.start("127.0.0.1", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await first.stop(0)
        with contextlib.suppress(ConnectionResetError):  # either end of the connection is one
            await asyncio.wait_for(reader.read(), 10)
        writer.close()
        second = make(running.receiver)
        assert await second.start("127.0.0.1", port) == port
        await second.stop(0)


def test_ipv6_addresses_are_written_with_brackets() -> None:
    assert (join("::1", 4317), join("127.0.0.1", 4317)) == ("[::1]:4317", "127.0.0.1:4317")


def test_nothing_slow_is_imported_on_the_way_to_the_first_port() -> None:
    code = (
        "import sys; from tracekeeper_sidecar.receive import otlp_grpc, otlp_http, intake;"
        "print([m for m in sys.modules if m.startswith(('opentelemetry', 'google', 'grpc', 'aiohttp'))])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=True)
    assert out.stdout.strip() == "[]"
