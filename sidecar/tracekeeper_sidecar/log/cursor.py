"""Where each delivery entry stands, and its ledger, on disk.

A cursor is saved before anything it has passed is released, so a crash leads to sending again, never to skipping.
When both slots of a cursor are damaged the entry starts again from the beginning of the log, and says so.
"""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from tracekeeper_sidecar.errors import LogUnavailable
from tracekeeper_sidecar.ledger import Account, Intake
from tracekeeper_sidecar.log.files import Files
from tracekeeper_sidecar.log.slots import BLOCK, SLOTS, Slots
from tracekeeper_sidecar.model import Position

logger = logging.getLogger(__name__)

Runs: TypeAlias = tuple[tuple[int, int], ...]

MAX_RUNS = 1024
_RESERVED = 16 << 10
"""Bytes for each slot of a cursor: enough for MAX_RUNS runs of usual sizes."""
_ENTRY = re.compile(r"[a-z0-9]([-a-z0-9.]{0,198}[a-z0-9])?")
_PREFIX = "cursor."
_INTAKE = "intake"


@dataclass(frozen=True, slots=True)
class Cursor:
    """A delivery entry's place in the log, and what it did with the spans before it."""

    position: Position
    """Every span before it is settled."""
    account: Account = field(default_factory=Account)
    acked: Runs = ()
    """Spans behind `position` that are settled all the same: runs of (offset from position.seq, length), in order,
    with gaps between them, at most MAX_RUNS."""
    removed: float = 0.0
    """Unix time at which the entry left the configuration: a tombstone, which keeps its account and pins nothing. 0
    for an entry that is in use."""

    @property
    def reach(self) -> int:
        """Spans in front of the newest that is settled, and it: so many the log has had at least."""
        if not self.acked:
            return self.position.seq
        offset, length = self.acked[-1]
        return self.position.seq + offset + length


class CursorStore:
    """Cursors and the intake's ledger in one data directory.

    Methods block for one or two syncs; different entries may be saved from different threads at once, one entry only
    from one at a time.
    """

    def __init__(self, directory: str, files: Files) -> None:
        self._directory, self._files = directory, files
        self._slots: dict[str, Slots] = {}
        self.damaged: list[str] = []
        """One text for each file that was found damaged."""

    def names(self) -> list[str]:
        """Entries that have a cursor on disk, sound or not, sorted. Raises LogUnavailable."""
        try:
            listed = self._files.listdir(self._directory)
        except FileNotFoundError:
            return []
        except OSError as fault:
            raise _unavailable(self._directory, "list", fault) from fault
        stems = {name[:-2] for name in listed if name.startswith(_PREFIX) and name[-2:] in _ENDINGS}
        return sorted(stem.removeprefix(_PREFIX) for stem in stems if _ENTRY.fullmatch(stem[len(_PREFIX) :]))

    def load(self, entry: str) -> Cursor | None:
        """The cursor last saved or noted, now durable; None if there is none, or (reported) if both slots are damaged.

        Raises LogUnavailable when the files cannot be read at all, or what was read cannot be synced.
        """
        stem = self._stem(entry)
        cursor = self.peek(entry)
        try:
            self._slots[stem].settle()
        except OSError as fault:
            raise _unavailable(f"{self._directory}/{stem}", "sync", fault) from fault
        return cursor

    def peek(self, entry: str) -> Cursor | None:
        """As `load`, without changing anything: what was only noted may not survive a loss of power."""
        found = self._load(self._stem(entry))
        if found is None:
            return None
        try:
            return Cursor(
                Position(*_integers(found["position"], 3)),
                _account(found["account"]),
                _runs(found.get("acked", [])),
                _time(found.get("removed", 0)),
            )
        except (KeyError, TypeError, ValueError) as fault:
            self._report(f"cursor of {entry!r} in {self._directory} is not understood ({fault!r})")
            return None

    def save(self, entry: str, cursor: Cursor) -> None:
        """Return when the cursor would survive a loss of power. Raises LogUnavailable; the previous one then stands."""
        self._save(self._stem(entry), _fields_of(cursor))

    def note(self, entry: str, cursor: Cursor) -> None:
        """Between saves: return when the cursor would survive the end of this process. Costs no sync.

        Spares a restart most of what it would send again. Never a reason to release anything. Raises LogUnavailable.
        """
        try:
            self._slot(self._stem(entry)).note(_serialise(_fields_of(cursor)))
        except OSError as fault:
            raise _unavailable(f"{self._directory}/{self._stem(entry)}", "write", fault) from fault

    def remove(self, entry: str) -> None:
        """Forget an entry; no error if it has no cursor. Raises LogUnavailable."""
        stem = self._stem(entry)
        try:
            self._slot(stem).remove()
        except OSError as fault:
            raise _unavailable(f"{self._directory}/{stem}", "remove", fault) from fault
        del self._slots[stem]

    def load_intake(self) -> Intake | None:
        """The intake's ledger last saved; None if there is none or it is damaged. Raises LogUnavailable."""
        found = self._load(_INTAKE)
        if found is None:
            return None
        try:
            return Intake(
                refused=_counter(found["refused"]),
                suspended=_integers([found["suspended"]], 1)[0],
                refused_requests=_counter(found["refused_requests"]),
                filtered=_counter(found.get("filtered", {})),
            )
        except (KeyError, TypeError, ValueError) as fault:
            self._report(f"intake ledger in {self._directory} is not understood ({fault!r})")
            return None

    def save_intake(self, intake: Intake) -> None:
        """Return when the intake's ledger would survive a loss of power. Raises LogUnavailable."""
        self._save(
            _INTAKE,
            {
                "refused": dict(intake.refused),
                "suspended": intake.suspended,
                "refused_requests": dict(intake.refused_requests),
                "filtered": dict(intake.filtered),
            },
        )

    def _stem(self, entry: str) -> str:
        if not _ENTRY.fullmatch(entry):
            raise ValueError(f"delivery entry {entry!r}: not a DNS-like name")
        return _PREFIX + entry

    def _slot(self, stem: str) -> Slots:
        if stem not in self._slots:
            slots = self._make(stem)
            slots.load()
            # What was found newest may never have been synced; the next save overwrites the other copy.
            slots.settle()
            self._slots[stem] = slots
        return self._slots[stem]

    def _make(self, stem: str) -> Slots:
        return Slots(self._directory, stem, self._files, _RESERVED if stem.startswith(_PREFIX) else BLOCK)

    def _load(self, stem: str) -> dict[str, Any] | None:
        slots = self._make(stem)
        try:
            body = slots.load()
        except OSError as fault:
            raise _unavailable(f"{self._directory}/{stem}", "read", fault) from fault
        self._slots[stem] = slots
        for path in slots.damaged:
            consequence = "the other copy is used" if body is not None else "it starts again from the oldest span"
            self._report(f"{path} is damaged: {consequence}; spans may be sent twice, none is skipped")
        if body is None:
            return None
        try:
            found = json.loads(body)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            self._report(f"{self._directory}/{stem} does not hold a JSON object: it starts again")
            return None
        return found

    def _save(self, stem: str, value: Mapping[str, object]) -> None:
        try:
            self._slot(stem).save(_serialise(value))
        except OSError as fault:
            raise _unavailable(f"{self._directory}/{stem}", "write", fault) from fault

    def _report(self, text: str) -> None:
        self.damaged.append(text)
        logger.error("%s", text)


def _serialise(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _fields_of(cursor: Cursor) -> dict[str, object]:
    place, account = cursor.position, cursor.account
    fields: dict[str, object] = {
        "position": [place.segment, place.offset, place.seq],
        "account": {
            "start": account.start,
            "delivered": dict(account.delivered),
            "dropped": dict(account.dropped),
            "sampled_out": dict(account.sampled_out),
            "unmatched": account.unmatched,
            "redelivered": dict(account.redelivered),
        },
    }
    if cursor.acked:
        _runs(list(cursor.acked))  # What could not be loaded again must not be saved.
        fields["acked"] = cursor.acked
    if cursor.removed:
        fields["removed"] = cursor.removed
    return fields


_ENDINGS = tuple(f".{slot}" for slot in SLOTS)


def is_ours(name: str) -> bool:
    """True for the names that this module gives to files."""
    return name[-2:] in _ENDINGS and (name[:-2] == _INTAKE or name.startswith(_PREFIX))


def _unavailable(path: str, verb: str, fault: OSError) -> LogUnavailable:
    return LogUnavailable(f"cannot {verb} {path}: {fault.strerror or fault}")


def _integers(values: Any, count: int) -> list[int]:
    if not isinstance(values, list) or len(values) != count:
        raise ValueError(f"expected {count} integers, found {values!r}")
    for value in values:
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise ValueError(f"expected an integer of at least 0, found {value!r}")
    return values


def _runs(values: Any) -> Runs:
    if not isinstance(values, list) or len(values) > MAX_RUNS:
        raise ValueError(f"expected at most {MAX_RUNS} runs, found {values!r}")
    runs, end = [], -1
    for value in values:
        offset, length = _integers(list(value), 2)
        if offset <= end or not length:
            raise ValueError(f"expected runs in order with gaps between them, found {values!r}")
        runs.append((offset, length))
        end = offset + length
    return tuple(runs)


def _time(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or value < 0:
        raise ValueError(f"expected a time, found {value!r}")
    return float(value)


def _counter(values: Any) -> Counter[str]:
    if not isinstance(values, dict):
        raise ValueError(f"expected counts by name, found {values!r}")
    _integers(list(values.values()), len(values))
    return Counter(values)


def _account(found: Any) -> Account:
    return Account(
        start=_integers([found["start"]], 1)[0],
        delivered=_counter(found["delivered"]),
        dropped=_counter(found["dropped"]),
        sampled_out=_counter(found.get("sampled_out", {})),
        unmatched=_integers([found.get("unmatched", 0)], 1)[0],
        redelivered=_counter(found.get("redelivered", {})),
    )
