"""What this sidecar's calls of models have cost since the operator has it for good: rows that become statements.

The operator adds up what a budget has left from what sidecars state. So that nothing is counted twice or lost, a
statement has a number, is sealed once, never changes, and is repeated until the operator has stored it:

    note ─▶ rows ─ dump ─▶ sealed, on its way to disk ─ written ─▶ statements() ─ stored ─▶ forgotten

`dump` goes into the meter's checkpoint together with the place in the log that the rows were counted up to. A
statement is told only after that checkpoint is on disk: a sidecar that is killed comes back with it as it was
told, and counts again only what no statement has. Rows carry the quarter of an hour in which their spans ended: days
begin at full, half or quarter hours of UTC everywhere, and the operator knows the time zones.

Pure but for its clock. Keys have bounds, amounts do not: what has no row of its own is in one whose names are `other`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

QUARTER = 900
"""Seconds."""
OLDEST = 86_400.0
"""Seconds; what ended longer ago than that, or ends in the future, counts as of now."""
AHEAD = 300.0
"""Seconds by which a span may end in the future: clocks differ."""
MOST_ROWS = 1000
"""Rows that are counted at once."""
MOST_STATED = 200
"""Rows of one statement that have names; the dearest."""
MOST_CONVERSATIONS, CONVERSATIONS_STATED = 1000, 50
MOST_NANO, MOST_COUNTED = 10**9 * 10**9, 1 << 48
"""What a row may say: a billion dollars, and so many tokens or calls. The operator takes no statement with more, and
what spans say of their cost may be anything."""
OTHER = "other"
LONGEST = 128
"""Bytes of a name in UTF-8."""
FORMAT = 1

Names = tuple[int, str, str, str, str, str]
"""Quarter of an hour since 1970, agent, model, user, project, environment."""


class SpendRow(NamedTuple):
    """What calls cost that ended in one quarter of an hour."""

    quarter: int
    """Since 1970-01-01 UTC."""
    agent: str
    model: str
    user: str
    project: str
    nano: int
    """Billionths of a dollar."""
    tokens: int
    unpriced: int
    """Calls without a known price."""
    environment: str = ""


class ConversationSpend(NamedTuple):
    """One of the dearest conversations of a statement; its costs are in the rows, too."""

    id: str
    agent: str
    nano: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Statement:
    """What was counted between two checkpoints. Never changes."""

    log_id: str
    """Whose statements are numbered together."""
    number: int
    """From 1, one more than that of the statement before."""
    rows: tuple[SpendRow, ...]
    conversations: tuple[ConversationSpend, ...]
    missed: int
    """Spans that were not looked at, so that they are in no row."""


class Spend:
    """Owned by the meter. Not thread-safe."""

    def __init__(self, log_id: str, now: Callable[[], float]) -> None:
        """`log_id` must be new for each meter that begins without an earlier dump, 16 random bytes in hex say: numbers
        begin at 1 then, and the operator does not count a number twice. `load` replaces it. `now`: Unix time."""
        self.log_id = log_id
        self._now = now
        self._number = 0
        """Of the last statement that was sealed."""
        self._rows: dict[Names, list[int]] = {}
        self._conversations: dict[tuple[str, str], list[int]] = {}
        self._missed = 0
        self._sealed: list[Statement] = []
        """Two at most: the second is the last of a process that ends."""
        self._on_disk = 0
        """How many of them."""
        self.wanted = True
        """Whether anybody asks what is spent. Else nothing is noted."""

    def note(
        self,
        at: float,
        agent: str,
        model: str,
        user: str,
        project: str,
        conversation: str,
        nano: int,
        tokens: int,
        unpriced: int,
        environment: str = "",
    ) -> None:
        """A call of a model that ended `at` (Unix time) has cost `nano` billionths of a dollar; with an unknown price
        that is 0, and `unpriced` is 1. Names may be empty."""
        if not self.wanted:
            return
        now = self._now()
        quarter = int((at if now - OLDEST <= at <= now + AHEAD else now) // QUARTER)
        key = quarter, agent, model, user, project, environment
        row = self._rows.get(key) or self._row(quarter, *map(_cut, (agent, model, user, project, environment)))
        row[0] += nano
        row[1] += tokens
        row[2] += unpriced
        if conversation and nano:
            self._note_conversation(_cut(conversation), _cut(agent), nano, tokens)

    def missed(self, spans: int) -> None:
        """So many spans were passed over: what they have cost nobody knows."""
        self._missed += spans

    def dump(self, *, last: bool = False) -> bytes:
        """All of it, for a checkpoint. Seals what was counted, unless an earlier statement is not stored yet; with
        `last`, when the process ends, even then."""
        if (self._rows or self._missed) and len(self._sealed) < (2 if last else 1):
            self._seal()
        return json.dumps(
            {
                "format": FORMAT,
                "log": self.log_id,
                "number": self._number,
                "sealed": [[each.rows, each.conversations, each.missed] for each in self._sealed],
                "rows": self._without_environments(),
                "by_environment": [[*key[:5], *row, key[5]] for key, row in self._rows.items()],
                "conversations": [[*key, *row] for key, row in self._conversations.items()],
                "missed": self._missed,
            },
            separators=(",", ":"),
            ensure_ascii=False,
        ).encode("utf-8", "replace")

    def written(self) -> None:
        """The last dump, and the place in the log that it was made at, are on disk: what it has sealed may be told.
        Not called after a checkpoint that failed; the next one that is written will do."""
        self._on_disk = len(self._sealed)

    def load(self, dump: bytes) -> None:
        """Go on from a dump that was on disk. Raises ValueError, and is as it was before, for what is none."""
        try:
            told = json.loads(dump)
            if told["format"] != FORMAT:
                raise ValueError(f"its format is {told['format']}, not {FORMAT}")
            rows = {_names(row): [int(each) for each in row[5:8]] for row in told.get("by_environment", told["rows"])}
            conversations = {(str(row[0]), str(row[1])): [int(row[2]), int(row[3])] for row in told["conversations"]}
            log_id, number, missed = str(told["log"]), int(told["number"]), int(told["missed"])
            first = number - len(told["sealed"]) + 1
            sealed = [_statement(log_id, first + index, *each) for index, each in enumerate(told["sealed"])]
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise ValueError(f"what was spent cannot be read: {error}") from None
        self.log_id, self._number, self._missed = log_id, number, missed
        self._rows, self._conversations = rows, conversations
        self._sealed, self._on_disk = sealed, len(sealed)

    def statements(self) -> tuple[Statement, ...]:
        """What the operator is to be told now, in this order, again and again; none while there is nothing."""
        return tuple(self._sealed[: self._on_disk])

    def stored(self, log_id: str, number: int) -> None:
        """The operator has that statement for good. Any other is passed over."""
        if log_id == self.log_id and self._on_disk and number == self._sealed[0].number:
            del self._sealed[0]
            self._on_disk -= 1

    @property
    def pending(self) -> bool:
        """Whether something is counted that the operator has not for good."""
        return bool(self._rows or self._missed or self._sealed)

    @property
    def untold(self) -> bool:
        """Whether something is counted that is in no statement which may be told."""
        return bool(self._rows or self._missed or len(self._sealed) > self._on_disk)

    def _row(self, quarter: int, agent: str, model: str, user: str, project: str, environment: str) -> list[int]:
        """Where that is counted: where there is no more room, with fewer names."""
        for key in (
            (quarter, agent, model, user, project, environment),
            (quarter, agent, model, OTHER, project, environment),
            (quarter, OTHER, OTHER, OTHER, OTHER, OTHER),
        ):
            row = self._rows.get(key)
            if row is not None:
                return row
            if len(self._rows) < MOST_ROWS:
                break
        return self._rows.setdefault(key, [0, 0, 0])

    def _without_environments(self) -> list[list[object]]:
        """Rows as the version before takes them, which knows no environments: of two rows with the same names it would
        take the last alone."""
        found: dict[tuple[object, ...], list[int]] = {}
        for key, row in self._rows.items():
            rest = found.setdefault(key[:5], [0, 0, 0])
            rest[:] = [mine + more for mine, more in zip(rest, row, strict=True)]
        return [[*key, *row] for key, row in found.items()]

    def _note_conversation(self, conversation: str, agent: str, nano: int, tokens: int) -> None:
        found = self._conversations.setdefault((conversation, agent), [0, 0])
        found[0] += nano
        found[1] += tokens
        if len(self._conversations) > MOST_CONVERSATIONS:
            dearest = sorted(self._conversations.items(), key=lambda item: -item[1][0])
            self._conversations = dict(dearest[: MOST_CONVERSATIONS // 2])

    def _seal(self) -> None:
        dearest = sorted(self._rows.items(), key=lambda item: (-item[1][0], -item[1][1], item[0]))
        rows = dict(dearest[:MOST_STATED])
        for (quarter, *_), row in dearest[MOST_STATED:]:
            rest = rows.setdefault((quarter, OTHER, OTHER, OTHER, OTHER, OTHER), [0, 0, 0])
            rest[:] = [mine + more for mine, more in zip(rest, row, strict=True)]
        talks = sorted(self._conversations.items(), key=lambda item: (-item[1][0], item[0]))[:CONVERSATIONS_STATED]
        self._number += 1
        self._sealed.append(
            Statement(
                self.log_id,
                self._number,
                tuple(_row(key, row) for key, row in rows.items()),
                tuple(_talk(*key, *row) for key, row in talks),
                self._missed,
            )
        )
        self._rows, self._conversations, self._missed = {}, {}, 0


def _names(row: list[object]) -> Names:
    quarter, agent, model, user, project = row[:5]
    # What an earlier version has written has no environment.
    return int(str(quarter)), str(agent), str(model), str(user), str(project), str(row[8]) if len(row) > 8 else ""


def _statement(log_id: str, number: int, rows: list[list[object]], talks: list[list[object]], missed: int) -> Statement:
    return Statement(
        log_id,
        number,
        tuple(_row(_names(row), [int(str(each)) for each in row[5:8]]) for row in rows),
        tuple(_talk(str(a), str(b), int(str(c)), int(str(d))) for a, b, c, d in talks),
        missed,
    )


def _row(names: Names, numbers: list[int]) -> SpendRow:
    nano, tokens, unpriced = numbers
    return SpendRow(*names[:5], min(nano, MOST_NANO), min(tokens, MOST_COUNTED), min(unpriced, MOST_COUNTED), names[5])


def _talk(conversation: str, agent: str, nano: int, tokens: int) -> ConversationSpend:
    return ConversationSpend(conversation, agent, min(nano, MOST_NANO), min(tokens, MOST_COUNTED))


def _cut(name: str) -> str:
    """At most so many bytes, of whole characters, that every reader takes."""
    data = name.encode("utf-8", "replace")
    return data[:LONGEST].decode("utf-8", "ignore") if len(data) > LONGEST else data.decode()
