"""Budgets that namespaces share: the sum of their accounts, kept up with each statement. Pure.

Worked out from the accounts once, when it is first asked for; afterwards what is counted into one of them is counted
here as well, so that asking costs the same for one namespace and for a thousand. It is never saved.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tracekeeper_spec.budget import Budget

from .account import MOST_KEYS, MOST_RANKED, PAST, Account, AccountKey, Ledger, Row, Talk
from .ranking import merged


class Shared:
    """By config and budget."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, str], Account] = {}

    def find(self, config: str, budget: Budget, now: float) -> Account | None:
        """As it is for the budget as it is written now; None while it is not worked out."""
        found = self._sums.get((config, budget.name))
        if found is not None:
            found.follow(budget, now)
        return found

    def work_out(self, config: str, budget: Budget, accounts: Iterable[Account], now: float) -> Account:
        """All that lie anywhere."""
        made = self._sums[config, budget.name] = sum_of(config, budget, list(accounts), now)
        return made

    def add(self, config: str, budget: Budget, rows: list[Row], talks: list[Talk], missed: int, now: float) -> None:
        """The same was counted into one of its accounts."""
        key = config, budget.name
        if not budget.shared:
            self._sums.pop(key, None)
        elif key in self._sums:
            self._sums[key].add(budget, rows, talks, missed, now)

    def keep(self, keys: set[tuple[str, str]]) -> None:
        """Forget the others."""
        for key in self._sums.keys() - keys:
            del self._sums[key]


def sum_of(config: str, budget: Budget, accounts: Sequence[Account], now: float) -> Account:
    """One account for all of them."""
    for account in accounts:
        account.follow(budget, now)
    made = Account(AccountKey(config, budget.name, ""), min((each.since for each in accounts), default=now))
    made.follow(budget, now)
    begins = sorted({begin for account in accounts for begin in account.ledgers}, reverse=True)[: PAST + 1]
    for begin in begins:
        parts = [account.ledgers[begin] for account in accounts if begin in account.ledgers]
        names = {name for part in parts for name in part.ranks}
        made.ledgers[begin] = Ledger(
            begin,
            parts[0].ends,
            sum(part.nano for part in parts),
            sum(part.tokens for part in parts),
            sum(part.unpriced for part in parts),
            sum(part.missed for part in parts),
            max(part.told for part in parts),
            merged((part.keys for part in parts), MOST_KEYS),
            {name: merged((part.ranks[name] for part in parts if name in part.ranks), MOST_RANKED) for name in names},
        )
    for account in accounts:
        for sums, more in ((made.burn.fine, account.burn.fine), (made.burn.coarse, account.burn.coarse)):
            for index, nano in more.items():
                sums[index] = sums.get(index, 0) + nano
    return made
