"""Rules about budgets with groups: nothing is written over what nobody exposes."""

from __future__ import annotations

import pytest

from alert_world import compiled

PLAIN = {"name": "daily", "limit": {"amount": "10"}}
AGENTS = {"name": "agents", "limit": {"amount": "1"}, "groupBy": ["Agent"]}
BURNS = {"BudgetBurnFast", "BudgetBurnSlow"}


@pytest.mark.parametrize(("budget", "burns"), [(PLAIN, BURNS), (AGENTS, set()), ({**PLAIN, "groupBy": []}, BURNS)])
def test_only_a_budget_without_groups_has_rules_about_its_burn(budget: dict[str, object], burns: set[str]) -> None:
    made = compiled(built_in="All", budgets=[budget])
    names = {rule.alert for rule in made.rules if hasattr(rule, "alert")}
    assert names & BURNS == burns and {"BudgetThreshold", "BudgetIncomplete"} <= names


def test_the_burn_of_a_budget_with_groups_is_a_fault() -> None:
    made = compiled({"name": "X", "condition": 'budget("agents").burn("1h") > 0.5'}, budgets=[PLAIN, AGENTS])
    (fault,) = made.faults
    assert (fault.at, fault.problem) == (17, "the burn of a budget with groups is not known")
    assert ".used" in fault.hint and not made.rules
    assert compiled({"name": "X", "condition": 'budget("agents").used > 0.5'}, budgets=[PLAIN, AGENTS]).rules
