from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tracekeeper_sidecar.log import retention
from tracekeeper_sidecar.log.record import HEADER_SIZE
from tracekeeper_sidecar.log.retention import Limits
from tracekeeper_sidecar.log.segment import DATA_START, Segment

MIB = 1 << 20


def segments(*bases: int) -> list[Segment]:
    return [Segment(number + 1, base, 0.0, 4096) for number, base in enumerate(bases)]


def test_a_segment_goes_once_everything_before_the_next_one_is_settled() -> None:
    log = segments(0, 100, 200)
    assert retention.releasable(log, 0) == 0
    assert retention.releasable(log, 99) == 0
    assert retention.releasable(log, 100) == 1
    assert retention.releasable(log, 200) == 2


def test_the_newest_segment_never_goes() -> None:
    assert retention.releasable(segments(0, 100), 10**9) == 1
    assert retention.releasable(segments(0), 10**9) == 0
    assert retention.releasable([], 10**9) == 0


def test_segments_that_hold_nothing_go_with_the_ones_before() -> None:
    assert retention.releasable(segments(0, 50, 50, 50, 80), 50) == 3


@given(
    frame=st.integers(HEADER_SIZE, 4 * MIB),
    size=st.sampled_from([retention.MIN_SEGMENT, MIB, 32 * MIB]),
    quota=st.integers(retention.MIN_QUOTA, 64 * MIB),
    used=st.integers(0, 64 * MIB),
)
def test_what_is_planned_fits_the_frame_and_the_quota(frame: int, size: int, quota: int, used: int) -> None:
    planned = retention.next_segment_size(frame, Limits(quota, size), used)
    room = quota - retention.reserve_for(quota) - used
    if planned is None:
        assert room < DATA_START + frame + retention.BLOCK or room < retention.MIN_SEGMENT + retention.BLOCK
    else:
        assert planned % retention.BLOCK == 0
        assert planned >= DATA_START + frame
        assert planned <= room


def test_sizes_follow_the_quota_within_bounds() -> None:
    assert retention.segment_size_for(1 << 30) == 32 * MIB
    assert retention.segment_size_for(64 * MIB) == 4 * MIB
    assert retention.segment_size_for(retention.MIN_QUOTA) == retention.MIN_SEGMENT
    assert retention.next_segment_size(100, Limits(1 << 30, 32 * MIB), 0) == 32 * MIB
    assert retention.next_segment_size(50 * MIB, Limits(1 << 30, 32 * MIB), 0) == 50 * MIB + retention.BLOCK


def test_the_largest_payload_is_one_that_an_empty_log_has_room_for() -> None:
    for quota in (retention.MIN_QUOTA, MIB, 100 * MIB):
        largest = retention.largest_payload(quota)
        assert retention.next_segment_size(HEADER_SIZE + largest, Limits(quota, MIB), 0) is not None
        assert retention.next_segment_size(HEADER_SIZE + largest + 1, Limits(quota, MIB), 0) is None
