"""All that is known of what was spent: eight shards, and the budgets that are in force. Owned by one event loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from tracekeeper_spec.budget import Budget, Threshold

from ..clock import Clock
from .account import MOST_KEYS, Account, AccountKey
from .ranking import Ranking
from .shard import SHARDS, Shard, Taken, Told, shard_of
from .shared import Shared
from .standing import Standing, reached, standing


class Written(Protocol):
    """Where the budgets are that configs wrote."""

    def __call__(self) -> Mapping[str, Sequence[Budget]]:
        """By `namespace/name` of the config."""


def nobody(config: str, namespace: str) -> int:
    """Where nobody knows who lives."""
    return 0


class Book:
    """Nothing is counted in a shard that is not open: what was saved of it is read first."""

    def __init__(self, written: Written, clock: Clock, silent: Callable[[str, str], int] = nobody) -> None:
        """`silent` says how many pods have not been heard of, by config and namespace, empty for all."""
        self._written, self._clock, self._silent = written, clock, silent
        self.shards = tuple(Shard() for _ in range(SHARDS))
        self.open: set[int] = set()
        """Indices of shards that were read."""
        self._shared = Shared()

    def take(self, told: Told, config: str, budgets: Sequence[Budget]) -> Taken:
        """Count a statement, if it is its turn."""
        index, now = shard_of(told.namespace), self._clock.now()
        if index not in self.open:
            return Taken.EARLY
        taken = self.shards[index].take(told, config, budgets, now)
        if taken is Taken.COUNTED:
            for budget in budgets:
                self._shared.add(config, budget, told.rows, told.talks, told.missed, now)
        return taken

    def is_stored(self, namespace: str, log_id: str, number: int) -> bool:
        """Whether that statement is counted for good."""
        mark = self.shards[shard_of(namespace)].marks.find(namespace, log_id)
        return mark is not None and number <= mark.stored

    def is_read(self, budget: Budget, namespace: str) -> bool:
        """Whether what was saved of it is known."""
        return len(self.open) == SHARDS if budget.shared else shard_of(namespace) in self.open

    def standing(self, config: str, budget: Budget, namespace: str) -> Standing | None:
        """How a budget that `config` wrote stands for pods of `namespace`; None while that is not known, or for good
        where there is no room to count it.
        """
        now = self._clock.now()
        if not self.is_read(budget, namespace):
            return None
        if budget.shared:
            account = self._shared.find(config, budget, now)
            if account is None:
                account = self._shared.work_out(config, budget, self._accounts(config, budget.name), now)
            refused = sum(shard.refuses(config) for shard in self.shards)
            return standing(config, "", budget, account, now, refused, self._silent(config, ""))
        shard, key = self.shards[shard_of(namespace)], AccountKey(config, budget.name, namespace)
        if shard.refuses(config, namespace):
            return None
        account = shard.look(key, now)
        account.follow(budget, now)
        return standing(config, namespace, budget, account, now, 0, self._silent(config, namespace))

    def news(self, standing: Standing) -> Threshold | None:
        """The highest threshold that is reached, if that was not so when this was asked last in the period."""
        found = reached(standing.budget, standing.most)
        if found is None:
            return None
        namespace, now = standing.namespace or standing.config.partition("/")[0], self._clock.now()
        shard = self.shards[shard_of(namespace)]
        account = shard.open(AccountKey(standing.config, standing.budget.name, namespace), now)
        if account is None:
            return None
        account.follow(standing.budget, now)
        ledger = account.ledger(standing.budget, now, now)
        if ledger is None or found.percent <= ledger.told:
            return None
        ledger.told, ledger.saved = found.percent, None
        shard.version += 1
        return found

    def _accounts(self, config: str, budget: str) -> Iterator[Account]:
        for shard in self.shards:
            yield from shard.of(config, budget)

    def seen(self, config: str, budget: Budget, namespace: str) -> Standing | None:
        """The same, as whoever may only see `namespace` may know it: of a budget that others share, too, it has the
        sums, but no name that was never spent under here. The namespace that the config is in may see all."""
        found = self.standing(config, budget, namespace)
        if found is None or not budget.shared or config.partition("/")[0] == namespace:
            return found
        account = self.shards[shard_of(namespace)].accounts.get(AccountKey(config, budget.name, namespace))
        own = account.current(budget, self._clock.now()) if account is not None else None
        keys = Ranking(MOST_KEYS)
        keys.merge(found.keys.of(place.key) for place in (own.keys if own is not None else ()))
        return replace(found, keys=keys, ranks=dict(own.ranks) if own is not None else {})

    def standings(self, config: str = "") -> Iterator[Standing]:
        """Of all budgets, or of those that one config wrote, wherever something was counted, and in the namespaces of
        their configs.
        """
        written = self._written()
        for each in [config] if config else list(written):
            for budget in written.get(each, ()):
                namespaces = {each.partition("/")[0]}
                if budget.shared:
                    namespaces = {""}
                else:
                    namespaces |= {account.key.namespace for account in self._accounts(each, budget.name)}
                for namespace in sorted(namespaces):
                    found = self.standing(each, budget, namespace)
                    if found is not None:
                        yield found

    def accounts(self) -> Iterator[Account]:
        """All there are."""
        for index in self.open:
            yield from self.shards[index].accounts.values()

    def sweep(self) -> None:
        """Forget what nobody speaks of any more. An account of a budget that is written stays, however quiet it is."""
        now, written = self._clock.now(), self._written()
        known = {(config, budget.name): budget for config, budgets in written.items() for budget in budgets}
        for config, name in known:
            for account in self._accounts(config, name):
                account.last = now
        self._shared.keep({key for key, budget in known.items() if budget.shared})
        for index in self.open:
            self.shards[index].sweep(now)
