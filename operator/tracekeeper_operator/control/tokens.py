"""Who attaches to the control stream: tokens of pods' service accounts, checked here and not by the API server.

The kubelet has a token made for each pod (a projected volume), for the audience `tracekeeper.dev/control`, which the
API server itself does not accept: so nothing else can be done with it. It says which pod it is bound to, and the API
server's signature says that this is true. What a signature cannot say is that the pod was deleted since: a token stays
good until it expires, an hour at most as the sidecars get them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

import jwt
from jwt.exceptions import (
    DecodeError,
    InvalidAudienceError,
    InvalidIssuerError,
    InvalidSignatureError,
    MissingRequiredClaimError,
    PyJWTError,
)

from .. import names
from ..clock import Clock
from ..errors import TokenRefused
from .keys import Keys

__all__ = ["AUDIENCE", "PodIdentity", "TokenRefused", "Tokens"]

AUDIENCE = names.CONTROL_AUDIENCE
"""A token that was made for anybody else is refused."""
LEEWAY = 30.0
"""Seconds by which the API server's clock and ours may differ."""
MOST_BYTES = 16 * 1024
"""Of one token; the API server's have about 1 KiB."""
CLAIM = "kubernetes.io"
MOST_TEXT = 253
"""Characters of a name or UID in a token."""


@dataclass(frozen=True, slots=True)
class PodIdentity:
    """The pod to which a token is bound, as the API server has signed it."""

    namespace: str
    pod: str
    uid: str
    """Of the pod."""
    service_account: str
    expires: float = 0.0
    """Unix time at which the token ends, and the stream that began with it."""


class Tokens:
    """Owned by one event loop."""

    def __init__(self, keys: Keys, clock: Clock) -> None:
        self._keys, self._clock = keys, clock

    async def verify(self, token: str) -> PodIdentity:
        """Whose it is. Asks the API server only for keys that are not known. Raises TokenRefused."""
        kid = _key_id(token)
        found = await self._keys.find(kid)
        if found is None:
            raise self._unknown_key()
        issuer, key = found
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=[key.algorithm_name],
                audience=AUDIENCE,
                issuer=issuer,
                options={
                    "require": ["aud", "exp", "iss", "nbf", "sub"],
                    "enforce_minimum_key_length": True,
                    # Times are looked at below, by the clock that we were given.
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
        except PyJWTError as error:
            raise TokenRefused(_why(error)) from None
        expires = self._times(claims)
        return _bound(claims, expires)

    def _unknown_key(self) -> TokenRefused:
        if self._keys.problem:
            problem = f"the API server's keys cannot be read, so no new token can be checked: {self._keys.problem}"
            return TokenRefused(problem, transient=True)
        return TokenRefused("the token is signed with a key that the API server does not publish")

    def _times(self, claims: Mapping[str, Any]) -> float:
        """When the token ends. Raises TokenRefused."""
        begins, ends, now = _time(claims, "nbf"), _time(claims, "exp"), self._clock.now()
        if ends + LEEWAY <= now:
            raise TokenRefused(f"the token expired {now - ends:.0f} s ago; the kubelet writes a new one in time")
        if begins - LEEWAY > now:
            raise TokenRefused(f"the token begins in {begins - now:.0f} s: do the clocks differ?")
        return ends


def _key_id(token: str) -> str:
    """Which key is said to have signed it; nothing else of it is believed yet. Raises TokenRefused."""
    if len(token) > MOST_BYTES:
        raise TokenRefused(f"the token has more than {MOST_BYTES} bytes")
    try:
        kid = jwt.get_unverified_header(token).get("kid")
    except (PyJWTError, ValueError, RecursionError):
        raise TokenRefused("there is no JSON Web Token after `Bearer `") from None
    if not isinstance(kid, str) or not kid:
        raise TokenRefused("the token names no key (kid)")
    return kid


def _why(error: PyJWTError) -> str:
    """In words of our own: the library's may show parts of the token."""
    match error:
        case InvalidAudienceError():
            return f"the token is not for the audience {AUDIENCE}"
        case InvalidIssuerError():
            return "the token was issued by another cluster, or before the API server's issuer was changed"
        case MissingRequiredClaimError():
            return f"the token has no claim {error.claim!r}"
        case InvalidSignatureError():
            return "the token's signature is wrong"
        case DecodeError():
            return "the token cannot be read"
    return f"the token cannot be accepted: {type(error).__name__}"


def _time(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise TokenRefused(f"the token's claim {name!r} is not a time")
    return float(value)


def _bound(claims: Mapping[str, Any], expires: float) -> PodIdentity:
    """The pod that a token belongs to. Raises TokenRefused for one that belongs to none."""
    inside = claims.get(CLAIM)
    ours = inside if isinstance(inside, Mapping) else {}
    pod, account = ours.get("pod"), ours.get("serviceaccount")
    if not isinstance(pod, Mapping) or not isinstance(account, Mapping):
        raise TokenRefused("the token is not bound to a pod: it must come from a projected volume")
    namespace, service_account = _text(ours, "namespace"), _text(account, "name")
    if claims.get("sub") != f"system:serviceaccount:{namespace}:{service_account}":
        raise TokenRefused("the token contradicts itself about whose it is")
    return PodIdentity(namespace, _text(pod, "name"), _text(pod, "uid"), service_account, expires)


def _text(item: Mapping[str, Any], name: str) -> str:
    value = item.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= MOST_TEXT:
        raise TokenRefused(f"the token's {name!r} is missing, or no name")
    return value
