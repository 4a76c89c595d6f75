"""What processors get to see of headers and metadata: what they want, from both transports, and nothing else."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc.aio
import pytest

import otlp_requests
from openai_items import body, span
from receivers import EXPORT, Serving, serving
from tracekeeper_sidecar.process.anteroom import Anteroom
from tracekeeper_sidecar.process.step import Request
from tracekeeper_sidecar.receive.intake import EVERY_NAME, MOST_CONTEXT, NO_CONTEXT
from waiting import until

WANTED = frozenset({"x-scope-orgid", "x-team", "x-long"})
SENT = [
    ("x-scope-orgid", "shop"),
    ("x-scope-orgid", "other"),
    ("x-team", "ré"),
    ("x-other", "y"),
    ("x-long", "z" * 1025),
]
SEEN = {"x-scope-orgid": "shop", "x-team": "rÃ©"}
"""Of one that comes twice the first, of a longer one than 1024 bytes nothing, and bytes as Latin-1."""


@dataclass
class Watched:
    """In place of processors."""

    contexts: list[Mapping[str, str]] = field(default_factory=list)

    def __call__(
        self, body: bytes, spans: int, context: Mapping[str, str], done: Callable[..., None], due: float
    ) -> None:
        self.contexts.append(context)
        done(Request(body, spans, context=context), None)


async def over_http(running: Serving, content: bytes, path: str = "/v1/traces", kind: str = "application/x-protobuf",
                    **more: str) -> None:  # fmt: skip
    head = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Type: {kind}", f"Content-Length: {len(content)}"]
    head += [f"{name.title()}: {value}" for name, value in (*SENT, *more.items())]
    reader, writer = await asyncio.open_connection("127.0.0.1", running.http_port)
    writer.write("\r\n".join([*head, "", ""]).encode() + content)
    assert (await asyncio.wait_for(reader.readuntil(b"\r\n"), 20)).split()[1] == b"200"
    writer.close()


async def over_grpc(running: Serving, content: bytes, compression: grpc.Compression | None = None) -> None:
    sent = [(name, value) for name, value in SENT if value.isascii()]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{running.grpc_port}") as channel:
        call: Any = channel.unary_unary(EXPORT)
        await call(content, metadata=sent, compression=compression, timeout=20)


async def test_http() -> None:
    async with serving() as running:
        watched = Watched()
        running.receiver.lead_through(watched, WANTED)
        await over_http(running, otlp_requests.body(1))
        await over_http(running, gzip.compress(otlp_requests.body(1)), **{"content-encoding": "gzip"})
        await over_http(running, body(span({"type": "agent"})), "/v1/traces/ingest", "application/json")
        assert watched.contexts == [SEEN] * 3
        running.receiver.lead_through(watched, frozenset())
        await over_http(running, otlp_requests.body(1))
        assert watched.contexts[3] is NO_CONTEXT


@pytest.mark.parametrize("compression", [None, grpc.Compression.Gzip])
async def test_grpc(compression: grpc.Compression | None) -> None:
    async with serving() as running:
        watched = Watched()
        running.receiver.lead_through(watched, frozenset())
        await over_grpc(running, otlp_requests.body(1), compression)
        running.receiver.lead_through(watched, WANTED)
        await over_grpc(running, otlp_requests.body(1), compression)
        assert watched.contexts == [NO_CONTEXT, {"x-scope-orgid": "shop"}]
        assert watched.contexts[0] is NO_CONTEXT


async def test_what_comes_before_it_is_known_what_is_wanted_brings_all_of_it() -> None:
    async with serving() as running:
        room, watched = Anteroom(), Watched()
        running.receiver.lead_through(room.process, EVERY_NAME)
        sent = asyncio.gather(
            over_http(running, otlp_requests.body(1)),
            over_grpc(running, otlp_requests.body(1)),
            over_http(running, otlp_requests.body(1), **{f"x-many-{number}": "v" for number in range(200)}),
        )
        await until(lambda: len(room) == 3, "all wait")
        running.receiver.lead_through(watched, WANTED)
        room.open(watched)
        await sent
        for context in watched.contexts:
            assert context["x-scope-orgid"] == "shop" and context["x-other"] == "y"
            assert "x-long" not in context and not any(name.startswith(":") for name in context)
            assert len(context) <= MOST_CONTEXT


async def test_wants_that_come_while_a_connection_is_open() -> None:
    async with (
        serving() as running,
        grpc.aio.insecure_channel(f"127.0.0.1:{running.grpc_port}") as channel,
    ):
        watched = Watched()
        call: Any = channel.unary_unary(EXPORT)
        for wanted in (frozenset[str](), WANTED, frozenset({"x-other"}), frozenset[str]()):
            running.receiver.lead_through(watched, wanted)
            await call(otlp_requests.body(1), metadata=[("x-scope-orgid", "shop"), ("x-other", "y")], timeout=20)
        assert watched.contexts == [{}, {"x-scope-orgid": "shop"}, {"x-other": "y"}, {}]
