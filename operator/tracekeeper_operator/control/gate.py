"""Who asks something of sidecars, and whether they may: the same way in for each of the calls of the service `People`.

    token ─TokenReview─▶ person ─SubjectAccessReview─▶ allowed ─▶ the config, if there is one

Whoever may not see a config does not learn whether it exists. Whoever is turned away is one line in the log.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import grpc
from grpc import aio

from tracekeeper_spec.texts import DNS_LABEL, DNS_SUBDOMAIN

from ..errors import AccessDenied, KubeError, PersonUnknown
from .errand import Sidecar
from .persons import Action, Person, Persons, TooManyAsk

logger = logging.getLogger(__name__)

MOST_TEXT = 4000
"""Characters of an error: it travels in a header."""
MOST_NAMED = 20
"""Pods that a text names."""
EACH = 2
"""Taps, and test spans, that are under way at once in one namespace, and for one person: others want to see, too."""

Context = aio.ServicerContext[Any, Any]
Configs = Callable[[str, str], dict[str, Any] | None]
"""Namespace and name to the TracingConfig, as the API server last sent it."""
Told = Callable[[Any, Any], None]
"""Given a sidecar and what it says of an errand."""


class Sidecars(Protocol):
    """The control server, as far as it matters here."""

    def attached(self, config_uid: str) -> Sequence[Sidecar]: ...

    def on_told(self, kind: str, callback: Told) -> None: ...


class Refused(Exception):
    """A request is not carried out; the text is for the person who sent it."""

    def __init__(self, code: grpc.StatusCode, text: str) -> None:
        self.code, self.text = code, text[:MOST_TEXT]
        super().__init__(text)


class Gate:
    """Owned by the event loop of the control server."""

    def __init__(self, persons: Persons, configs: Configs) -> None:
        self._persons, self._configs = persons, configs

    async def admit(
        self, what: str, right: str, namespace: str, config: str, described: str, context: Context
    ) -> tuple[Person, dict[str, Any]]:
        """Who asks for `what`, and may `create` on the subresource `right`; and the config. `described` is for the log.
        Raises Refused."""
        for field, text, form in (("namespace", namespace, DNS_LABEL), ("config", config, DNS_SUBDOMAIN)):
            if len(text) > form.max_length or not re.fullmatch(form.pattern, text):
                raise Refused(grpc.StatusCode.INVALID_ARGUMENT, f"{field}: must be {form.expects}")
        person = await self._person(what, Action("create", right, namespace, config), described, context)
        manifest = self._configs(namespace, config)
        if manifest is None:
            raise Refused(
                grpc.StatusCode.NOT_FOUND,
                f"there is no TracingConfig {config!r} in namespace {namespace!r}; "
                "`kubectl get tracingconfigs -A` lists all of them",
            )
        return person, manifest

    async def _person(self, what: str, action: Action, described: str, context: Context) -> Person:
        name = f"{action.namespace}/{action.name}"
        try:
            person = await self._persons.whose(_token(context))
            await self._persons.check(person, action)
        except PersonUnknown as error:
            logger.warning("%s of %s refused: %s, from %s", what, name, error, context.peer())
            raise Refused(grpc.StatusCode.UNAUTHENTICATED, str(error)) from None
        except AccessDenied as error:
            logger.warning("%s refused: %s; %s", what, error, described)
            raise Refused(
                grpc.StatusCode.PERMISSION_DENIED,
                f"{error}. Whoever has the role `edit` in the namespace may, where the chart's roles are aggregated",
            ) from None
        except TooManyAsk:
            raise Refused(
                grpc.StatusCode.RESOURCE_EXHAUSTED, "too many people ask at once; ask again in a moment"
            ) from None
        except KubeError as error:
            logger.warning("%s of %s: nobody can say who asks: %s", what, name, error)
            raise Refused(
                grpc.StatusCode.UNAVAILABLE, f"the operator cannot ask the API server whether you may: {error}"
            ) from None
        return person


def own(sidecars: Sidecars, uid: str, namespace: str) -> list[Sidecar]:
    """Those of the config's own namespace: who may ask there has no say over pods elsewhere that it is lent to."""
    return [each for each in sidecars.attached(uid) if each.identity.namespace == namespace]


@dataclass(frozen=True, slots=True)
class Asker:
    """Who has something under way, and where."""

    namespace: str
    person: str


def check_room(what: str, most: int, under_way: Iterable[Asker], asker: Asker) -> None:
    """Raises Refused if `asker` may not begin one more of `what`."""
    others = list(under_way)
    for count, bound, where in (
        (len(others), most, ""),
        (sum(each.namespace == asker.namespace for each in others), EACH, f" in namespace {asker.namespace}"),
        (sum(each.person == asker.person for each in others), EACH, f" for {asker.person}"),
    ):
        if count >= bound:
            text = f"{bound} {what} are under way{where}: wait for the end of one"
            raise Refused(grpc.StatusCode.RESOURCE_EXHAUSTED, text)


def none_attached(name: str, otherwise: str = "") -> Refused:
    """Why nothing can be asked of the sidecars of a config."""
    return Refused(
        grpc.StatusCode.FAILED_PRECONDITION,
        f"no sidecar of {name} is attached to the operator. Are there pods with one, made after the operator "
        "was installed or upgraded to this version? After a restart of the operator, sidecars come back within "
        f"a minute; a pod's /health says what keeps its sidecar away{otherwise}",
    )


def chosen(found: Iterable[Sidecar], pod: str, name: str) -> list[Sidecar]:
    """Those of that pod, or all of them where none is named; at least one. Raises Refused."""
    attached = list(found)
    if not attached:
        raise none_attached(name)
    if not pod:
        return attached
    of_pod = [each for each in attached if each.identity.pod == pod]
    if not of_pod:
        pods = sorted(each.identity.pod for each in attached)
        more = f" and {len(pods) - MOST_NAMED} more" if len(pods) > MOST_NAMED else ""
        raise Refused(
            grpc.StatusCode.FAILED_PRECONDITION,
            f"pod: no sidecar of {name} in a pod {pod[:253]!r} is attached to the operator; there are "
            f"{', '.join(pods[:MOST_NAMED])}{more}",
        )
    return of_pod


def _token(context: Context) -> str:
    """Raises PersonUnknown."""
    for key, value in context.invocation_metadata() or ():
        if key == "authorization" and isinstance(value, str):
            scheme, _, token = value.partition(" ")
            if scheme.lower() == "bearer" and token.strip():
                return token.strip()
    raise PersonUnknown("there is none; send one in the metadata `authorization: Bearer TOKEN`")
