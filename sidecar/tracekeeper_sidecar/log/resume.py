"""Where sampling goes on in the log after a restart, by what the kept log holds."""

from __future__ import annotations

from tracekeeper_sidecar.log.decided import Decided, decode
from tracekeeper_sidecar.log.log import Log
from tracekeeper_sidecar.log.record import DECIDED
from tracekeeper_sidecar.model import Position


def last_decided(log: Log) -> Decided | None:
    """What the newest sound frame of a kept log says; None when there is none. Blocks while it reads a segment.

    Raises LogUnavailable, and ValueError when a later release has written it.
    """
    payload = log.newest(DECIDED)
    return None if payload is None else decode(payload)[0]


def resume(log: Log, kept: Log) -> Position:
    """Where sampling goes on in the first log after a restart: at the number at which the kept log ends. Blocks.

    That is where the newest frame says, unless the frame is gone (cursors, and what the log writes down when it lets
    its last segment go, know of numbers beyond) or the place is: it may lie at the beginning of a segment that a loss
    of power has taken before there was anything in it. Raises LogUnavailable.
    """
    try:
        last = last_decided(kept)
    except ValueError:
        last = None
    seq = kept.end.seq
    if last is not None and last.reached.seq == seq and log.holds(last.reached):
        return last.reached
    return log.locate(seq)
