"""When metrics are pushed, and what is said when that fails."""

from __future__ import annotations

import asyncio
import socket

import pytest

from log_harness import ManualClock
from push_rig import POD, http_server, page, udp_server
from tracekeeper_sidecar.admin.snapshot import PushFacts
from tracekeeper_sidecar.push.pushers import Pushers, make_target
from tracekeeper_spec.metering import Push, PushOtlp, PushType, StatsD
from waiting import until


def push(port: int, name: str = "jobs", interval: float = 60.0) -> Push:
    return Push(name, PushType.OTLP, interval, otlp=PushOtlp(f"http://127.0.0.1:{port}"))


def pushers(clock: ManualClock) -> Pushers:
    return Pushers(page, clock, lambda: 0.5)


async def test_it_is_pushed_at_every_interval_and_at_the_end() -> None:
    clock = ManualClock()
    with http_server() as server:
        pushing = pushers(clock)
        await pushing.follow((push(server.port),), POD)
        for times in (1, 2):
            await clock.asleep(1)
            assert len(server.requests) == times - 1
            clock.advance(60)
            await until(lambda times=times: len(server.requests) == times)  # type: ignore[misc]
        await clock.asleep(1)
        assert pushing.facts == (PushFacts("jobs", 2, 0, clock.time),)
        await pushing.end()
        assert len(server.requests) == 3
        assert not pushing.facts


async def test_a_push_that_stays_goes_on_and_one_that_goes_ends() -> None:
    clock = ManualClock()
    with http_server() as server:
        pushing = pushers(clock)
        await pushing.follow((push(server.port), push(server.port, "other")), POD)
        await clock.asleep(2)
        clock.advance(60)
        await until(lambda: len(server.requests) == 2)
        await clock.asleep(2)
        await pushing.follow((push(server.port),), POD)
        assert [each.name for each in pushing.facts] == ["jobs"]
        assert pushing.facts[0].sent == 1
        await pushing.close()


async def test_a_failure_is_told_until_it_works_again() -> None:
    clock = ManualClock()
    with http_server() as server:
        server.status = 500
        pushing = pushers(clock)
        await pushing.follow((push(server.port),), POD)
        await clock.asleep(1)
        clock.advance(60)
        await until(lambda: pushing.facts[0].failed)
        assert "answers 500" in pushing.facts[0].problem
        server.status = 200
        await clock.asleep(1)
        clock.advance(60)
        await until(lambda: pushing.facts[0].sent)
        assert pushing.facts[0].problem == ""
        await pushing.close()


@pytest.mark.parametrize("silent", [False, True], ids=["nobody listens", "nobody answers"])
async def test_a_place_that_does_not_answer_holds_nobody_up(silent: bool) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        if silent:
            listening.listen()
        pushing = Pushers(page, ManualClock(), lambda: 0.5, last_push=0.05)
        await pushing.follow((push(listening.getsockname()[1]),), POD)
        await asyncio.wait_for(pushing.end(), 30)


@pytest.mark.parametrize("host", ["a..b", "x" * 70 + ".svc"])
async def test_a_name_that_cannot_be_looked_up_breaks_off_no_end(host: str) -> None:
    clock = ManualClock()
    pushing = pushers(clock)
    await pushing.follow((Push("dog", PushType.STATSD, 60.0, statsd=StatsD(f"{host}:8125")),), POD)
    await clock.asleep(1)
    clock.advance(60)
    await until(lambda: [facts.failed for facts in pushing.facts] == [1])
    assert "is no name of a host" in pushing.facts[0].problem
    await pushing.end()
    assert not pushing.facts


async def test_a_push_whose_interval_was_changed_has_sent_what_was_sent() -> None:
    clock = ManualClock()
    with udp_server() as (port, taken):
        pushing = pushers(clock)
        for interval in (60.0, 20.0):
            push = Push("dog", PushType.STATSD, interval, statsd=StatsD(f"127.0.0.1:{port}"))
            await pushing.follow((push,), POD)
            await clock.asleep(1)
            clock.advance(interval)
            await until(lambda: [facts.sent for facts in pushing.facts] == [1])
        await pushing.end()
        await until(lambda: b"".join(taken).count(b"log_bytes") == 3)
        assert b"".join(taken).count(b"tracekeeper_requests_total") == 1


def test_a_push_without_its_place_is_refused() -> None:
    with pytest.raises(ValueError, match="push jobs names no place for type StatsD"):
        make_target(Push("jobs", PushType.STATSD, 60.0), POD, ManualClock())
