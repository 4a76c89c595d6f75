"""Calls of the service `Budgets`: may one more call be made, how do budgets stand, who has spent most?

pod's token ─ signature ─▶ its namespace ─▶ a config that applies there
person's token ─ TokenReview, SubjectAccessReview `create tracingconfigs/budget` ─▶ a config of that namespace
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from tracekeeper_proto.budget.v1 import budget_pb2 as pb
from tracekeeper_spec.budget import Budget, Decision

from ..clock import Clock
from ..control.budget import Budget as Room
from ..control.facts import ConfigFacts
from ..control.gate import Context, Gate, Refused
from ..control.tokens import PodIdentity, TokenRefused
from .account import DIMENSIONS
from .book import Book
from .ranking import Place
from .standing import Standing, allowed, dollars, state

logger = logging.getLogger(__name__)

SERVICE = "tracekeeper.budget.v1.Budgets"
RIGHT = "budget"
UNITS = 500
"""Of work for one decision, see `control.budget`."""
SHOWN = 50
"""Keys of a budget that a status has."""
UNKNOWN = "Unknown"

Verify = Callable[[str], Awaitable[PodIdentity]]
Find = Callable[[str, str], ConfigFacts | None]
Configs = Callable[[str, str], dict[str, Any] | None]


class BudgetCalls:
    """Owned by the event loop of the control server."""

    def __init__(self, gate: Gate, verify: Verify, configs: Configs, find: Find, book: Book, clock: Clock) -> None:
        self._gate, self._verify, self._configs, self._find = gate, verify, configs, find
        self._book, self._clock = book, clock
        self._room = Room()

    def handler(self) -> grpc.GenericRpcHandler:
        """For the server."""
        decide = grpc.unary_unary_rpc_method_handler(
            self.decide,
            request_deserializer=pb.DecideRequest.FromString,
            response_serializer=pb.Decision.SerializeToString,
        )
        status = grpc.unary_unary_rpc_method_handler(
            self.status,
            request_deserializer=pb.StatusRequest.FromString,
            response_serializer=pb.StatusReply.SerializeToString,
        )
        top = grpc.unary_unary_rpc_method_handler(
            self.top,
            request_deserializer=pb.TopRequest.FromString,
            response_serializer=pb.TopReply.SerializeToString,
        )
        return grpc.method_handlers_generic_handler(SERVICE, {"Decide": decide, "Status": status, "Top": top})

    async def decide(self, asked: pb.DecideRequest, context: Context) -> pb.Decision:
        """Whether one more call may be made."""
        try:
            facts, namespace = await self._who(asked, context)
            budget = _budget(facts, asked.budget)
            key = _key(budget, asked)
        except Refused as refused:
            await context.abort(refused.code, refused.text)
        return decision(budget, self._book.standing(facts.budgets_from, budget, namespace), key, self._clock.now())

    async def status(self, asked: pb.StatusRequest, context: Context) -> pb.StatusReply:
        """All budgets of a config: where it wrote them, also those of other namespaces that it is used by."""
        try:
            facts = await self._person(asked.namespace, asked.config, context)
        except Refused as refused:
            await context.abort(refused.code, refused.text)
        name = f"{asked.namespace}/{asked.config}"
        if facts.budgets_from == name:
            found = list(self._book.standings(name))
        else:
            mine = [self._book.seen(facts.budgets_from, budget, asked.namespace) for budget in facts.budgets]
            found = [each for each in mine if each is not None]
        return pb.StatusReply(budgets=[_said(each) for each in found])

    async def top(self, asked: pb.TopRequest, context: Context) -> pb.TopReply:
        """Who has spent most of a budget in its period."""
        try:
            facts = await self._person(asked.namespace, asked.config, context)
            budget = _budget(facts, asked.budget)
            if asked.by not in DIMENSIONS:
                raise Refused(grpc.StatusCode.INVALID_ARGUMENT, f"by: must be one of {', '.join(DIMENSIONS)}")
            standing = self._book.seen(facts.budgets_from, budget, asked.namespace)
            if standing is None:
                raise Refused(grpc.StatusCode.UNAVAILABLE, "what was spent is not read yet: ask again in a moment")
        except Refused as refused:
            await context.abort(refused.code, refused.text)
        ranking = standing.ranks.get(asked.by)
        places = list(ranking)[: min(asked.count or 10, 100)] if ranking is not None else []
        return pb.TopReply(
            keys=[pb.Key(values=each.key, spent=dollars(each.spent), error=_error(each)) for each in places],
            currency=budget.limit.currency.value,
            total=dollars(standing.spent),
            period_begins=standing.span.begins,
        )

    async def _who(self, asked: pb.DecideRequest, context: Context) -> tuple[ConfigFacts, str]:
        """The config, and the namespace whose pods it is about. Raises Refused."""
        try:
            pod = await self._verify(_token(context))
        except TokenRefused as error:
            if error.transient:
                raise Refused(grpc.StatusCode.UNAVAILABLE, str(error)) from None
            return await self._person(asked.namespace, asked.config, context), asked.namespace
        wait = self._room.wait(pod.namespace, self._clock.monotonic())
        if wait > 0.0:
            raise Refused(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                "too much is asked from this namespace: the sidecar answers the same on localhost, at no cost",
            )
        self._room.spend(pod.namespace, UNITS, self._clock.monotonic())
        namespace = asked.namespace or pod.namespace
        manifest = self._configs(namespace, asked.config)
        facts = self._find(str(manifest["metadata"]["uid"]), pod.namespace) if manifest is not None else None
        if facts is None:
            raise Refused(
                grpc.StatusCode.NOT_FOUND,
                f"no TracingConfig {namespace[:63]}/{asked.config[:253]} applies to pods of namespace {pod.namespace}",
            )
        return facts, pod.namespace

    async def _person(self, namespace: str, config: str, context: Context) -> ConfigFacts:
        """Raises Refused."""
        described = f"budgets of {namespace[:63]}/{config[:253]}"
        _, manifest = await self._gate.admit("budget", RIGHT, namespace, config, described, context)
        facts = self._find(str(manifest["metadata"]["uid"]), namespace)
        if facts is None:
            raise Refused(
                grpc.StatusCode.FAILED_PRECONDITION,
                f"{namespace}/{config} is not in force: it has faults, and never was without; `kubectl describe` it",
            )
        return facts


def decision(budget: Budget, standing: Standing | None, key: tuple[str, ...], now: float) -> pb.Decision:
    """The answer for one key; where nothing is known, what the budget says of that."""
    limit, currency = dollars(budget.limit.nano), budget.limit.currency.value
    if standing is None:
        return pb.Decision(
            limit=limit,
            currency=currency,
            state=UNKNOWN,
            allowed=budget.unknown is Decision.ALLOW,
            as_of=now,
            reason="what was spent is not known yet",
        )
    place = standing.place(key)
    free = allowed(budget, place.spent)
    return pb.Decision(
        spent=dollars(place.spent),
        limit=limit,
        currency=currency,
        state=state(budget, place.spent).value,
        allowed=free,
        complete=standing.complete and not place.error,
        as_of=now,
        period_ends=standing.span.ends,
        reason=""
        if free
        else f"{dollars(place.spent)} of {limit} {currency} are spent in this {budget.period.lower()}",
    )


def _budget(facts: ConfigFacts, name: str) -> Budget:
    """Raises Refused."""
    for budget in facts.budgets:
        if budget.name == name:
            return budget
    known = ", ".join(budget.name for budget in facts.budgets) or "none"
    text = f"{facts.namespace}/{facts.name} has no budget {name[:63]!r}; there are: {known}"
    raise Refused(grpc.StatusCode.NOT_FOUND, text)


def _key(budget: Budget, asked: pb.DecideRequest) -> tuple[str, ...]:
    """Raises Refused where one of the budget's groups is not said."""
    values = {
        "Agent": asked.agent,
        "Model": asked.model,
        "User": asked.user,
        "Project": asked.project,
        "Environment": asked.environment,
    }
    missing = [group.lower() for group in budget.groups if not values[group]]
    if missing:
        text = f"{', '.join(missing)}: the limit of budget {budget.name} is for each, so it must be said"
        raise Refused(grpc.StatusCode.INVALID_ARGUMENT, text)
    return tuple(values[group] for group in budget.groups)


def _token(context: Context) -> str:
    """Empty where there is none."""
    for name, value in context.invocation_metadata() or ():
        if name == "authorization" and isinstance(value, str):
            scheme, _, token = value.partition(" ")
            if scheme.lower() == "bearer":
                return token.strip()
    return ""


def _said(standing: Standing) -> pb.Budget:
    budget = standing.budget
    keys = list(standing.keys)[:SHOWN] if budget.groups else []
    return pb.Budget(
        name=budget.name,
        config=standing.config,
        namespace=standing.namespace,
        period=budget.period.value,
        period_begins=standing.span.begins,
        period_ends=standing.span.ends,
        spent=dollars(standing.spent),
        limit=dollars(budget.limit.nano),
        currency=budget.limit.currency.value,
        forecast=dollars(standing.forecast),
        state=standing.state.value,
        allowed=standing.allowed,
        incomplete=standing.words(),
        group_by=[group.value for group in budget.groups],
        keys=[
            pb.Key(
                values=each.key,
                spent=dollars(each.spent),
                state=state(budget, each.spent).value,
                allowed=allowed(budget, each.spent),
                error=_error(each),
            )
            for each in keys
        ],
        burn=standing.burn,
        tokens=standing.tokens,
        unpriced_calls=standing.unpriced,
    )


def _error(place: Place) -> str:
    return dollars(place.error) if place.error else ""
