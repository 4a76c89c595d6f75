"""Who attaches to the control stream: tokens of pods' service accounts, checked here and not by the API server."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import TokenRefused

__all__ = ["AUDIENCE", "PodIdentity", "TokenRefused"]

AUDIENCE = "tracekeeper.dev/control"
"""For whom the sidecars' tokens are made; a token that was made for anybody else is refused."""


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
