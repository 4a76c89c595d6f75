"""Where delivery entries stand when they begin. Pure; the rules are in `forwarder`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tracekeeper_sidecar.model import Position


def first_positions(
    wanted: Sequence[str], known: Mapping[str, Position | None], begin: Position, end: Position
) -> dict[str, Position]:
    """The place of every wanted entry.

    `known` holds all entries that run or have a cursor on disk: its place, or None where that cannot be read.
    """
    places = {name: _within(place, begin, end) for name, place in known.items()}
    gone = [place for name, place in places.items() if name not in wanted]
    # What lies before the log's begin is settled, or lost to those that had it: nothing that a new entry could miss.
    fresh = max(begin, min(gone)) if gone else end if places else begin
    return {name: places.get(name, fresh) for name in wanted}


def _within(place: Position | None, begin: Position, end: Position) -> Position:
    """A cursor ahead of the log (the log was lost, or set aside) has nothing to skip: it waits at the end."""
    if place is None:
        return begin
    return end if place.seq > end.seq else place
