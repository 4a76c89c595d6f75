"""Where delivery entries stand when they begin. Pure.

Where a new entry begins decides whether spans are lost when a config changes:

    from: Oldest                        the oldest span on disk; or where an entry of this name once stopped, if that
                                        is still there
    no entry was ever there             the log's begin: everything acknowledged before the first policy is sent
    entries were there, and all stay    the log's end: what is older has had its own entries
    entries were there, and some go     the earliest place that those who go had reached: renaming a backend, or
                                        replacing it, loses nothing
    its cursor on disk is damaged       the log's begin: sent again rather than skipped
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tracekeeper_sidecar.ledger import Account
from tracekeeper_sidecar.log.cursor import Cursor
from tracekeeper_sidecar.model import Position


def place(
    wanted: Sequence[tuple[str, bool]],
    known: Mapping[str, Cursor | None],
    former: Mapping[str, Cursor],
    begin: Position,
    end: Position,
    others: bool = False,
) -> dict[str, Cursor]:
    """The cursor of every wanted entry: of each its name, and whether it is to begin with the oldest span.

    `known` holds all entries that run or have a cursor on disk: None where that cannot be read. `former` holds those
    that were removed. `begin` and `end` are the log's. `others` says that there were entries on another log.
    """
    names = {name for name, _ in wanted}
    gone = [_within(cursor, begin, end).position for name, cursor in known.items() if name not in names]
    # What lies before the log's begin is settled, or lost to those that had it: nothing that a new entry could miss.
    fresh = max(begin, min(gone)) if gone else end if known or others else begin
    placed: dict[str, Cursor] = {}
    for name, oldest in wanted:
        if name in known:
            placed[name] = _within(known[name], begin, end)
        else:
            placed[name] = _resumed(former.get(name), begin, end) if oldest else _at(fresh)
    return placed


def _within(cursor: Cursor | None, begin: Position, end: Position) -> Cursor:
    """A cursor ahead of the log (the log was lost, or set aside) has nothing to skip: it waits at the end."""
    if cursor is None:
        return _at(begin)
    ahead = cursor.acked[-1][0] + cursor.acked[-1][1] if cursor.acked else 0
    return _at(end) if cursor.position.seq + ahead > end.seq else cursor


def _resumed(cursor: Cursor | None, begin: Position, end: Position) -> Cursor:
    """Where a former entry stopped, as far as the log reaches back. Its account starts anew: what came meanwhile, and
    is no longer there, was never its to deliver."""
    if cursor is None or not begin <= cursor.position <= end:
        return _at(begin)
    settled = sum(length for _, length in cursor.acked)
    return Cursor(cursor.position, Account(start=cursor.position.seq + settled), cursor.acked)


def _at(start: Position) -> Cursor:
    """A new cursor. An account stays closed: what an earlier one had settled before is no longer claimed."""
    return Cursor(start, Account(start=start.seq))
