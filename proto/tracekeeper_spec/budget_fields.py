"""The schema of the section `budgets`."""

from __future__ import annotations

from tracekeeper_spec.budget import Budget
from tracekeeper_spec.schema import Field, ListOf, Object
from tracekeeper_spec.texts import DNS_LABEL

BUDGET = Object(Budget, (Field("name", DNS_LABEL, "Name of the budget, in rules and metrics.", required=True),))

BUDGETS = ListOf(BUDGET, 8, unique="name")
