"""What the operator tells of budgets: asked for, and as plain text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from tracekeeper_cli.cluster import Cluster
from tracekeeper_cli.errors import CLIError
from tracekeeper_cli.people import Method, call
from tracekeeper_cli.tables import table
from tracekeeper_cli.terminal import plain
from tracekeeper_cli.way import Way
from tracekeeper_proto.budget.v1.budget_pb2 import Budget, StatusReply, StatusRequest, TopReply, TopRequest

SERVICE = "tracekeeper.budget.v1.Budgets"
NOBODY = "(none)"
"""Of spans that do not say it."""

Told = TypeVar("Told", StatusReply, TopReply)


def ask(
    way: Way, namespace: str | None, name: str, asked: StatusRequest | TopRequest, told: type[Told], seconds: float
) -> Told:
    """One answer. Raises CLIError."""
    cluster = Cluster(way.context)
    asked.namespace = namespace or cluster.namespace
    token = way.token(cluster, asked.namespace, seconds)
    method = Method(name, "budgets", type(asked), told, SERVICE)
    with way.operator(cluster) as operator, call(operator, token, method, asked, seconds) as answers:
        for answer in answers:
            return answer
    raise CLIError("the operator has not answered")


def status_text(budgets: Sequence[Budget]) -> str:
    """One row for each, and below what of it is not known."""
    if not budgets:
        return "no budgets: write them into spec.budgets of the TracingConfig"
    rows = [
        [
            each.name,
            each.namespace or "all",
            each.state,
            "yes" if each.allowed else "NO",
            each.spent,
            f"{each.limit} {each.currency}" + (" each" if each.group_by else ""),
            each.forecast,
            each.period,
            _time(each.period_ends),
        ]
        for each in budgets
    ]
    header = ["BUDGET", "NAMESPACE", "STATE", "ALLOWED", "SPENT", "LIMIT", "FORECAST", "PERIOD", "ENDS"]
    notes = [f"{each.name}: {each.incomplete}" for each in budgets if each.incomplete]
    return "\n".join([table(header, rows), *notes])


def keys_text(budgets: Iterable[Budget]) -> str:
    """The keys of those that are grouped, or how fast the others burn."""
    parts = []
    for each in budgets:
        if each.group_by:
            rows = [
                [
                    *(plain(value) or NOBODY for value in key.values),
                    key.spent,
                    key.state,
                    "yes" if key.allowed else "NO",
                ]
                for key in each.keys
            ]
            header = [*(group.upper() for group in each.group_by), "SPENT", "STATE", "ALLOWED"]
            parts.append(table(header, rows) if rows else f"{each.name}: nothing was spent")
        elif each.burn:
            windows = sorted(each.burn, key=lambda window: (window[-1] != "m", window[-1] != "h", int(window[:-1])))
            parts.append(table(["LAST", *windows], [["of the limit", *(f"{each.burn[w]:.1%}" for w in windows)]]))
    return "\n\n".join(parts)


def top_text(name: str, by: str, found: TopReply) -> str:
    """The dearest first."""
    since = _time(found.period_begins)
    head = f"{found.total} {found.currency} were spent of {name} since {since}"
    if not found.keys:
        return f"{head}; nothing is known by {by}"
    rows = [
        [plain(each.values[0]) or NOBODY, each.spent, f"up to {each.error} more" if each.error else ""]
        for each in found.keys
    ]
    return f"{head}\n{table([by.upper(), 'SPENT', ''], rows)}"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
