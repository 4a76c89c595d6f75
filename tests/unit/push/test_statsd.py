"""What a StatsD server hears: what was added, once."""

from __future__ import annotations

import asyncio
import threading

import pytest

from log_harness import ManualClock
from push_rig import POD, Watched, page, udp_server
from tracekeeper_sidecar.errors import PushFailed
from tracekeeper_sidecar.meter.reading import Reading
from tracekeeper_sidecar.metrics import SPANS_DROPPED
from tracekeeper_sidecar.push.page import Page
from tracekeeper_sidecar.push.statsd import DATAGRAM, PAUSE, StatsdTarget, packed
from waiting import until

TAGS = "namespace:shop,pod:job-1,alerts:shop/agents,service:shop,agent:a_b"
NOTHING = Page(0.0, (), None)


async def heard(taken: list[bytes], least: int) -> list[str]:
    """The lines of what has come, once there are so many."""
    await until(lambda: sum(one.count(b"\n") + 1 for one in taken) >= least, lambda: repr(taken))
    lines = b"\n".join(taken).decode().splitlines()
    taken.clear()
    return lines


async def test_counters_are_sent_as_what_was_added() -> None:
    with udp_server() as (port, taken):
        pushing = StatsdTarget("127.0.0.1", port, "our.", POD, ManualClock())
        pushing.begin(NOTHING)
        await pushing.push(page(requests=3, dropped=2), 10)
        assert await heard(taken, 6) == [
            "our.tracekeeper_spans_dropped_total:2|c|#namespace:shop,pod:job-1,delivery:primary,reason:refused",
            "our.tracekeeper_log_bytes:4096|g|#namespace:shop,pod:job-1",
            f"our.tracekeeper_requests_total:3|c|#{TAGS},status:ok",
            f"our.tracekeeper_request_duration_seconds_count:3|c|#{TAGS}",
            f"our.tracekeeper_request_duration_seconds_sum:0.003|c|#{TAGS}",
            f"our.tracekeeper_request_calls_highest:147|g|#{TAGS}",
        ]
        await pushing.push(page(requests=5, dropped=2), 10)
        assert await heard(taken, 5) == [
            "our.tracekeeper_log_bytes:4096|g|#namespace:shop,pod:job-1",
            f"our.tracekeeper_requests_total:2|c|#{TAGS},status:ok",
            f"our.tracekeeper_request_duration_seconds_count:2|c|#{TAGS}",
            f"our.tracekeeper_request_duration_seconds_sum:0.002|c|#{TAGS}",
            f"our.tracekeeper_request_calls_highest:147|g|#{TAGS}",
        ]


async def test_what_a_restart_has_brought_back_is_not_sent_again() -> None:
    with udp_server() as (port, taken):
        pushing = StatsdTarget("127.0.0.1", port, "", POD, ManualClock())
        pushing.begin(page(requests=3, born=0, dropped=2))
        await pushing.push(page(requests=4, born=0, dropped=2), 10)
        counted = [line for line in await heard(taken, 5) if "|c|" in line]
        assert counted[0] == f"tracekeeper_requests_total:1|c|#{TAGS},status:ok"
        assert len(counted) == 3


async def test_what_was_sent_with_other_settings_is_not_sent_again() -> None:
    with udp_server() as (port, taken):
        pushing = StatsdTarget("127.0.0.1", port, "other.", POD, ManualClock())
        pushing.begin(page(requests=3), again=True)
        await pushing.push(page(requests=4), 10)
        assert f"other.tracekeeper_requests_total:1|c|#{TAGS},status:ok" in await heard(taken, 5)


async def test_a_push_that_is_broken_off_has_sent_what_it_has_sent() -> None:
    clock = ManualClock()
    many = Page(0.0, ((SPANS_DROPPED, [((f"entry-{number}", "refused"), 1.0) for number in range(900)]),), None)
    with udp_server() as (port, taken):
        pushing = StatsdTarget("127.0.0.1", port, "", POD, clock)
        pushing.begin(NOTHING)
        first = asyncio.create_task(pushing.push(many, 10))
        await clock.asleep(1)
        first.cancel()
        await asyncio.wait((first,))
        second = asyncio.create_task(pushing.push(many, 10))
        while not second.done():
            clock.advance(PAUSE)
            await asyncio.sleep(0)
        await second
        assert len(set(await heard(taken, 900))) == 900


async def test_rows_are_looked_at_in_a_thread_alone() -> None:
    """There are thousands, and spans are received meanwhile."""
    found = page().reading
    assert found is not None
    with udp_server() as (port, taken):
        pushing = StatsdTarget("127.0.0.1", port, "", POD, ManualClock())
        watched = [Watched(found), Watched(found)]
        pushing.begin(Page(0.0, (), Reading(watched[0])))
        await pushing.push(Page(0.0, (), Reading(watched[1])), 10)
        await heard(taken, 1)
    assert all(each.threads and threading.get_ident() not in each.threads for each in watched)


async def test_what_is_no_name_of_a_host_is_a_failure_as_others_are() -> None:
    pushing = StatsdTarget("a..b", 8125, "", POD, ManualClock())
    pushing.begin(NOTHING)
    with pytest.raises(PushFailed, match=r"a\.\.b is no name of a host"):
        await pushing.push(page(), 10)


async def test_what_is_brought_back_late_is_not_sent_again_either() -> None:
    with udp_server() as (port, taken):
        pushing = StatsdTarget("127.0.0.1", port, "", POD, ManualClock())
        pushing.begin(Page(0.0, page().own, None))
        await pushing.push(page(requests=3, born=0), 10)
        assert not [line for line in await heard(taken, 2) if "|c|" in line]


async def test_what_was_born_before_the_first_look_is_sent() -> None:
    with udp_server() as (port, taken):
        pushing = StatsdTarget("127.0.0.1", port, "", POD, ManualClock())
        pushing.begin(page(requests=3, born=1))
        await pushing.push(page(requests=3, born=1), 10)
        assert f"tracekeeper_requests_total:3|c|#{TAGS},status:ok" in await heard(taken, 5)


async def test_what_was_not_sent_is_sent_later() -> None:
    with udp_server() as (port, taken):
        pushing = StatsdTarget("127.0.0.1", port, "", POD, ManualClock())
        pushing.begin(NOTHING)
        pushing._host = "no such host"
        with pytest.raises(PushFailed, match="cannot be reached"):
            await pushing.push(page(requests=3), 10)
        pushing._host = "127.0.0.1"
        await pushing.push(page(requests=4), 10)
        assert f"tracekeeper_requests_total:4|c|#{TAGS},status:ok" in await heard(taken, 6)


def test_datagrams_hold_whole_lines_and_fit_into_packets() -> None:
    lines = [b"x" * (place * 37 % 500 + 1) for place in range(100)]
    datagrams = [sent for sent, _ in packed((line, None) for line in [*lines, b"y" * 2000, b"z"])]
    assert b"\n".join(datagrams).split(b"\n") == [*lines, b"y" * 2000, b"z"]
    assert [len(one) for one in datagrams if len(one) > DATAGRAM] == [2000]
    assert len(datagrams) < 25
