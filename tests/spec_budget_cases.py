"""Budgets that are wrong in one way each; see `spec_cases.Faulty`."""

from __future__ import annotations

from typing import Any

LIMIT = {"amount": "100", "currency": "USD"}


def _budget(**fields: Any) -> list[dict[str, Any]]:
    return [{"name": "daily", "limit": LIMIT, **fields}]


FAULTY_BUDGETS: list[tuple[Any, ...]] = [
    ([{"name": "daily"}], "spec.budgets[0].limit", "is required"),
    ([{"limit": LIMIT}], "spec.budgets[0].name", "is required"),
    (_budget() * 2, "spec.budgets[1].name", "is already the name of spec.budgets[0]"),
    (_budget(name="A b"), "spec.budgets[0].name", "lower-case letters"),
    (_budget(period="Year"), "spec.budgets[0].period", "must be one of Day, Week, Month"),
    (_budget(timeZone="Mars/Olympus"), "spec.budgets[0].timeZone", "is not a time zone", False),
    (_budget(limit={"amount": 100}), "spec.budgets[0].limit.amount", "a decimal number in quotes"),
    (_budget(limit={"amount": "1e3"}), "spec.budgets[0].limit.amount", "a decimal number in quotes"),
    (_budget(limit={"amount": "0.00"}), "spec.budgets[0].limit.amount", "must be more than zero", False),
    (_budget(limit={"amount": "5", "currency": "EUR"}), "spec.budgets[0].limit.currency", "must be USD"),
    (_budget(groupBy=["Team"]), "spec.budgets[0].groupBy[0]", "must be one of Namespace, Agent"),
    (_budget(groupBy=["User", "User"]), "spec.budgets[0].groupBy[1]", "is in this list already", False),
    (_budget(groupBy=["Namespace"], shared=True), "spec.budgets[0].shared", "goes against Namespace", False),
    (_budget(thresholds=[{"percent": 0}]), "spec.budgets[0].thresholds[0].percent", "1"),
    (
        _budget(thresholds=[{"percent": 50}, {"percent": 50}]),
        "spec.budgets[0].thresholds[1].percent",
        "50 is in this list already",
        False,
    ),
    (_budget(thresholds=[{"percent": 50, "decision": "No"}]), "spec.budgets[0].thresholds[0].decision", "Allow, Deny"),
]
