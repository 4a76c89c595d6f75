"""Tokens of sidecars: real signatures by real keys, and everything that may be wrong with one."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from control_api import Api, serve
from control_objects import StoodClock
from service_tokens import DISCOVERY, JWKS, Object, Signer, claims, publish
from tracekeeper_operator.access import Access
from tracekeeper_operator.control.keys import EVERY, PAUSE, Keys
from tracekeeper_operator.control.tokens import LEEWAY, PodIdentity, TokenRefused, Tokens
from tracekeeper_operator.kube import Kube
from waiting import until

SIGNER = Signer()
CLOCK = StoodClock()
NOW = CLOCK.wall


class World:
    """An API server, and tokens checked by its keys."""

    def __init__(self, api: Api, kube: Kube) -> None:
        self.api, self.clock = api, StoodClock()
        self.keys = Keys(kube, self.clock)
        self.tokens = Tokens(self.keys, self.clock)

    async def refusal(self, token: str) -> TokenRefused:
        with pytest.raises(TokenRefused) as caught:
            await self.tokens.verify(token)
        assert len(token) < 10 or token not in str(caught.value)
        return caught.value

    @property
    def reads(self) -> int:
        return len(self.api.requests("GET", JWKS))


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with serve() as api, Kube(Access(api.url), timeout=2.0) as kube:
        publish(api, SIGNER)
        yield World(api, kube)


@pytest.mark.parametrize("elliptic", [False, True], ids=["RS256", "ES256"])
async def test_a_pods_token_says_whose_it_is(world: World, elliptic: bool) -> None:
    signer = Signer("second", elliptic=elliptic)
    publish(world.api, SIGNER, signer)
    found = await world.tokens.verify(signer.token(NOW, namespace="shop", pod="agent-7", uid="u-7"))
    assert found == PodIdentity("shop", "agent-7", "u-7", "default", NOW + 3600)


async def test_the_api_server_is_asked_once_for_many_tokens(world: World) -> None:
    await asyncio.gather(*(world.tokens.verify(SIGNER.token(NOW, pod=f"p-{number}")) for number in range(50)))
    assert world.reads == 1


def without(name: str) -> Callable[[Object], Any]:
    return lambda found: found.pop(name)


def inside(name: str, value: Any) -> Callable[[Object], Any]:
    def change(found: Object) -> None:
        found["kubernetes.io"][name] = value

    return change


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"aud": ["https://kubernetes.default.svc.cluster.local"]}, "not for the audience tracekeeper.dev/control"),
        ({"aud": "tracekeeper.dev/control/x"}, "not for the audience"),
        ({"aud": []}, "no claim 'aud'"),
        ({"aud": {"tracekeeper.dev/control": 1}}, "not for the audience"),
        (without("aud"), "no claim 'aud'"),
        ({"iss": "https://another.cluster"}, "issued by another cluster"),
        ({"iss": 5}, "issued by another cluster"),
        (without("iss"), "no claim 'iss'"),
        ({"exp": int(NOW - LEEWAY)}, "expired 30 s ago"),
        (without("exp"), "no claim 'exp'"),
        ({"exp": "tomorrow"}, "claim 'exp' is not a time"),
        ({"exp": float("inf")}, "claim 'exp' is not a time"),
        ({"nbf": int(NOW + LEEWAY + 1)}, "begins in 31 s: do the clocks differ?"),
        (without("nbf"), "no claim 'nbf'"),
        ({"nbf": True}, "claim 'nbf' is not a time"),
        (without("sub"), "no claim 'sub'"),
        ({"sub": "system:serviceaccount:kube-system:default"}, "contradicts itself"),
        ({"sub": "somebody"}, "contradicts itself"),
        (without("kubernetes.io"), "not bound to a pod"),
        ({"kubernetes.io": "shop/app"}, "not bound to a pod"),
        (lambda found: found["kubernetes.io"].pop("pod"), "not bound to a pod"),
        (inside("pod", "app-0"), "not bound to a pod"),
        (inside("pod", {"name": "app-0"}), "'uid' is missing"),
        (inside("pod", {"name": "", "uid": "u"}), "'name' is missing"),
        (inside("pod", {"name": "x" * 254, "uid": "u"}), "'name' is missing, or no name"),
        (inside("namespace", None), "'namespace' is missing"),
        (inside("serviceaccount", {}), "'name' is missing"),
        (inside("serviceaccount", None), "not bound to a pod"),
        ({"padding": "x" * 16384}, "more than 16384 bytes"),
    ],
    ids=str,
)
async def test_a_wrong_claim_is_refused(world: World, change: Object | Callable[[Object], Any], told: str) -> None:
    found = claims(NOW)
    change(found) if callable(change) else found.update(change)
    payload = json.dumps(found).encode()
    token = jwt.PyJWS().encode(payload, SIGNER.key, algorithm="RS256", headers={"kid": SIGNER.kid, "typ": "JWT"})
    refused = await world.refusal(token)
    assert told in refused.reason and not refused.transient


@pytest.mark.parametrize("early", [True, False])
async def test_clocks_may_differ_a_little(world: World, early: bool) -> None:
    change = {"nbf": int(NOW + LEEWAY)} if early else {"exp": int(NOW - LEEWAY) + 1}
    await world.tokens.verify(SIGNER.sign({**claims(NOW), **change}))


async def test_it_expires_by_our_clock(world: World) -> None:
    token = SIGNER.token(NOW)
    await world.tokens.verify(token)
    world.clock.wall += 3600 + LEEWAY
    assert "expired" in (await world.refusal(token)).reason


def part(found: Object) -> str:
    return base64.urlsafe_b64encode(json.dumps(found).encode()).decode().rstrip("=")


async def test_nobody_can_sign_with_nothing(world: World) -> None:
    body = part(claims(NOW))
    for algorithm in ("none", "None", "NONE", "", None):
        for signature in ("", "AA"):
            header = part({"alg": algorithm, "typ": "JWT", "kid": SIGNER.kid})
            refused = await world.refusal(f"{header}.{body}.{signature}")
            assert not refused.transient


async def test_the_public_key_is_no_secret_to_sign_with(world: World) -> None:
    """The oldest trick: HS256 with the published key as its secret."""
    secret = SIGNER.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    signed = f"{part({'alg': 'HS256', 'typ': 'JWT', 'kid': SIGNER.kid})}.{part(claims(NOW))}"
    signature = base64.urlsafe_b64encode(hmac.digest(secret, signed.encode(), "sha256")).decode().rstrip("=")
    assert "InvalidAlgorithmError" in (await world.refusal(f"{signed}.{signature}")).reason


async def test_the_key_says_which_algorithm_it_is_for(world: World) -> None:
    token = jwt.encode(claims(NOW), SIGNER.key, algorithm="PS256", headers={"kid": SIGNER.kid})
    assert "InvalidAlgorithmError" in (await world.refusal(token)).reason


async def test_a_stranger_with_our_key_id_is_refused(world: World) -> None:
    stranger = Signer("stranger")
    token = jwt.encode(claims(NOW), stranger.key, algorithm="RS256", headers={"kid": SIGNER.kid})
    assert (await world.refusal(token)).reason == "the token's signature is wrong"


async def test_a_changed_token_is_refused(world: World) -> None:
    header, _, signature = SIGNER.token(NOW).split(".")
    forged = part(claims(NOW, namespace="kube-system"))
    assert (await world.refusal(f"{header}.{forged}.{signature}")).reason == "the token's signature is wrong"


@pytest.mark.parametrize(
    "token",
    [
        "",
        "abc",
        "a.b.c",
        "....",
        "\u00e9.\u00e9.\u00e9",
        "\udcff.a.b",
        part({"alg": "RS256"}) + ".e30.AA",
        part({"alg": "RS256", "kid": 7}) + ".e30.AA",
        part({"alg": "RS256", "kid": ""}) + ".e30.AA",
        base64.urlsafe_b64encode(b"[" * 9000).decode() + ".e30.AA",
        "a" * 20000,
    ],
    ids=lambda token: ascii(token[:20]),
)
async def test_what_is_no_token_asks_nobody(world: World, token: str) -> None:
    refused = await world.refusal(token)
    assert not refused.transient and world.reads == 0


async def test_new_keys_are_found_when_they_sign(world: World) -> None:
    await world.tokens.verify(SIGNER.token(NOW))
    fresh = Signer("fresh", elliptic=True)
    publish(world.api, fresh, SIGNER)
    world.clock.mono += PAUSE
    assert (await world.tokens.verify(fresh.token(NOW))).pod == "app-0"
    await world.tokens.verify(SIGNER.token(NOW))
    assert world.reads == 2


async def test_made_up_keys_do_not_make_us_ask_for_ever(world: World) -> None:
    stranger = Signer("stranger", elliptic=True)
    for _ in range(20):
        assert "does not publish" in (await world.refusal(stranger.token(NOW))).reason
    assert world.reads == 1
    world.clock.mono += PAUSE
    await asyncio.gather(*(world.refusal(stranger.token(NOW)) for _ in range(20)))
    assert world.reads == 2


async def test_without_keys_nobody_can_be_judged(world: World) -> None:
    world.api.fail("GET", JWKS, 503, json.dumps({"message": "etcd is down"}))
    refused = await world.refusal(SIGNER.token(NOW))
    assert refused.transient and "etcd is down" in refused.reason and "/openid/v1/jwks" in refused.reason
    world.clock.mono += PAUSE
    await world.tokens.verify(SIGNER.token(NOW))
    stranger = await world.refusal(Signer("stranger", elliptic=True).token(NOW))
    assert not stranger.transient, "it is known again who signs"


async def test_known_keys_stay_good_while_the_api_server_is_away(world: World) -> None:
    await world.tokens.verify(SIGNER.token(NOW))
    world.clock.mono += 2 * EVERY
    world.api.fail("GET", DISCOVERY, 503)
    refused = await world.refusal(Signer("fresh", elliptic=True).token(NOW))
    assert refused.transient
    await world.tokens.verify(SIGNER.token(NOW))


@pytest.mark.parametrize(
    ("path", "media", "answer", "told"),
    [
        (DISCOVERY, "application/json", {}, "names no issuer"),
        (DISCOVERY, "application/json", {"issuer": 5}, "names no issuer"),
        (JWKS, "application/jwk-set+json", {}, "holds no key"),
        (JWKS, "application/jwk-set+json", {"keys": {}}, "holds no key"),
        (JWKS, "application/jwk-set+json", {"keys": [5, {}, {"kid": "first"}]}, "holds no key"),
        (JWKS, "application/jwk-set+json", {"keys": [{**SIGNER.published, "use": "enc"}]}, "holds no key"),
        (JWKS, "application/jwk-set+json", {"keys": [{**SIGNER.published, "alg": "RSA1_5"}]}, "holds no key"),
        (JWKS, "application/jwk-set+json", {"keys": [{**SIGNER.published, "n": "?"}]}, "holds no key"),
        (JWKS, "application/jwk-set+json", {"keys": [{"kid": "first", "kty": "oct", "k": "c2VjcmV0"}]}, "holds no key"),
    ],
    ids=["no-issuer", "odd-issuer", "no-keys", "no-list", "odd-keys", "for-secrets", "unknown", "broken", "symmetric"],
)
async def test_documents_that_say_nothing(world: World, path: str, media: str, answer: Object, told: str) -> None:
    world.api.documents[path] = (media, answer)
    refused = await world.refusal(SIGNER.token(NOW))
    assert refused.transient and told in refused.reason


async def test_a_symmetric_key_beside_the_others_signs_nothing(world: World) -> None:
    secret = base64.urlsafe_b64encode(b"s" * 32).decode().rstrip("=")
    world.api.documents[JWKS] = (
        "application/jwk-set+json",
        {"keys": [{"kid": "shared", "kty": "oct", "k": secret, "alg": "HS256"}, SIGNER.published]},
    )
    token = jwt.encode(claims(NOW), b"s" * 32, algorithm="HS256", headers={"kid": "shared"})
    assert "does not publish" in (await world.refusal(token)).reason
    await world.tokens.verify(SIGNER.token(NOW))


async def test_an_edwards_key_is_passed_over(world: World) -> None:
    raw = ed25519.Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    item = {"kid": "ed", "kty": "OKP", "crv": "Ed25519", "x": base64.urlsafe_b64encode(raw).decode().rstrip("=")}
    world.api.documents[JWKS] = ("application/jwk-set+json", {"keys": [item, SIGNER.published]})
    await world.tokens.verify(SIGNER.token(NOW))


async def test_a_withdrawn_key_ends_with_the_next_read(world: World) -> None:
    running = asyncio.create_task(world.keys.run())
    try:
        await until(lambda: world.reads == 1)
        await world.tokens.verify(SIGNER.token(NOW))
        assert world.reads == 1, "it was read already"
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    fresh = Signer("fresh", elliptic=True)
    publish(world.api, fresh)
    world.clock.mono += PAUSE
    await world.tokens.verify(fresh.token(NOW))
    assert "does not publish" in (await world.refusal(SIGNER.token(NOW))).reason


async def test_the_first_read_is_tried_again(world: World) -> None:
    world.api.fail("GET", DISCOVERY, 404, json.dumps({"message": "not found"}))
    running = asyncio.create_task(world.keys.run())
    try:
        await until(lambda: world.keys.problem != "")
        assert not running.done()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_who_stops_waiting_does_not_keep_the_turn(world: World) -> None:
    stuck, release = asyncio.Event(), asyncio.Event()

    async def hang(request: web.Request) -> web.StreamResponse:
        stuck.set()
        await release.wait()
        return await world.api.handle(request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", hang)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with Kube(Access(url), timeout=30.0) as kube:
        tokens = Tokens(Keys(kube, world.clock), world.clock)
        gone = asyncio.create_task(tokens.verify(SIGNER.token(NOW)))
        await stuck.wait()
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        release.set()
        world.clock.mono += PAUSE
        assert (await tokens.verify(SIGNER.token(NOW))).namespace == "shop"
    await runner.cleanup()
