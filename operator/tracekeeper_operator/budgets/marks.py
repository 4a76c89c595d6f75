"""Which statements are counted already: the last number of each log, by the namespace of its pods. Pure.

A log's id is 128 random bits that only its pods and the operator see, and it counts within its namespace alone; so
nobody can have somebody else's statements taken for counted. Of the id, 64 bits of its hash are kept.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b

KEEP = 48 * 3600.0
"""Seconds for which a log is known that nobody speaks of any more."""
MOST = 20_000
"""Logs in one shard; beyond that the one is forgotten that was not heard of for longest."""


@dataclass(slots=True)
class Mark:
    number: int
    """Of the last statement that is counted."""
    stored: int
    """Of the last that is counted for good."""
    heard: float
    """Unix time."""


class Marks:
    """Of one shard."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, Mark] = OrderedDict()
        """Who was heard of last comes last."""

    def __len__(self) -> int:
        return len(self._known)

    def find(self, namespace: str, log_id: str) -> Mark | None:
        return self._known.get(ident(namespace, log_id))

    def note(self, namespace: str, log_id: str, number: int, now: float) -> Mark:
        """That statement is counted."""
        key = ident(namespace, log_id)
        mark = self._known.get(key)
        if mark is None:
            mark = self._known[key] = Mark(0, 0, now)
        mark.number, mark.heard = max(mark.number, number), now
        self._known.move_to_end(key)
        while len(self._known) > MOST:
            self._known.popitem(last=False)
        return mark

    def forget(self, before: float) -> None:
        """Those that were not heard of since."""
        while self._known:
            key, mark = next(iter(self._known.items()))
            if mark.heard >= before:
                return
            del self._known[key]

    def dump(self) -> list[tuple[str, int, int]]:
        """Ids in hex, numbers, and the minutes since 1970 when they were heard of."""
        return [(key.hex(), mark.number, int(mark.heard // 60)) for key, mark in self._known.items()]

    def load(self, dumped: Iterator[tuple[str, int, int]]) -> None:
        """All of it was stored."""
        self._known.clear()
        for key, number, minute in dumped:
            self._known[bytes.fromhex(key)] = Mark(number, number, minute * 60.0)

    def numbers(self) -> dict[bytes, int]:
        """As they are now, to be given to `stored` once they are written."""
        return {key: mark.number for key, mark in self._known.items() if mark.number > mark.stored}

    def stored(self, numbers: dict[bytes, int]) -> None:
        """These are counted for good."""
        for key, number in numbers.items():
            mark = self._known.get(key)
            if mark is not None:
                mark.stored = max(mark.stored, number)


def ident(namespace: str, log_id: str) -> bytes:
    """Under which a log is known."""
    return blake2b(f"{namespace}\0{log_id}".encode(errors="replace"), digest_size=8).digest()
