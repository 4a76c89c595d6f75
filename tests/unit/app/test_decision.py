"""What a sidecar answers an application that asks whether it may make one more call."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tracekeeper_sidecar.admin.decision import Asked, answer
from tracekeeper_sidecar.control.accounts import BudgetState, KeyState
from tracekeeper_spec.budget import Budget, Decision, GroupBy, Limit

NOW = 1_800_000_000.0
DAILY = Budget("daily", limit=Limit("12.50"))
USERS = Budget("users", limit=Limit("1"), group_by=(GroupBy.AGENT, GroupBy.USER), unknown=Decision.DENY)
STATE = BudgetState(12_500_000_000, 3_000_000_000, "Ok", True, True, NOW + 3600, {})
ASKED = Asked((DAILY, USERS), STATE, 5.0, NOW - 5.0, NOW)


def ask(name: str = "daily", asked: Asked = ASKED, **values: str) -> tuple[int, dict[str, Any]]:
    status, body = answer(name, values, asked)
    return status, json.loads(body)


def test_what_the_operator_told_is_answered() -> None:
    assert ask() == (
        200,
        {
            "budget": "daily",
            "spent": "3.00",
            "limit": "12.50",
            "currency": "USD",
            "state": "Ok",
            "allowed": True,
            "complete": True,
            "asOf": "2027-01-15T07:59:55Z",
            "periodEnds": "2027-01-15T09:00:00Z",
            "reason": "",
        },
    )
    over = replace(STATE, spent=12_500_000_000, state="Exceeded", allowed=False)
    _, told = ask(asked=replace(ASKED, known=over))
    assert (told["allowed"], told["state"]) == (False, "Exceeded")
    assert told["reason"] == "12.50 of 12.50 USD are spent in this day"


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (replace(ASKED, known=None), "nothing of it yet"),
        (replace(ASKED, age=120.5), "for 120 s"),
        (replace(ASKED, now=NOW + 3600), "a new period"),
    ],
)
def test_what_is_not_known_is_answered_as_the_budget_says(asked: Asked, why: str) -> None:
    for name, allowed in (("daily", True), ("users", False)):
        status, told = ask(name, asked, agent="a", user="u")
        assert (status, told["state"], told["allowed"], told["complete"]) == (200, "Unknown", allowed, False)
        assert why in told["reason"] and told["spent"] is None


def test_groups_are_asked_for_by_their_values() -> None:
    keys: dict[tuple[str, ...], KeyState] = {("planner", "bob"): KeyState(1_200_000_000, "Exceeded", False)}
    asked = replace(ASKED, known=replace(STATE, keys=keys, allowed=False))
    assert ask("users", asked, agent="planner", user="bob")[1]["allowed"] is False
    status, told = ask("users", asked, agent="planner", user="ann")
    assert (status, told["allowed"], told["spent"]) == (200, True, None)
    status, told = ask("users", asked, agent="planner")
    assert status == 400 and told["error"] == "the limit of budget users is for each user: add ?user=…"


def test_what_there_is_not_is_said_with_what_there_is() -> None:
    status, told = ask("weekly")
    assert status == 404 and told["error"].endswith("there are: daily, users")
    assert ask("x", Asked((), None, 0.0, 0.0, NOW))[1]["error"].endswith("there are: none")
