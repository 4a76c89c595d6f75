"""TLS 1.2 is the least that any of our ends speaks, whatever OpenSSL's settings on a machine would allow."""

from __future__ import annotations

import ast
import asyncio
import ssl
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from control_world import World, serving
from tracekeeper_operator import certs, handlers
from tracekeeper_operator.access import Access, load_chain
from tracekeeper_operator.identity import Identity
from tracekeeper_operator.kube import Kube
from tracekeeper_operator.metrics import InjectorMetrics
from tracekeeper_sidecar.control import link
from tracekeeper_sidecar.forward.connection import Connection
from tracekeeper_sidecar.forward.tls import client_context
from tracekeeper_spec.config import Protocol

ROOT = Path(__file__).parents[3]
MATERIAL = certs.make(time.time(), ["localhost"], certs.Lives())
API_SERVER = Access("https://localhost:1", ca=MATERIAL.ca, token="t")


def limited(context: ssl.SSLContext, newest: ssl.TLSVersion) -> ssl.SSLContext:
    """An end that speaks TLS up to `newest` and everything older, as old programs do."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, newest
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


def client(newest: ssl.TLSVersion) -> ssl.SSLContext:
    return limited(ssl.create_default_context(cadata=MATERIAL.ca), newest)


def server(newest: ssl.TLSVersion) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    load_chain(context, MATERIAL.certificate, MATERIAL.key)
    return limited(context, newest)


def agreed(client: ssl.SSLContext, server: ssl.SSLContext) -> str | None:
    """The version that both ends agree on. Raises ssl.SSLError when they agree on none."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = client.wrap_bio(to_client, to_server, server_hostname="localhost")
    other = server.wrap_bio(to_server, to_client, server_side=True)
    done: set[ssl.SSLObject] = set()
    for _ in range(10):
        for end in (one, other):
            try:
                end.do_handshake()
                done.add(end)
            except ssl.SSLWantReadError:
                continue
        if len(done) == 2:
            return one.version()
    raise AssertionError("the handshake does not come to an end")


def of_the_link() -> ssl.SSLContext:
    return link._context(MATERIAL.ca)


def of_a_backend() -> ssl.SSLContext:
    return client_context(Connection(Protocol.GRPC, "https://a:1", "a:1", secure=True, ca=MATERIAL.ca.encode()))


def of_the_api_server() -> ssl.SSLContext:
    context = API_SERVER.tls()
    assert context is not None
    return context


def of_kopf() -> ssl.SSLContext:
    return handlers.connection(API_SERVER, time.time()).as_ssl_context()


@pytest.mark.parametrize("make", [of_the_link, of_a_backend, of_the_api_server, of_kopf])
def test_no_server_gets_a_client_of_ours_to_speak_less(make: Callable[[], ssl.SSLContext]) -> None:
    assert make().minimum_version >= ssl.TLSVersion.TLSv1_2
    assert agreed(make(), server(ssl.TLSVersion.TLSv1_2)) == "TLSv1.2"
    assert agreed(make(), server(ssl.TLSVersion.TLSv1_3)) == "TLSv1.3"
    with pytest.raises(ssl.SSLError):
        agreed(make(), server(ssl.TLSVersion.TLSv1_1))


def test_the_old_ends_of_this_test_do_speak_it() -> None:
    assert agreed(client(ssl.TLSVersion.TLSv1_1), server(ssl.TLSVersion.TLSv1_3)) == "TLSv1.1"


async def test_no_client_gets_the_injector_to_speak_less() -> None:
    async with Kube(Access("http://127.0.0.1:1")) as kube:
        identity = Identity(kube, "tk", InjectorMetrics())
        identity.load(MATERIAL)
        assert agreed(client(ssl.TLSVersion.TLSv1_2), identity.context) == "TLSv1.2"
        with pytest.raises(ssl.SSLError):
            agreed(client(ssl.TLSVersion.TLSv1_1), identity.context)


async def test_no_client_gets_the_control_server_to_speak_less() -> None:
    """gRPC has no setting for it in Python: it is its own default, and stays that only as long as this test passes."""

    async def connected(port: int, newest: ssl.TLSVersion) -> str | None:
        context = client(newest)
        context.set_alpn_protocols(["h2"])
        async with asyncio.timeout(30):
            _, writer = await asyncio.open_connection("localhost", port, ssl=context)
        found: ssl.SSLObject = writer.get_extra_info("ssl_object")
        writer.close()
        return found.version()

    async with serving(World(material=MATERIAL)) as world:
        assert await connected(world.server.port, ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
        assert await connected(world.server.port, ssl.TLSVersion.TLSv1_3) == "TLSv1.3"
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await connected(world.server.port, ssl.TLSVersion.TLSv1_1)


def functions() -> Iterator[tuple[str, ast.FunctionDef]]:
    """Every function of ours in which a context is made, and where it is."""
    for folder in ("sidecar", "operator", "charts"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.FunctionDef) and {"SSLContext", "create_default_context"} & called(node):
                    yield f"{path.relative_to(ROOT)}:{node.name}", node


def called(node: ast.AST) -> set[str]:
    calls = [found.func for found in ast.walk(node) if isinstance(found, ast.Call)]
    return {found.attr for found in calls if isinstance(found, ast.Attribute)}


def test_whoever_makes_a_context_says_the_least() -> None:
    """But for two that connect to nothing: one tries a key, the other one reads certificates."""
    idle = ("access.py:load_chain", "doctor_operator.py:_life")
    found = dict(functions())
    silent = {name for name, node in found.items() if "minimum_version" not in ast.unparse(node)}
    assert len(found) >= 4
    assert {name for name in silent if not name.endswith(idle)} == set()
