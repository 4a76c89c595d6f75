"""All that is known of what was spent: eight shards, and the budgets that are in force. Owned by one event loop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from tracekeeper_spec.budget import Budget

from ..clock import Clock
from .account import MOST_KEYS, Account, AccountKey
from .ranking import Ranking
from .shard import SHARDS, Shard, Taken, Told, shard_of
from .standing import Standing, standing


class Written(Protocol):
    """Where the budgets are that configs wrote."""

    def __call__(self) -> Mapping[str, Sequence[Budget]]:
        """By `namespace/name` of the config."""


class Book:
    """Nothing is counted in a shard that is not open: what was saved of it is read first."""

    def __init__(self, written: Written, clock: Clock) -> None:
        self._written, self._clock = written, clock
        self.shards = tuple(Shard() for _ in range(SHARDS))
        self.open: set[int] = set()
        """Indices of shards that were read."""

    def take(self, told: Told, config: str, budgets: Sequence[Budget]) -> Taken:
        """Count a statement, if it is its turn."""
        index = shard_of(told.namespace)
        if index not in self.open:
            return Taken.EARLY
        return self.shards[index].take(told, config, budgets, self._clock.now())

    def is_stored(self, namespace: str, log_id: str, number: int) -> bool:
        """Whether that statement is counted for good."""
        mark = self.shards[shard_of(namespace)].marks.find(namespace, log_id)
        return mark is not None and number <= mark.stored

    def standing(self, config: str, budget: Budget, namespace: str) -> Standing | None:
        """How a budget that `config` wrote stands for pods of `namespace`; None while nothing is known."""
        now = self._clock.now()
        if budget.shared:
            if len(self.open) < SHARDS:
                return None
            accounts = [
                account
                for shard in self.shards
                for key, account in list(shard.accounts.items())
                if (key.config, key.budget) == (config, budget.name)
            ]
        else:
            index = shard_of(namespace)
            if index not in self.open:
                return None
            found = self.shards[index].open(AccountKey(config, budget.name, namespace), now)
            accounts = [] if found is None else [found]
        for account in accounts:
            account.follow(budget, now)
        return standing(config, "" if budget.shared else namespace, budget, accounts, now)

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

    def standings(self) -> Iterator[Standing]:
        """Of all budgets, wherever something was counted, and in the namespaces of their configs."""
        written = self._written()
        places: dict[tuple[str, str], set[str]] = {}
        for config, budgets in written.items():
            own = config.partition("/")[0]
            for budget in budgets:
                places[config, budget.name] = {own}
        for index in self.open:
            for key in self.shards[index].accounts:
                if (key.config, key.budget) in places:
                    places[key.config, key.budget].add(key.namespace)
        for (config, name), namespaces in places.items():
            budget = next(each for each in written[config] if each.name == name)
            for namespace in sorted(namespaces) if not budget.shared else [""]:
                found = self.standing(config, budget, namespace)
                if found is not None:
                    yield found

    def accounts(self) -> Iterator[Account]:
        """All there are."""
        for index in self.open:
            yield from self.shards[index].accounts.values()

    def sweep(self) -> None:
        """Forget what nobody speaks of any more."""
        for index in self.open:
            self.shards[index].sweep(self._clock.now())
