"""`GET /v1/budgets/NAME/decision`, on localhost: may this application make one more call? Pure.

The answer is what the operator told last. What a budget's `unknown` says is answered while nothing is known, or what is
known is too old.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from tracekeeper_spec.budget import NANO, Budget, Decision

FRESH = 120.0
"""Seconds after which what was told is not known any more."""
UNKNOWN = "Unknown"


class KeyKnown(Protocol):
    @property
    def spent(self) -> int: ...
    @property
    def state(self) -> str: ...
    @property
    def allowed(self) -> bool: ...


class Known(Protocol):
    """What the operator told of a budget. Amounts are in billionths of a dollar."""

    @property
    def spent(self) -> int: ...
    @property
    def state(self) -> str: ...
    @property
    def allowed(self) -> bool: ...
    @property
    def complete(self) -> bool: ...
    @property
    def period_ends(self) -> float: ...
    @property
    def keys(self) -> Mapping[tuple[str, ...], KeyKnown]: ...


@dataclass(frozen=True, slots=True)
class Asked:
    """What is known when somebody asks."""

    budgets: Sequence[Budget]
    """Of the policy in force."""
    known: Known | None
    age: float
    """Seconds since it was told."""
    told: float
    """When that was, as Unix time."""
    now: float
    """Unix time."""


def answer(name: str, values: Mapping[str, str], asked: Asked) -> tuple[int, bytes]:
    """HTTP status, and JSON."""
    budget = next((each for each in asked.budgets if each.name == name), None)
    if budget is None:
        names = ", ".join(each.name for each in asked.budgets) or "none"
        return _problem(404, f"the policy in force has no budget {name[:63]!r}; there are: {names}")
    missing = [group.lower() for group in budget.groups if not values.get(group.lower())]
    if missing:
        text = f"the limit of budget {name} is for each {' and '.join(missing)}: add ?{missing[0]}=…"
        return _problem(400, text)
    key = tuple(values[group.lower()] for group in budget.groups)
    known, fresh = asked.known, asked.age <= FRESH
    if known is None or not fresh or asked.now >= known.period_ends:
        why = "the operator has told nothing of it yet" if known is None else _stale(asked)
        return _json(_decision(budget, None, UNKNOWN, budget.unknown is Decision.ALLOW, why, asked, complete=False))
    if not budget.groups:
        return _json(_decision(budget, known.spent, known.state, known.allowed, "", asked, complete=known.complete))
    found = known.keys.get(key)
    if found is None:  # It has not reached any threshold.
        return _json(_decision(budget, None, "Ok", True, "", asked, complete=known.complete))
    return _json(_decision(budget, found.spent, found.state, found.allowed, "", asked, complete=known.complete))


def _decision(
    budget: Budget, spent: int | None, state: str, allowed: bool, reason: str, asked: Asked, *, complete: bool
) -> dict[str, object]:
    limit = budget.limit
    if not allowed and not reason:
        reason = f"{_dollars(spent or 0)} of {limit.amount} {limit.currency} are spent in this {budget.period.lower()}"
    return {
        "budget": budget.name,
        "spent": None if spent is None else _dollars(spent),
        "limit": limit.amount,
        "currency": limit.currency.value,
        "state": state,
        "allowed": allowed,
        "complete": complete,
        "asOf": _time(asked.told) if asked.known is not None else None,
        "periodEnds": _time(asked.known.period_ends) if asked.known is not None else None,
        "reason": reason,
    }


def _stale(asked: Asked) -> str:
    if asked.age > FRESH:
        return f"the operator has told nothing of it for {asked.age:.0f} s"
    return "a new period has begun, and the operator has told nothing of it yet"


def _dollars(nano: int) -> str:
    whole, part = divmod(nano, NANO)
    return f"{whole}.{f'{part:09d}'.rstrip('0').ljust(2, '0')}"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _json(body: dict[str, object], status: int = 200) -> tuple[int, bytes]:
    return status, json.dumps(body, ensure_ascii=False).encode()


def _problem(status: int, text: str) -> tuple[int, bytes]:
    return _json({"error": text}, status)
