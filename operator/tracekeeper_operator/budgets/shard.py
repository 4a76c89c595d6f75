"""An eighth of the book: accounts and marks of some namespaces, which are saved together or not at all. Pure.

    {"format": 1, "leader": "…", "accounts": [{…}], "marks": [[id, number, minute], …]}, as JSON, compressed by zlib

It must fit into a ConfigMap. Where it does not, the cheapest keys of budgets with groups are left out until it does:
after a restart of the operator these begin at zero, but no total does.
"""

from __future__ import annotations

import heapq
import json
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from typing import Any

from tracekeeper_spec.budget import Budget

from .account import FEW_KEYS, MOST_KEYS, Account, AccountKey, Ledger, Row, Talk
from .marks import KEEP, Marks
from .ranking import Place, Ranking, rank

SHARDS = 8
FORMAT = 1
MOST_BYTES = 700_000
"""Of what is saved: a ConfigMap takes 1 MiB in base64, and the API server keeps notes of its own with it."""
MOST_INFLATED = 64 << 20
"""Bytes of JSON that are read."""
RANKS_SAVED = 20
"""Of each dimension."""
MOST_ACCOUNTS = 4000
"""In one shard. Beyond that statements wait that need a new one, and their budgets are unknown."""
MOST_OF_ONE = 200
"""Of one namespace. Accounts that were only looked at have half of this room, and of that above, and give way."""
REFUSED_FOR = 1800.0
"""Seconds for which it is known that a statement waits; its sidecar states it again before."""
CROWDED = 40_000
"""Keys in one shard, from which on periods that begin have few: 1,000 namespaces may have 1,000 users each."""
UNUSED = 7 * 86_400.0
"""Seconds after which an account goes that nobody has counted into or asked for."""


class Damaged(ValueError):
    """What was saved cannot be read; the text says why."""


class Taken(StrEnum):
    """What became of a statement."""

    COUNTED = "counted"
    REPEATED = "repeated"
    """Counted before."""
    EARLY = "early"
    """Not counted: something has to come before. It is told again."""
    FULL = "full"
    """Not counted: there is no room for an account. It is told again."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A shard as it was at one moment."""

    document: Mapping[str, Any]
    numbers: Mapping[bytes, int]
    """What is stored once this is written."""
    version: int


@dataclass(frozen=True, slots=True)
class Told:
    """A statement that was checked."""

    namespace: str
    """Of the pod."""
    log_id: str
    number: int
    stored: int
    """Of the last one that the sidecar knows to be stored."""
    rows: list[Row]
    talks: list[Talk]
    missed: int


def shard_of(namespace: str) -> int:
    """Where a namespace's accounts lie."""
    return blake2b(namespace.encode(), digest_size=1).digest()[0] % SHARDS


class Shard:
    """Changed by one task alone."""

    def __init__(self) -> None:
        self.accounts: dict[AccountKey, Account] = {}
        self._by_budget: dict[tuple[str, str], dict[str, Account]] = {}
        """By config and budget, then by namespace."""
        self._of_one: Counter[str] = Counter()
        """Accounts of each namespace."""
        self._refused: dict[str, dict[str, float]] = {}
        """When a statement was not counted last, by config and namespace."""
        self.marks = Marks()
        self.version = 0
        """Grows with each change."""
        self._keys = 0
        """Of all accounts, when it was saved last."""

    def take(self, told: Told, config: str, budgets: Sequence[Budget], now: float) -> Taken:
        """Count a statement against the budgets that `config` wrote."""
        mark = self.marks.find(told.namespace, told.log_id)
        if mark is not None and told.number <= mark.number:
            self.marks.note(told.namespace, told.log_id, told.number, now)
            return Taken.REPEATED
        if told.number != told.stored + 1 and (mark is None or told.number != mark.number + 1):
            return Taken.EARLY
        accounts = [self.open(AccountKey(config, budget.name, told.namespace), now) for budget in budgets]
        if None in accounts:
            self._refused.setdefault(config, {})[told.namespace] = now
            return Taken.FULL
        self._refused.get(config, {}).pop(told.namespace, None)
        self.marks.note(told.namespace, told.log_id, told.number, now)
        for budget, account in zip(budgets, accounts, strict=True):
            if account is not None:
                account.room = MOST_KEYS if self._keys < CROWDED else FEW_KEYS
                account.add(budget, told.rows, told.talks, told.missed, now)
        self.version += 1
        return Taken.COUNTED

    def refuses(self, config: str, namespace: str = "") -> int:
        """Of how many namespaces, or whether of that one, statements wait because there is no room."""
        found = self._refused.get(config, {})
        return int(namespace in found) if namespace else len(found)

    def of(self, config: str, budget: str) -> list[Account]:
        """All accounts of that budget."""
        return list(self._by_budget.get((config, budget), {}).values())

    def open(self, key: AccountKey, now: float) -> Account | None:
        """That account, to be counted into; None where there is no room."""
        found = self.accounts.get(key)
        if found is not None:
            return found
        if self._of_one[key.namespace] >= MOST_OF_ONE and not self._drop_unused(key.namespace):
            return None
        if len(self.accounts) >= MOST_ACCOUNTS and not self._drop_unused():
            return None
        return self._put(Account(key, now))

    def look(self, key: AccountKey, now: float) -> Account:
        """That account, as it is. It is remembered from when on it counts, where there is room to spare."""
        found = self.accounts.get(key)
        if found is not None:
            return found
        account = Account(key, now)
        if self._of_one[key.namespace] < MOST_OF_ONE // 2 and len(self.accounts) < MOST_ACCOUNTS // 2:
            self._put(account)
        return account

    def _put(self, account: Account) -> Account:
        key = account.key
        self.accounts[key] = account
        self._by_budget.setdefault((key.config, key.budget), {})[key.namespace] = account
        self._of_one[key.namespace] += 1
        self.version += 1
        return account

    def _drop(self, key: AccountKey) -> None:
        del self.accounts[key]
        found = self._by_budget[key.config, key.budget]
        del found[key.namespace]
        if not found:
            del self._by_budget[key.config, key.budget]
        self._of_one[key.namespace] -= 1
        if not self._of_one[key.namespace]:
            del self._of_one[key.namespace]
        self.version += 1

    def _drop_unused(self, namespace: str = "") -> bool:
        """Make room by an account into which nothing was ever counted."""
        for key, account in self.accounts.items():
            if namespace in ("", key.namespace) and not account.ledgers:
                self._drop(key)
                return True
        return False

    def sweep(self, now: float) -> None:
        """Forget what nobody speaks of any more."""
        self.marks.forget(now - KEEP)
        for key in [key for key, account in self.accounts.items() if account.last < now - UNUSED]:
            self._drop(key)
        for config, found in list(self._refused.items()):
            for namespace in [namespace for namespace, at in found.items() if at < now - REFUSED_FOR]:
                del found[namespace]
            if not found:
                del self._refused[config]

    def snapshot(self, leader: str) -> Snapshot:
        """What is to be saved. Later changes do not reach it."""
        accounts = [_account(account) for account in self.accounts.values()]
        self._keys = sum(len(ledger["keys"]) for account in accounts for ledger in account["ledgers"])
        document = {"format": FORMAT, "leader": leader, "accounts": accounts, "marks": self.marks.dump()}
        return Snapshot(document, self.marks.numbers(), self.version)

    def stored(self, snapshot: Snapshot) -> None:
        """It is saved."""
        self.marks.stored(dict(snapshot.numbers))

    def load(self, document: Mapping[str, Any]) -> None:
        """Go on from what was saved. Raises Damaged, and is as it was before then."""
        try:
            accounts = [_read_account(each) for each in document["accounts"]]
            marks = Marks()
            marks.load((str(key), int(number), int(minute)) for key, number, minute in document["marks"])
        except (KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
            raise Damaged(f"{type(error).__name__}: {error}") from None
        self.accounts, self._by_budget, self._of_one = {}, {}, Counter()
        for account in accounts:
            self._put(account)
        self.marks = marks
        self.version += 1


def encode(snapshot: Snapshot, most: int = MOST_BYTES) -> bytes:
    """The bytes to save, `most` at most. It takes a while: for a thread."""
    document = dict(snapshot.document)
    accounts = document["accounts"] = [_sorted(account) for account in document.get("accounts", ())]
    keys = MOST_KEYS
    while True:
        data = zlib.compress(json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode(errors="replace"))
        if len(data) <= most:
            return data
        if keys:
            keys //= 4
            document["accounts"] = [_trimmed(account, keys) for account in accounts]
        else:  # Nothing is left but totals and marks; who was heard of last is needed most.
            document["marks"] = document["marks"][len(document["marks"]) // 4 + 1 :]
            if not document["marks"]:
                document["accounts"] = document["accounts"][: len(document["accounts"]) * 3 // 4]


def decode(data: bytes) -> Mapping[str, Any]:
    """What `encode` made. Raises Damaged."""
    try:
        inflate = zlib.decompressobj()
        text = inflate.decompress(data, MOST_INFLATED)
        if not inflate.eof:
            raise Damaged("it ends too early, or is too large")
        document = json.loads(text)
    except (ValueError, zlib.error, RecursionError) as error:
        raise Damaged(str(error)) from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise Damaged("it has another format")
    return document


def _account(account: Account) -> dict[str, Any]:
    return {
        "key": list(account.key),
        "since": account.since,
        "last": account.last,
        "shape": list(account.shape),
        "fine": list(account.burn.fine.items()),
        "coarse": list(account.burn.coarse.items()),
        "ledgers": [_ledger(ledger) for ledger in account.ledgers.values()],
    }


def _ledger(ledger: Ledger) -> dict[str, Any]:
    """Sorted later, in a thread."""
    if ledger.saved is None:
        ledger.saved = {
            "span": [ledger.begins, ledger.ends],
            "sums": [ledger.nano, ledger.tokens, ledger.unpriced, ledger.missed],
            "told": ledger.told,
            "keys": ledger.keys.places(),
            "ranks": {name: ranking.places() for name, ranking in ledger.ranks.items()},
        }
    return ledger.saved


def _sorted(account: Mapping[str, Any]) -> dict[str, Any]:
    ledgers = [
        {
            **each,
            "keys": sorted(each["keys"], key=rank),
            "ranks": {name: heapq.nsmallest(RANKS_SAVED, found, key=rank) for name, found in each["ranks"].items()},
        }
        for each in account["ledgers"]
    ]
    return {**account, "ledgers": ledgers}


def _trimmed(account: Mapping[str, Any], keys: int) -> dict[str, Any]:
    ledgers = [{**each, "keys": each["keys"][:keys], "ranks": {}} for each in account["ledgers"]]
    return {**account, "ledgers": ledgers}


def _read_account(item: Mapping[str, Any]) -> Account:
    config, budget, namespace = (str(part) for part in item["key"])
    account = Account(AccountKey(config, budget, namespace), float(item["since"]))
    account.last = float(item["last"])
    account.shape = tuple(str(part) for part in item["shape"])
    account.burn.load(
        [(int(index), int(nano)) for index, nano in item["fine"]],
        [(int(index), int(nano)) for index, nano in item["coarse"]],
    )
    for each in item["ledgers"]:
        begins, ends = (float(part) for part in each["span"])
        nano, tokens, unpriced, missed = (int(part) for part in each["sums"])
        ledger = Ledger(begins, ends, nano, tokens, unpriced, missed, int(each.get("told", 0)))
        _fill(ledger.keys, each["keys"])
        for name, places in each["ranks"].items():
            ledger.ranks[str(name)] = ranking = Ranking(RANKS_SAVED * 5)
            _fill(ranking, places)
        account.ledgers[begins] = ledger
    return account


def _fill(ranking: Ranking, places: Sequence[Any]) -> None:
    ranking.merge(Place(tuple(str(part) for part in key), int(spent), int(error)) for key, spent, error in places)
