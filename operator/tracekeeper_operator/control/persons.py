"""Who asks, and whether they may: the API server's answers to TokenReviews and SubjectAccessReviews.

People come with the token that they show the API server. Only that can say whether it is good (there are webhooks and
OIDC behind it), and only that knows the roles; so both are asked for each request, and nothing is remembered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .. import names
from ..errors import AccessDenied, PersonUnknown
from ..kinds import ACCESS_REVIEWS, TOKEN_REVIEWS, Kind
from ..kube import Kube, Object

AT_ONCE = 8
"""Questions to the API server that are under way; anybody in the cluster can have them asked."""
WAITING = 64
"""Who waits, these included; others are sent away."""


@dataclass(frozen=True, slots=True)
class Person:
    """Whom the API server takes the owner of a token for."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Mapping[str, Sequence[str]] | None = None


@dataclass(frozen=True, slots=True)
class Action:
    """What somebody wants to do, in RBAC's words."""

    verb: str
    subresource: str
    namespace: str
    name: str

    def __str__(self) -> str:
        """`create tracingconfigs/dump of tracekeeper.dev, named agents, in namespace shop`"""
        what = f"{names.PLURAL}/{self.subresource} of {names.GROUP}"
        return f"{self.verb} {what}, named {self.name}, in namespace {self.namespace}"


class TooManyAsk(Exception):
    """More people ask at once than the API server is to be bothered with."""


class Persons:
    """Owned by one event loop."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    async def whose(self, token: str) -> Person:
        """Raises PersonUnknown, TooManyAsk, KubeError."""
        status = await self._ask(TOKEN_REVIEWS, {"token": token})
        user = status.get("user")
        if status.get("authenticated") is not True or not isinstance(user, Mapping) or not user.get("username"):
            why = str(status.get("error") or "the API server does not know it, or it has expired")
            raise PersonUnknown(" ".join(why.split())[:500])
        groups, extra = user.get("groups"), user.get("extra")
        return Person(
            str(user["username"]),
            tuple(str(group) for group in groups) if isinstance(groups, list) else (),
            str(user.get("uid") or ""),
            extra if isinstance(extra, Mapping) else None,
        )

    async def check(self, person: Person, action: Action) -> None:
        """Raises AccessDenied, TooManyAsk, KubeError."""
        asked: Object = {
            "user": person.name,
            "groups": list(person.groups),
            "resourceAttributes": {
                "verb": action.verb,
                "group": names.GROUP,
                "version": names.VERSION,
                "resource": names.PLURAL,
                "subresource": action.subresource,
                "namespace": action.namespace,
                "name": action.name,
            },
        }
        if person.uid:
            asked["uid"] = person.uid
        if person.extra:
            asked["extra"] = {key: list(values) for key, values in person.extra.items()}
        status = await self._ask(ACCESS_REVIEWS, asked)
        if status.get("allowed") is not True:
            raise AccessDenied(person.name, str(action), " ".join(str(status.get("reason") or "").split())[:500])

    async def _ask(self, kind: Kind, spec: Object) -> Mapping[str, Any]:
        if self._waiting >= WAITING:
            raise TooManyAsk
        self._waiting += 1
        try:
            async with self._turn:
                answer = await self._kube.create(
                    kind, None, {"apiVersion": kind.api_version, "kind": kind.kind, "spec": spec}
                )
        finally:
            self._waiting -= 1
        status = answer.get("status")
        return status if isinstance(status, Mapping) else {}
