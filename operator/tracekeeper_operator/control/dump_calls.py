"""What people ask of the sidecars through the operator, with their own token: gRPC service `People`.

    token ─TokenReview─▶ person ─SubjectAccessReview─▶ allowed ─▶ its own faults ─▶ every sidecar of the config

Whoever may not see a config does not learn whether it exists. Each request is one line in the log, allowed or not, and
one more when it ends.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
from collections.abc import Callable, Iterable, Sequence
from math import isfinite
from typing import Any, Protocol

import grpc
from grpc import aio

from tracekeeper_proto.control.v1 import control_pb2 as pb
from tracekeeper_spec.condition import find_problems
from tracekeeper_spec.config import ConfigSpec
from tracekeeper_spec.parse import parse_manifest
from tracekeeper_spec.resolve import resolve
from tracekeeper_spec.texts import DNS_LABEL, DNS_SUBDOMAIN
from tracekeeper_spec.walk import nearest

from ..clock import Clock
from ..errors import AccessDenied, KubeError, PersonUnknown
from .dumping import GRACE, Dumping, Sidecar
from .persons import Action, Person, Persons, TooManyAsk

logger = logging.getLogger(__name__)

SERVICE = "tracekeeper.control.v1.People"
LOOK = 0.25
"""Seconds between looks at the sidecars, and between what is told about them."""
MOST_DUMPS = 16
"""Under way at once."""
LONGEST = 86400.0
"""Seconds that one may take."""
MOST_TEXT = 4000
"""Characters of an error: it travels in a header."""

Context = aio.ServicerContext[pb.DumpRequest, pb.DumpProgress]
Configs = Callable[[str, str], dict[str, Any] | None]
"""Namespace and name to the TracingConfig, as the API server last sent it."""


class Sidecars(Protocol):
    """The control server, as far as it matters here."""

    def attached(self, config_uid: str) -> Sequence[Sidecar]: ...

    def on_dump_state(self, callback: Callable[[Any, pb.DumpState], None]) -> None: ...


class Refused(Exception):
    """A request is not carried out; the text is for the person who sent it."""

    def __init__(self, code: grpc.StatusCode, text: str) -> None:
        self.code, self.text = code, text
        super().__init__(text)


class People:
    """Owned by the event loop of the control server."""

    def __init__(
        self,
        persons: Persons,
        configs: Configs,
        sidecars: Sidecars,
        clock: Clock,
        merged: Callable[[str], ConfigSpec | None] = lambda uid: None,
    ) -> None:
        """`merged` has what a config says together with what it inherits, by its UID."""
        self._persons, self._configs, self._sidecars, self._clock = persons, configs, sidecars, clock
        self._merged = merged
        self._dumps: dict[str, Dumping] = {}
        """By the config's UID."""
        self._owners: dict[str, str] = {}
        sidecars.on_dump_state(self._take)

    def handler(self) -> grpc.GenericRpcHandler:
        """For the server."""
        dump = grpc.unary_stream_rpc_method_handler(
            self.dump,
            request_deserializer=pb.DumpRequest.FromString,
            response_serializer=pb.DumpProgress.SerializeToString,
        )
        return grpc.method_handlers_generic_handler(SERVICE, {"Dump": dump})

    async def dump(self, asked: pb.DumpRequest, context: Context) -> None:
        """Carry it out in every sidecar of the config, and tell how far each is, until all are done."""
        try:
            person = await self._identified(asked, context)
            uid = self._checked(asked)
            dumping = self._begin(uid, asked, person)
        except Refused as refused:
            await context.abort(refused.code, refused.text[:MOST_TEXT])
        try:
            async with asyncio.timeout(asked.timeout_seconds + 2 * GRACE):
                await self._follow(uid, asked, dumping, context)
        except TimeoutError:
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "what is told about the dump was not read in time")
        finally:
            dumping.stop()
            del self._dumps[uid], self._owners[uid]
            logger.info(
                "dump %s of %s/%s %s: %d spans sent by %d sidecars, of which %d failed",
                *(dumping.name, asked.namespace, asked.config, "has ended" if dumping.done else "was stopped"),
                *(dumping.sent, dumping.sidecars, dumping.failed),
            )

    async def _identified(self, asked: pb.DumpRequest, context: Context) -> Person:
        """Who asks, and may. Raises Refused."""
        for field, text, form in (("namespace", asked.namespace, DNS_LABEL), ("config", asked.config, DNS_SUBDOMAIN)):
            if len(text) > form.max_length or not re.fullmatch(form.pattern, text):
                raise Refused(grpc.StatusCode.INVALID_ARGUMENT, f"{field}: must be {form.expects}")
        action = Action("create", "dump", asked.namespace, asked.config)
        try:
            person = await self._persons.whose(_token(context))
            await self._persons.check(person, action)
        except PersonUnknown as error:
            logger.warning("dump of %s/%s refused: %s, from %s", asked.namespace, asked.config, error, context.peer())
            raise Refused(grpc.StatusCode.UNAUTHENTICATED, str(error)) from None
        except AccessDenied as error:
            logger.warning("dump refused: %s; %s", error, _described(asked))
            raise Refused(
                grpc.StatusCode.PERMISSION_DENIED,
                f"{error}. Whoever has the role `edit` in the namespace may, where the chart's roles are aggregated",
            ) from None
        except TooManyAsk:
            raise Refused(
                grpc.StatusCode.RESOURCE_EXHAUSTED, "too many people ask at once; ask again in a moment"
            ) from None
        except KubeError as error:
            logger.warning("dump of %s/%s: nobody can say who asks: %s", asked.namespace, asked.config, error)
            raise Refused(
                grpc.StatusCode.UNAVAILABLE, f"the operator cannot ask the API server whether you may: {error}"
            ) from None
        return person

    def _checked(self, asked: pb.DumpRequest) -> str:
        """The config's UID. Raises Refused for what cannot be carried out."""
        manifest = self._configs(asked.namespace, asked.config)
        if manifest is None:
            raise Refused(
                grpc.StatusCode.NOT_FOUND,
                f"there is no TracingConfig {asked.config!r} in namespace {asked.namespace!r}; "
                "`kubectl get tracingconfigs -A` lists all of them",
            )
        if faults := list(_faults(asked)):
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, "; ".join(faults))
        config, _ = parse_manifest(manifest)
        if config is not None:  # With faults, sidecars go on with what they have; they know whether it can be done.
            spec = resolve(self._merged(config.uid) or config.spec)
            names = [backend.name for backend in spec.backends]
            if asked.backend not in names:
                hint = nearest(asked.backend, names) or f"there are {', '.join(names) or 'none'}"
                raise Refused(grpc.StatusCode.INVALID_ARGUMENT, f"to: no backend {asked.backend!r}; {hint}")
            if spec.sampling is None:
                raise Refused(
                    grpc.StatusCode.FAILED_PRECONDITION,
                    f"{asked.namespace}/{asked.config} has no sampling: nothing is left out, nothing is to be sent",
                )
        return str(manifest["metadata"]["uid"])

    def _begin(self, uid: str, asked: pb.DumpRequest, person: Person) -> Dumping:
        """Raises Refused."""
        name = f"{asked.namespace}/{asked.config}"
        if uid in self._dumps:
            raise Refused(
                grpc.StatusCode.ABORTED,
                f"a dump of {name} is under way, asked for by {self._owners[uid]}: wait for its end",
            )
        if len(self._dumps) >= MOST_DUMPS:
            raise Refused(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{MOST_DUMPS} dumps are under way: wait for an end")
        if not self._attached(uid, asked):
            raise Refused(
                grpc.StatusCode.FAILED_PRECONDITION,
                f"no sidecar of {name} is attached to the operator. Are there pods with one, made after the operator "
                "was installed or upgraded to this version? After a restart of the operator, sidecars come back within "
                "a minute; a pod's /health says what keeps its sidecar away. In a single pod, "
                "`kubectl exec POD -c tracekeeper-sidecar -- tracekeeper-sidecar dump` works without",
            )
        dumping = self._dumps[uid] = Dumping(secrets.token_hex(8), asked, self._clock.monotonic())
        self._owners[uid] = person.name
        logger.info("dump %s: %s may, and asks for %s", dumping.name, person.name, _described(asked))
        return dumping

    def _attached(self, uid: str, asked: pb.DumpRequest) -> list[Sidecar]:
        """Those of the config's own namespace: who may dump there has no say over pods elsewhere that it is lent to."""
        return [each for each in self._sidecars.attached(uid) if each.identity.namespace == asked.namespace]

    async def _follow(self, uid: str, asked: pb.DumpRequest, dumping: Dumping, context: Context) -> None:
        while True:
            dumping.look(self._attached(uid, asked), self._clock.monotonic())
            done = dumping.done
            for progress in dumping.news():
                await context.write(progress)
            if done:
                return
            await asyncio.sleep(LOOK)

    def _take(self, sidecar: Sidecar, state: pb.DumpState) -> None:
        for dumping in self._dumps.values():
            if dumping.name == state.id:
                dumping.take(sidecar, state, self._clock.monotonic())


def _token(context: Context) -> str:
    """Raises PersonUnknown."""
    for key, value in context.invocation_metadata() or ():
        if key == "authorization" and isinstance(value, str):
            scheme, _, token = value.partition(" ")
            if scheme.lower() == "bearer" and token.strip():
                return token.strip()
    raise PersonUnknown("there is none; send one in the metadata `authorization: Bearer TOKEN`")


def _faults(asked: pb.DumpRequest) -> Iterable[str]:
    """What is wrong with a request, whatever the config."""
    if not asked.backend:
        yield "to: the name of the backend to send to is missing"
    if not (0 < asked.since_seconds and isfinite(asked.since_seconds)):
        yield "since: more than no seconds"
    if not 0 < asked.timeout_seconds <= LONGEST:
        yield f"timeout: more than no seconds, and at most {LONGEST:g}"
    if asked.where:
        yield from (f"where: {problem}" for problem in find_problems(asked.where))


def _described(asked: pb.DumpRequest) -> str:
    """For the log."""
    which = f"spans where {asked.where[:2000]!r}" if asked.where else "all spans"
    return (
        f"{which} of the last {asked.since_seconds:g} s of {asked.namespace}/{asked.config} for backend "
        f"{asked.backend[:253]!r}{', forgotten ones too' if asked.forgotten else ''}"
    )
