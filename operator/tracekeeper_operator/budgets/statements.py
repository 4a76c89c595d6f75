"""Where budgets meet the control stream: sidecars state what was spent, and are told how their budgets stand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from tracekeeper_proto.control.v1 import control_pb2 as pb

from ..clock import Clock
from ..control.attached import Attached
from ..control.facts import ConfigFacts
from ..control.statement import problem
from ..metrics import ControllerMetrics
from .account import Row, Talk
from .book import Book
from .shard import SHARDS, Taken, Told, shard_of
from .standing import Standing, State, allowed, state

TICK = 2.0
"""Seconds between looks at whom to tell."""
RESTS, MOST_REST = 9.0, 30.0
"""How many times as long as it took there is no other look; and seconds at most."""
LEAST, MOST = 15.0, 60.0
"""Seconds after which a sidecar is told again, whether anything has changed or not: after 120 it does not go by it."""
MOST_KEYS = 200
"""That a sidecar is told of one budget."""
LOGS = 8
"""Logs that one pod may speak for: its own, and of folders on its node that were left."""
LOGS_KEPT = 6 * 3600.0
"""Seconds after a pod was attached last in which it is known which: coming back does not let it speak for others."""
MOST_WAITING = 20_000
"""Statements of one shard whose sidecars are answered once it is saved; the others state again."""
AT_ONCE = 50
"""Sidecars that are told without a pause."""

Find = Callable[[str, str], ConfigFacts | None]
"""What the config with that UID is for pods of a namespace."""


class Sidecars(Protocol):
    """The control server, as far as it matters here."""

    def pods(self) -> Mapping[str, Attached]: ...

    def on_told(self, kind: str, callback: Callable[[Any, Any], None]) -> None: ...


@dataclass(slots=True)
class _Sent:
    """What a sidecar was told last."""

    to: Attached
    at: float
    matter: object


@dataclass(slots=True)
class _Spoken:
    """What a pod has spoken for."""

    at: float
    """When it was attached last; monotonic."""
    logs: set[str] = field(default_factory=set)


@dataclass(slots=True)
class _Waiting:
    """Sidecars whose last statement is counted, but not for good."""

    by_log: dict[tuple[str, str, int], Attached] = field(default_factory=dict)
    """By namespace, log and number."""


class Statements:
    """Owned by the event loop of the control server."""

    def __init__(
        self,
        book: Book,
        sidecars: Sidecars,
        find: Find,
        hurry: Callable[[int], None],
        clock: Clock,
        metrics: ControllerMetrics,
    ) -> None:
        """`hurry` is called with the index of a shard that a pod waits for which ends."""
        self._book, self._sidecars, self._find, self._hurry = book, sidecars, find, hurry
        self._clock, self._metrics = clock, metrics
        self._waiting = [_Waiting() for _ in range(SHARDS)]
        self._sent: dict[str, _Sent] = {}
        """By UID of the pod."""
        self._logs: dict[str, _Spoken] = {}
        """By UID of the pod."""
        sidecars.on_told("statement", self.take)

    def take(self, attached: Attached, statement: pb.Statement) -> None:
        """Count it, and answer."""
        namespace = attached.identity.namespace
        facts = self._find(attached.config_uid, namespace)
        logs = self._logs.setdefault(attached.identity.uid, _Spoken(self._clock.monotonic())).logs
        if problem(statement) or facts is None or (len(logs) >= LOGS and statement.log_id not in logs):
            return
        logs.add(statement.log_id)
        taken = self._book.take(_told(namespace, statement), facts.budgets_from, facts.budgets)
        self._metrics.budget_statements.labels(taken.value).inc()
        if taken in (Taken.EARLY, Taken.FULL):
            return
        stored = self._book.is_stored(namespace, statement.log_id, statement.number)
        if not stored:
            index = shard_of(namespace)
            waiting = self._waiting[index].by_log
            if len(waiting) < MOST_WAITING:
                waiting[namespace, statement.log_id, statement.number] = attached
            if statement.last:
                self._hurry(index)
        _answer(attached, statement.log_id, statement.number, stored=stored)

    def stored(self, index: int) -> None:
        """A shard is saved: answer those who wait for that."""
        waiting = self._waiting[index].by_log
        for (namespace, log_id, number), attached in list(waiting.items()):
            if self._book.is_stored(namespace, log_id, number):
                del waiting[namespace, log_id, number]
                _answer(attached, log_id, number, stored=True)
            elif attached.ended.is_set():
                del waiting[namespace, log_id, number]

    async def run(self) -> None:
        """Tell sidecars how their budgets stand, until cancelled."""
        while True:
            began = self._clock.monotonic()
            await self.tell()
            await asyncio.sleep(rest(self._clock.monotonic() - began))

    async def tell(self) -> None:
        """Whoever does not know it yet, or has not heard of it for long."""
        now = self._clock.monotonic()
        pods = dict(self._sidecars.pods())
        every = min(MOST, max(LEAST, len(pods) / 200.0))
        known: dict[tuple[str, str, str], tuple[bytes, object] | None] = {}
        told = 0
        for uid, attached in pods.items():
            facts = self._find(attached.config_uid, attached.identity.namespace) if attached.config_uid else None
            if facts is None or not (facts.budgets or uid in self._sent):
                continue
            group = attached.config_uid, facts.budgets_from, attached.identity.namespace
            if group not in known:
                known[group] = self._states(facts, attached.identity.namespace)
                await asyncio.sleep(0)
            states = known[group]
            sent = self._sent.get(uid)
            if states is None or attached.ended.is_set():
                continue
            if sent is None or sent.to is not attached or sent.matter != states[1] or now >= sent.at + every:
                self._sent[uid] = _Sent(attached, now, states[1])
                attached.send_bytes(states[0])
                self._metrics.control_messages.labels("out", "budgets").inc()
                told += 1
                if told % AT_ONCE == 0:
                    await asyncio.sleep(0)
        for uid in self._sent.keys() - pods.keys():
            del self._sent[uid]
        for uid, spoken in list(self._logs.items()):
            if uid in pods:
                spoken.at = now
            elif now > spoken.at + LOGS_KEPT:
                del self._logs[uid]

    def _states(self, facts: ConfigFacts, namespace: str) -> tuple[bytes, object] | None:
        """What is told, and what of it does not wait; None while it is not known."""
        found = [self._book.seen(facts.budgets_from, budget, namespace) for budget in facts.budgets]
        known = [each for each in found if each is not None]
        if len(known) < len(found):
            return None
        said = pb.BudgetStates(budgets=[said_of(each) for each in known])
        matter = tuple(
            (
                *(each.name, each.state, each.allowed, each.limit_nano_dollars, each.period_ends),
                *((*key.values, key.state, key.allowed) for key in each.keys),
            )
            for each in said.budgets
        )
        return pb.ToSidecar(budgets=said).SerializeToString(), matter


def rest(took: float) -> float:
    """Seconds after a look that took so long: others have the loop for most of the time."""
    return min(MOST_REST, max(TICK, RESTS * took))


def said_of(standing: Standing) -> pb.BudgetState:
    """As a sidecar is told of it."""
    budget = standing.budget
    keys: list[pb.BudgetKey] = []
    for place in standing.keys if budget.groups else ():
        how = state(budget, place.spent)
        free = allowed(budget, place.spent)
        if (how is State.OK and free) or len(keys) == MOST_KEYS:
            break  # The others have spent less.
        keys.append(pb.BudgetKey(values=place.key, spent_nano_dollars=_cut(place.spent), state=how.value, allowed=free))
    return pb.BudgetState(
        name=budget.name,
        limit_nano_dollars=_cut(budget.limit.nano),
        spent_nano_dollars=_cut(standing.spent),
        state=standing.state.value,
        allowed=standing.allowed,
        complete=standing.complete,
        period_ends=standing.span.ends,
        group_by=[group.value for group in budget.groups],
        keys=keys,
    )


def _told(namespace: str, statement: pb.Statement) -> Told:
    rows = [
        Row(
            row.quarter_hour,
            row.agent,
            row.model,
            row.user,
            row.project,
            row.nano_dollars,
            row.tokens,
            row.unpriced_calls,
            row.environment,
        )
        for row in statement.rows
    ]
    talks = [Talk(talk.id, talk.nano_dollars) for talk in statement.conversations]
    return Told(namespace, statement.log_id, statement.number, statement.stored, rows, talks, statement.missed_spans)


def _answer(attached: Attached, log_id: str, number: int, *, stored: bool) -> None:
    attached.send(pb.ToSidecar(statement_seen=pb.StatementSeen(log_id=log_id, number=number, stored=stored)))


def _cut(nano: int) -> int:
    """What the message holds."""
    return min(nano, (1 << 64) - 1)
