"""The keys by which the API server signs tokens of service accounts, as it publishes them: OpenID Connect discovery.

`/.well-known/openid-configuration` names the issuer, `/openid/v1/jwks` holds the public keys (RFC 7517). Both are read
through our own, trusted way to the API server, whatever address the discovery document itself gives for the keys.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import uniform as random_uniform

from jwt import PyJWK
from jwt.exceptions import PyJWTError

from ..backoff import Backoff
from ..clock import Clock
from ..errors import KubeError, Unavailable
from ..kube import Kube, Object

logger = logging.getLogger(__name__)

DISCOVERY, JWKS = "/.well-known/openid-configuration", "/openid/v1/jwks"
ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"})
"""Signatures by a key of which we hold the public half alone. Never one by a shared secret."""
EVERY = 3600.0
"""Seconds after which the keys are read again, so that one that was withdrawn ends."""
PAUSE = 10.0
"""Least seconds between two reads that a token with an unknown key asks for: anybody can make up such a token."""
MOST_KEYS = 100


@dataclass(frozen=True, slots=True)
class KeySet:
    """What was published at one moment."""

    issuer: str
    keys: Mapping[str, PyJWK]
    """By key id (`kid`)."""


class Keys:
    """Owned by one event loop. `run` keeps them current; `find` reads them when it must."""

    def __init__(self, kube: Kube, clock: Clock, *, uniform: Callable[[float, float], float] = random_uniform) -> None:
        self._kube, self._clock, self._uniform = kube, clock, uniform
        self._known: KeySet | None = None
        self._asked = float("-inf")
        self._turn = asyncio.Lock()
        self.problem = ""
        """Why the last read failed; empty when it did not."""

    async def run(self) -> None:
        """Read them at once, then once in every hour, until cancelled. What is known stays when a read fails."""
        backoff = Backoff(most=60.0)
        while True:
            try:
                async with self._turn:
                    await self._read()
                backoff.reset()
                wait = EVERY * self._uniform(0.9, 1.1)
            except KubeError as error:
                wait = max(PAUSE, backoff.next(error.retry_after))
                kept = "those known stay in use" if self._known is not None else "no sidecar can attach"
                logger.warning("keys of service accounts: %s; %s; trying again in %.1f s", error, kept, wait)
            await asyncio.sleep(wait)

    async def find(self, kid: str) -> tuple[str, PyJWK] | None:
        """The issuer and the key with this id; None when it is not published, or nothing is known: see `problem`."""
        if (found := self._look(kid)) is not None:
            return found
        async with self._turn:
            # Whoever had the turn before may have read them.
            if self._look(kid) is None and self._clock.monotonic() - self._asked >= PAUSE:
                try:
                    await self._read()
                except KubeError as error:
                    logger.warning("keys of service accounts: %s", error)
        return self._look(kid)

    def _look(self, kid: str) -> tuple[str, PyJWK] | None:
        if self._known is None or (key := self._known.keys.get(kid)) is None:
            return None
        return self._known.issuer, key

    async def _read(self) -> None:
        """Raises KubeError."""
        self._asked = self._clock.monotonic()
        try:
            discovery, published = await self._kube.document(DISCOVERY), await self._kube.document(JWKS)
            self._known = key_set(discovery, published)
        except KubeError as error:
            self.problem = str(error)
            raise
        self.problem = ""


def key_set(discovery: Object, published: Object) -> KeySet:
    """Read both documents; keys that are not for signatures of ours are passed over. Raises Unavailable when there is
    no issuer, or no key at all.
    """
    issuer, listed = discovery.get("issuer"), published.get("keys")
    if not isinstance(issuer, str) or not issuer:
        raise Unavailable("get", DISCOVERY, 0, "the answer names no issuer")
    keys: dict[str, PyJWK] = {}
    for item in listed[:MOST_KEYS] if isinstance(listed, list) else []:
        kid = item.get("kid") if isinstance(item, dict) else None
        if isinstance(kid, str) and kid and item.get("use", "sig") == "sig" and (key := _key(item)) is not None:
            keys[kid] = key
    if not keys:
        raise Unavailable("get", JWKS, 0, "the answer holds no key that tokens can be checked with")
    return KeySet(issuer, keys)


def _key(item: Object) -> PyJWK | None:
    try:
        key = PyJWK(item)
    except (PyJWTError, ValueError, TypeError, KeyError):
        return None
    return key if key.algorithm_name in ALGORITHMS else None
