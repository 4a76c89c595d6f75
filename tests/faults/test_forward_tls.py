"""TLS, mTLS and credentials against real servers: the right ones get through, wrong ones hold the spans and say why."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from aiohttp import web

from forward_support.certificates import Authority, Pair, server_context
from forward_support.rig import Rig, backend, running
from forward_support.servers import GrpcBackend, HttpBackend, Serve
from waiting import until

CA = {"ca": {"secretKeyRef": {"name": "trust", "key": "ca.crt"}}}
CLIENT = {"clientCertificate": {"secretName": "client"}}
PROTOCOLS = ["GRPC", "HTTP"]


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with running(tmp_path / "data") as made:
        yield made


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


def server(protocol: str, directory: Path, pair: Pair, clients: bytes | None = None) -> GrpcBackend | HttpBackend:
    if protocol == "HTTP":
        return HttpBackend(context=server_context(directory, pair, clients))
    credentials = grpc.ssl_server_credentials(
        [(pair.key, pair.certificate)], clients, require_client_auth=clients is not None
    )
    return GrpcBackend(credentials=credentials)


async def delivers(rig: Rig, target: GrpcBackend | HttpBackend, otlp: Any, secrets: Any) -> None:
    """The spans arrive with these settings."""
    protocol = "GRPC" if isinstance(target, GrpcBackend) else "HTTP"
    await rig.apply([backend("secure", target.endpoint, protocol, otlp)], secrets=secrets)
    await rig.put(10)
    await rig.settled()
    assert set(target.taken.ids) == set(rig.sent)


async def waits(rig: Rig, target: GrpcBackend | HttpBackend, otlp: Any, secrets: Any, *says: str) -> None:
    """The spans stay pending with these settings, and the error says why."""
    protocol = "GRPC" if isinstance(target, GrpcBackend) else "HTTP"
    await rig.apply([backend("secure", target.endpoint, protocol, otlp)], secrets=secrets)
    await rig.put(10)
    await until(lambda: rig.backend("secure").last_error, "there is an error")
    for part in ("'secure'", *says):
        assert part in rig.backend("secure").last_error
    assert rig.entry("secure").pending == 10
    assert target.taken.ids == []


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_private_authority(rig: Rig, serve: Serve, tmp_path: Path, authority: Authority, protocol: str) -> None:
    target = await serve(server(protocol, tmp_path, authority.issue()))
    await delivers(rig, target, {"tls": CA}, {"trust": {"ca.crt": authority.pem}})


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_unknown_authority_then_the_right_one(
    rig: Rig, serve: Serve, tmp_path: Path, authority: Authority, protocol: str
) -> None:
    target = await serve(server(protocol, tmp_path, authority.issue()))
    await waits(rig, target, {"tls": CA}, {"trust": {"ca.crt": Authority("stranger").pem}}, "otlp.tls")
    await delivers(rig, target, {"tls": CA}, {"trust": {"ca.crt": authority.pem}})


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_certificate_for_another_host(
    rig: Rig, serve: Serve, tmp_path: Path, authority: Authority, protocol: str
) -> None:
    target = await serve(server(protocol, tmp_path, authority.issue("elsewhere.example")))
    await waits(rig, target, {"tls": CA}, {"trust": {"ca.crt": authority.pem}}, "otlp.tls")


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_mutual_tls(rig: Rig, serve: Serve, tmp_path: Path, authority: Authority, protocol: str) -> None:
    target = await serve(server(protocol, tmp_path, authority.issue(), authority.pem))
    client = authority.issue("sidecar")
    secrets = {
        "trust": {"ca.crt": authority.pem},
        "client": {"tls.crt": client.certificate, "tls.key": client.key},
    }
    await waits(rig, target, {"tls": CA}, secrets)
    await delivers(rig, target, {"tls": {**CA, **CLIENT}}, secrets)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_rotated_client_certificate_costs_no_send(
    rig: Rig, serve: Serve, tmp_path: Path, authority: Authority, protocol: str
) -> None:
    """The Secret changes again and again while spans flow: none is late by a failure, and none arrives twice."""
    target = await serve(server(protocol, tmp_path, authority.issue(), authority.pem))
    wanted = backend("secure", target.endpoint, protocol, {"tls": {**CA, **CLIENT}}, batch={"maxDelay": "1ms"})
    for number in range(4):
        client = authority.issue(f"sidecar-{number}")
        pair = {"tls.crt": client.certificate, "tls.key": client.key}
        await rig.apply([wanted], secrets={"trust": {"ca.crt": authority.pem}, "client": pair})
        for _ in range(5):
            await rig.put(3)
    await rig.settled()
    assert Counter(target.taken.ids) == Counter(rig.sent)
    assert set(rig.backend("secure").calls) == {"sent"}


async def test_missing_secret_holds_the_spans_until_it_comes(
    rig: Rig, serve: Serve, tmp_path: Path, authority: Authority
) -> None:
    target = await serve(server("GRPC", tmp_path, authority.issue()))
    await waits(rig, target, {"tls": CA}, {}, "secret 'trust'", "'ca.crt'", "missing")
    assert not rig.backend("secure").usable
    await delivers(rig, target, {"tls": CA}, {"trust": {"ca.crt": authority.pem}})


async def test_rotated_token(rig: Rig, serve: Serve) -> None:
    async def guard(body: bytes, request: web.Request) -> web.StreamResponse:
        return web.Response(status=200 if request.headers.get("Authorization") == "Bearer two" else 401)

    target = await serve(HttpBackend(guard))
    bearer = {"auth": {"type": "Bearer", "bearer": {"secretKeyRef": {"name": "s", "key": "token"}}}}
    await waits(rig, target, bearer, {"s": {"token": b"one"}}, "401", "credentials")
    await delivers(rig, target, bearer, {"s": {"token": b"two\n"}})


async def test_plaintext_to_a_tls_port(rig: Rig, serve: Serve, tmp_path: Path, authority: Authority) -> None:
    target = await serve(server("GRPC", tmp_path, authority.issue()))
    await rig.apply([backend("plain", target.endpoint.replace("https", "http"), timeout="500ms")])
    await rig.put(10)
    await until(lambda: rig.backend("plain").last_error, "there is an error")
    assert rig.entry("plain").pending == 10
