"""What the operator and this sidecar tell each other of money: what was spent here, and how budgets stand.

What was spent is stated until the operator has stored it; how budgets stand is remembered for a while, for whoever asks
on localhost. Nothing waits for any of it, but the end of the pod for two seconds.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tracekeeper_sidecar.clock import Clock
from tracekeeper_sidecar.meter.spend import Spend, Statement
from tracekeeper_sidecar.wakeup import Signal
from tracekeeper_spec.budget import Budget

if TYPE_CHECKING:
    from tracekeeper_proto.control.v1 import control_pb2 as pb

LOOK = 2.0
"""Seconds between looks at whether there is something to state."""
AGAIN = 60.0
"""Seconds after which a statement is repeated that was not answered as stored."""
SETTLE = 2.0
"""Seconds that the end of the pod waits for the operator."""
NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class KeyState:
    """One key of a budget with groups."""

    spent: int
    """Billionths of a dollar."""
    state: str
    allowed: bool


@dataclass(frozen=True, slots=True)
class BudgetState:
    """As the operator has told it."""

    limit: int
    """Billionths of a dollar."""
    spent: int
    state: str
    allowed: bool
    complete: bool
    period_ends: float
    """Unix time."""
    keys: Mapping[tuple[str, ...], KeyState]
    """Those that have reached a threshold."""


class Accounts:
    """Owned by the event loop. One for the process: streams to the operator come and go."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.spend: Spend | None = None
        """What is spent here; None before it is metered."""
        self.budgets: tuple[Budget, ...] = ()
        """As the policy in force says; see `follow`."""
        self._followed = False
        """Whether there was a policy. What is read again after a start comes before it, and may be what somebody asks
        for."""
        self._states: dict[str, BudgetState] = {}
        self._told_at = float("-inf")
        """When the operator has told them; monotonic seconds."""
        self._told_wall = 0.0
        """The same as Unix time."""
        self._every = NEVER
        self._look_at = NEVER
        self._said: dict[int, float] = {}
        """When a statement was told last in this stream, by number."""
        self._said_at = float("-inf")
        self._seen: set[int] = set()
        """Numbers of statements that are counted, maybe not for good."""
        self._ending = False
        self._signal = Signal(clock)
        self.wake: Callable[[], None] = lambda: None
        """Called when something is to be told at once."""

    def follow(self, budgets: tuple[Budget, ...]) -> None:
        """The policy says this of budgets now."""
        self.budgets, self._followed = budgets, True
        self._states = {name: each for name, each in self._states.items() if name in {b.name for b in budgets}}
        self.metered(self.spend)

    def metered(self, spend: Spend | None) -> None:
        """This is where what is spent is noted; without budgets it need not be."""
        self.spend = spend
        if spend is not None:
            spend.wanted = bool(self.budgets) or not self._followed

    # The stream to the operator.

    @property
    def due(self) -> float:
        """When there may be something to tell; monotonic seconds."""
        return self._look_at

    def welcomed(self, every: float, now: float) -> None:
        """The operator asks for statements that often; 0: not at all."""
        self._every = every if every > 0.0 else NEVER
        self._look_at = now if every > 0.0 else NEVER

    def detached(self) -> None:
        """The stream is over: whatever was told in it may not have come."""
        self._every = self._look_at = NEVER
        self._said.clear()

    def next(self, now: float) -> list[pb.FromSidecar]:
        """What is to be told now."""
        if now < self._look_at:
            return []
        self._look_at = now + LOOK
        statements = self.spend.statements() if self.spend is not None else ()
        self._said = {each.number: self._said[each.number] for each in statements if each.number in self._said}
        found = []
        for each in statements:
            said = self._said.get(each.number)
            fresh = said is None and (self._ending or now >= self._said_at + self._every)
            if fresh or (said is not None and now >= said + AGAIN):
                self._said[each.number] = self._said_at = now
                found.append(_message(each, statements[0].number - 1, last=self._ending))
            elif said is None:
                break  # In order.
        return found

    def take(self, message: pb.ToSidecar) -> bool:
        """What the operator says; False when it is about something else."""
        kind = message.WhichOneof("message")
        if kind == "statement_seen" and self.spend is not None:
            seen = message.statement_seen
            if seen.log_id == self.spend.log_id:
                self._seen.add(seen.number)
                if seen.stored:
                    self.spend.stored(seen.log_id, seen.number)
                    self._seen.discard(seen.number)
                self._signal.fire()
        elif kind == "budgets":
            self._states = {each.name: _state(each) for each in message.budgets.budgets}
            self._told_at, self._told_wall = self._clock.monotonic(), self._clock.now()
        return kind in ("statement_seen", "budgets")

    # The end.

    async def settle(self, checkpoint: Callable[[], Awaitable[None]], seconds: float = SETTLE) -> bool:
        """Tell what was spent until now, before the pod is gone; whether the operator has counted all of it.
        `checkpoint` has the meter save itself, by `Spend.dump(last=True)`. Raises what that raises."""
        if self.spend is None or not self.spend.pending:
            return True
        await checkpoint()
        self._ending = True
        until = self._clock.monotonic() + seconds
        if self._every < NEVER:
            self._look_at = float("-inf")
            self.wake()
        while (left := until - self._clock.monotonic()) > 0.0 and self._every < NEVER:
            if all(each.number in self._seen for each in self.spend.statements()):
                break
            await self._signal.wait(left)
        return not self.spend.untold and all(each.number in self._seen for each in self.spend.statements())

    # Whoever asks.

    def state(self, name: str) -> tuple[BudgetState | None, float, float]:
        """How that budget stands, as far as it is known; for how many seconds; and when it was told, as Unix time."""
        return self._states.get(name), self._clock.monotonic() - self._told_at, self._told_wall


def _message(statement: Statement, stored: int, *, last: bool) -> pb.FromSidecar:
    from tracekeeper_proto.control.v1 import control_pb2 as pb  # noqa: PLC0415 - costs memory where there is no link

    rows = [
        pb.SpendRow(
            quarter_hour=row.quarter,
            agent=row.agent,
            model=row.model,
            user=row.user,
            project=row.project,
            nano_dollars=row.nano,
            tokens=row.tokens,
            unpriced_calls=row.unpriced,
            environment=row.environment,
        )
        for row in statement.rows
    ]
    talks = [
        pb.ConversationSpend(id=each.id, agent=each.agent, nano_dollars=each.nano, tokens=each.tokens)
        for each in statement.conversations
    ]
    said = pb.Statement(
        log_id=statement.log_id,
        number=statement.number,
        rows=rows,
        conversations=talks,
        missed_spans=statement.missed,
        last=last,
        stored=stored,
    )
    return pb.FromSidecar(statement=said)


def _state(said: pb.BudgetState) -> BudgetState:
    return BudgetState(
        said.limit_nano_dollars,
        said.spent_nano_dollars,
        said.state,
        said.allowed,
        said.complete,
        said.period_ends,
        {tuple(key.values): KeyState(key.spent_nano_dollars, key.state, key.allowed) for key in said.keys},
    )
