"""From a backend as configured to a connection, or to the reason why there is none."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from forward_support.certificates import Authority
from forward_support.rig import backend
from tracekeeper_sidecar.forward.build import build
from tracekeeper_sidecar.forward.connection import Connection, Unusable, connect
from tracekeeper_spec.config import Backend
from tracekeeper_spec.parse import parse_spec
from tracekeeper_spec.secrets import DocumentSecrets

BEARER = {"type": "Bearer", "bearer": {"secretKeyRef": {"name": "tempo", "key": "token"}}}


def configured(endpoint: str = "https://tempo.obs:4317", protocol: str = "GRPC", **otlp: Any) -> Backend:
    spec, faults = parse_spec({"backends": [backend("tempo", endpoint, protocol, otlp)]})
    assert not faults, faults
    assert spec.backends is not None
    return spec.backends[0]


def connected(wanted: Backend, **secrets: dict[str, bytes]) -> Connection | Unusable:
    return connect(wanted, DocumentSecrets(secrets))


def test_everything_at_once() -> None:
    basic = {"type": "Basic", "basic": {"username": "me", "password": {"secretKeyRef": {"name": "s", "key": "p"}}}}
    made = connected(
        configured(
            auth=basic,
            headers=[
                {"name": "X-Scope-OrgID", "value": "shop"},
                {"name": "X-Key", "secretKeyRef": {"name": "s", "key": "k"}},
            ],
            tls={
                "ca": {"secretKeyRef": {"name": "s", "key": "ca.crt"}},
                "clientCertificate": {"secretName": "client"},
            },
        ),
        s={"p": b"pass\n", "k": b"key\r\n", "ca.crt": b"CA"},
        client={"tls.crt": b"CRT", "tls.key": b"KEY"},
    )
    assert isinstance(made, Connection)
    assert (made.target, made.secure, made.compression) == ("tempo.obs:4317", True, "gzip")
    assert dict(made.headers) == {
        "x-scope-orgid": "shop",
        "x-key": "key",
        "authorization": "Basic " + base64.b64encode(b"me:pass").decode(),
    }
    assert (made.ca, made.certificate, made.key) == (b"CA", b"CRT", b"KEY")


def test_http_url_and_plaintext_without_compression() -> None:
    made = connected(configured("http://collector:4318/otlp/", "HTTP"))
    assert isinstance(made, Connection)
    assert (made.url, made.secure, made.compression) == ("http://collector:4318/otlp/v1/traces", False, "")


def test_secrets_stay_out_of_texts() -> None:
    made = connected(configured(auth=BEARER), tempo={"token": b"hunter2"})
    assert isinstance(made, Connection)
    assert dict(made.headers)["authorization"] == "Bearer hunter2"
    assert "hunter2" not in repr(made) + str(made)


def test_a_changed_secret_makes_another_connection() -> None:
    wanted = configured(auth=BEARER)
    assert connected(wanted, tempo={"token": b"one"}) == connected(wanted, tempo={"token": b"one\n"})
    assert connected(wanted, tempo={"token": b"one"}) != connected(wanted, tempo={"token": b"two"})


@pytest.mark.parametrize("secrets", [{}, {"tempo": {"other": b"x"}}])
def test_missing_secret_is_named(secrets: dict[str, dict[str, bytes]]) -> None:
    made = connect(configured(auth=BEARER), DocumentSecrets(secrets))
    assert isinstance(made, Unusable)
    for part in ("otlp.auth.bearer", "'tempo'", "'token'", "missing"):
        assert part in made.reason


@pytest.mark.parametrize("value", [b"", b"\n", b"two\nlines", b"caf\xc3\xa9"])
def test_secret_that_no_header_can_carry(value: bytes) -> None:
    made = connected(configured(auth=BEARER), tempo={"token": value})
    assert isinstance(made, Unusable)
    assert "otlp.auth.bearer" in made.reason
    assert "'tempo'" in made.reason


@pytest.mark.parametrize(("protocol", "endpoint"), [("GRPC", "https://tempo:4317"), ("HTTP", "https://tempo")])
async def test_unreadable_certificates_are_named_before_any_handshake(protocol: str, endpoint: str) -> None:
    pair, other = Authority().issue(), Authority().issue()
    tls = {"ca": {"secretKeyRef": {"name": "s", "key": "ca"}}, "clientCertificate": {"secretName": "c"}}
    wanted = configured(endpoint, protocol, tls=tls)

    async def problem(ca: bytes, certificate: bytes, key: bytes) -> str:
        made = connected(wanted, s={"ca": ca}, c={"tls.crt": certificate, "tls.key": key})
        assert isinstance(made, Connection)
        built = await build(made)
        if isinstance(built, Unusable):
            return built.reason
        await built.close()
        return ""

    good = Authority().pem
    assert await problem(good, pair.certificate, pair.key) == ""
    assert "otlp.tls.ca" in await problem(b"not a certificate", pair.certificate, pair.key)
    assert "otlp.tls.ca" in await problem(b"\xff\xfe", pair.certificate, pair.key)
    assert "otlp.tls.ca" in await problem(b"", pair.certificate, pair.key)
    assert "otlp.tls.clientCertificate" in await problem(good, pair.certificate, other.key)
    assert "otlp.tls.clientCertificate" in await problem(good, b"", pair.key)
