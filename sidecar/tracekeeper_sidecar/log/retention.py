"""What the log deletes and how much it may write: decisions only, no files.

The quota is in bytes over every file in the data directory: segments with what is preallocated in them, cursors,
files that were set aside, and files that are not ours. Only whole segments that every cursor has passed are ever
deleted.
"""

from __future__ import annotations

from collections.abc import Sequence

from tracekeeper_sidecar.log.record import HEADER_SIZE
from tracekeeper_sidecar.log.segment import DATA_START, Segment

BLOCK = 4096
"""Bytes; sizes of segments are whole blocks, because that is what volumes charge for."""
MIN_SEGMENT = 4 * BLOCK
MAX_SEGMENT = 32 << 20
"""Bytes. Larger ones only make deletion coarser: rotating every 32 MiB costs under 1 % of the time."""
MIN_QUOTA = 16 * BLOCK
"""Bytes. Below this the cursors alone would not leave room for spans."""


def segment_size_for(quota: int) -> int:
    """Bytes per segment: a sixteenth of the quota, so that deletion frees room in small steps, within bounds."""
    return max(MIN_SEGMENT, min(MAX_SEGMENT, _whole_blocks(quota // 16)))


def reserve_for(quota: int) -> int:
    """Bytes that segments leave free, so that a full log can still save its cursors."""
    return min(256 << 10, _whole_blocks(quota // 8))


def largest_payload(quota: int) -> int:
    """Bytes of the largest payload that could be stored in an otherwise empty log."""
    return _whole_blocks(quota - reserve_for(quota)) - DATA_START - HEADER_SIZE


def next_segment_size(frame: int, segment_size: int, quota: int, used: int) -> int | None:
    """How large the next segment may be so that `frame` bytes fit into it; None when there is no room.

    Normally `segment_size`; larger for one frame that exceeds it; smaller when that is all the quota leaves.
    """
    least = _blocks_up(DATA_START + frame)
    free = _whole_blocks(quota - reserve_for(quota) - used)
    if free < max(least, MIN_SEGMENT):
        return None
    return min(free, max(segment_size, least))


def smallest_segment_size(frame: int) -> int:
    """What to try when the volume refuses the usual size."""
    return max(MIN_SEGMENT, _blocks_up(DATA_START + frame))


def releasable(segments: Sequence[Segment], released_seq: int) -> int:
    """How many segments from the front may be deleted, given that everything before `released_seq` is settled.

    Never the last one: it is being written, or it is what a restart learns the next number from.
    """
    count = 0
    while count + 1 < len(segments) and segments[count + 1].base <= released_seq:
        count += 1
    return count


def _whole_blocks(size: int) -> int:
    return max(0, size) // BLOCK * BLOCK


def _blocks_up(size: int) -> int:
    return -(-size // BLOCK) * BLOCK
