"""Events on the TracingConfig that wrote a budget when a threshold is reached: each once in a period."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tracekeeper_spec.budget import GroupBy, Severity, Threshold

from .. import names
from ..events import Notice, Owner
from .book import Book
from .standing import Standing, dollars

REASON = "BudgetThresholdReached"

Configs = Callable[[str, str], dict[str, Any] | None]


class Notices:
    """`look` at each standing. What was told is kept in the book, so that another controller does not tell it again."""

    def __init__(self, book: Book, configs: Configs, notify: Callable[[Notice], None]) -> None:
        self._book, self._configs, self._notify = book, configs, notify

    def look(self, standing: Standing) -> None:
        """Tell of the highest threshold that is reached, if it is news."""
        namespace, _, name = standing.config.partition("/")
        manifest = self._configs(namespace, name)
        threshold = self._book.news(standing) if manifest is not None else None
        if manifest is None or threshold is None:
            return
        owner = Owner(
            f"{names.GROUP}/{names.VERSION}", names.KIND, namespace, name, str(manifest["metadata"].get("uid", ""))
        )
        self._notify(Notice(owner, REASON, words(standing, threshold), threshold.severity is not Severity.INFO))


def words(standing: Standing, threshold: Threshold) -> str:
    """For people; it names no user."""
    budget, own = standing.budget, standing.config.partition("/")[0]
    where = f" in namespace {standing.namespace}" if standing.namespace not in ("", own) else ""
    who = ""
    if GroupBy.USER in budget.groups:
        who = " by one user"
    elif budget.groups:
        who = f" by {'/'.join(next(iter(standing.keys)).key)}"
    text = (
        f"budget {budget.name} has reached {threshold.percent} %{where}: {dollars(standing.most)} of "
        f"{dollars(budget.limit.nano)} {budget.limit.currency} are spent{who} in this {budget.period.lower()}"
    )
    return text if standing.allowed else f"{text}; whoever asks is told not to make more calls"
