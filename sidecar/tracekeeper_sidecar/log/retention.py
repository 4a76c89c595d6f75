"""What the log deletes and how much it may write: decisions only, no files.

The quota is in bytes over every file in the data directory: segments with what is preallocated in them, cursors,
files that were set aside, and files that are not ours. Only whole segments that every guaranteed entry has passed are
ever deleted, the oldest first.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from tracekeeper_sidecar.log.record import HEADER_SIZE
from tracekeeper_sidecar.log.segment import DATA_START, Segment

BLOCK = 4096
"""Bytes; sizes of segments are whole blocks, because that is what volumes charge for."""
MIN_SEGMENT = 4 * BLOCK
MAX_SEGMENT = 32 << 20
"""Bytes. Larger ones only make deletion coarser: rotating every 32 MiB costs under 1 % of the time."""
MIN_QUOTA = 16 * BLOCK
"""Bytes. Below this the cursors alone would not leave room for spans."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much the log may hold. Bytes."""

    quota: int
    """Of everything in the data directory."""
    segment_size: int
    """Of a segment, unless one frame needs more or the quota leaves less."""
    history: int = 0
    """Of segments that every entry has passed."""
    memory: int = 0
    """Of the newest frames that stay in memory for readers."""


def segment_size_for(quota: int) -> int:
    """Bytes per segment: a sixteenth of the quota, so that deletion frees room in small steps, within bounds."""
    return max(MIN_SEGMENT, min(MAX_SEGMENT, _whole_blocks(quota // 16)))


def reserve_for(quota: int) -> int:
    """Bytes that segments leave free, so that a full log can still save its cursors."""
    return min(256 << 10, _whole_blocks(quota // 8))


def largest_payload(quota: int) -> int:
    """Bytes of the largest payload that could be stored in an otherwise empty log."""
    return _whole_blocks(quota - reserve_for(quota)) - DATA_START - HEADER_SIZE


def watermark_for(limits: Limits) -> int:
    """Bytes of room below which the log is under pressure: time to drop what may be dropped, before it is full."""
    return max(limits.quota // 8, 2 * limits.segment_size)


def next_segment_size(frame: int, limits: Limits, used: int) -> int | None:
    """How large the next segment may be so that `frame` bytes fit into it; None when there is no room.

    Normally `segment_size`; larger for one frame that exceeds it; smaller when that is all the quota leaves.
    """
    least = _blocks_up(DATA_START + frame)
    free = _whole_blocks(limits.quota - reserve_for(limits.quota) - used)
    if free < max(least, MIN_SEGMENT):
        return None
    return min(free, max(limits.segment_size, least))


def deletions_for(frame: int, limits: Limits, used: int, passed: Sequence[Segment]) -> tuple[int, int | None]:
    """How many segments of `passed` to delete for the next one, from the front, and how large that one may be.

    As few as make room for one of the usual size; none when not even all of them make room for `frame` bytes.
    """
    usual = max(limits.segment_size, _blocks_up(DATA_START + frame))
    for count in range(len(passed) + 1):
        if count:
            used -= passed[count - 1].end
        size = next_segment_size(frame, limits, used)
        if size == usual or (size is not None and count == len(passed)):
            return count, size
    return 0, None


def smallest_segment_size(frame: int) -> int:
    """What to try when the volume refuses the usual size."""
    return max(MIN_SEGMENT, _blocks_up(DATA_START + frame))


def releasable(segments: Sequence[Segment], released_seq: int) -> int:
    """How many segments from the front may be deleted, given that everything before `released_seq` is settled.

    Never the last one: it is being written, or it is what a restart learns the next number from.
    """
    # The first k go when the base of the one behind them is not beyond what is settled.
    return max(0, bisect_right(segments, released_seq, key=lambda segment: segment.base) - 1)


def over_history(segments: Sequence[Segment], preferred_seq: int, history: int) -> int:
    """How many segments from the front exceed `history` bytes, of those that lie wholly before `preferred_seq`."""
    passed = segments[: releasable(segments, preferred_seq)]
    size = sum(segment.end for segment in passed)
    for count, segment in enumerate(passed):
        if size <= history:
            return count
        size -= segment.end
    return len(passed)


def _whole_blocks(size: int) -> int:
    return max(0, size) // BLOCK * BLOCK


def _blocks_up(size: int) -> int:
    return -(-size // BLOCK) * BLOCK
