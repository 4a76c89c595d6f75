"""What other pods keep reaches entries that are sampled, wherever they and their config are at that moment."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from forward_support.rig import backend
from forward_support.routed import NOTHING_KEPT, Routed, routed, sampling
from forward_support.servers import GrpcBackend, Serve
from tracekeeper_sidecar.clock import SystemClock
from tracekeeper_sidecar.coordination import KeptBatch
from traces_to_sample import trace
from waiting import until

NOWHERE = "http://127.0.0.1:9"
ALL = [{"name": "a", "backends": ["a"], "spans": "All"}]
SAMPLED = [{"name": "a", "backends": ["a"]}]


@pytest.fixture
async def server(serve: Serve) -> GrpcBackend:
    return await serve(GrpcBackend())


@pytest.fixture
def chance() -> random.Random:
    return random.Random(11)


def tell(rig: Routed, *traces: Sequence[Span]) -> None:
    """Another pod keeps these."""
    assert rig.routes.kept is not None
    ids = b"".join(spans[0].trace_id for spans in traces)
    rig.routes.kept.stage.coordinator.on_kept(KeptBatch("errors", 0, False, SystemClock().now(), ids))


async def decided(rig: Routed) -> None:
    await until(lambda: rig.routes.stage and not rig.routes.stage.undecided, "all is decided")


def ids(*traces: Sequence[Span]) -> list[str]:
    return sorted(span.span_id.hex() for spans in traces for span in spans)


async def rescued(rig: Routed, spans: int, entry: str = "a") -> None:
    await until(lambda: rig.entry(entry).account.redelivered["rescue"] == spans, "it is rescued")


async def test_what_was_left_out_is_sent_and_what_comes_later_follows(
    tmp_path: Path, server: GrpcBackend, chance: random.Random
) -> None:
    async with routed(tmp_path) as rig:
        await rig.apply(backend("a", server.endpoint), sampling=sampling())
        good, bad, other = trace(chance, 6), trace(chance, error=True), trace(chance)
        await rig.put(good[:4], bad, other)
        await rig.settled()
        tell(rig, good, bad, trace(chance))
        await rescued(rig, 4)
        await rig.put(good[4:])
        await rig.settled()
        assert sorted(server.taken.ids) == ids(good, bad)
        account = rig.entry("a").account
        assert (account.delivered["a"], account.sampled_out["default"]) == (6, 8)
    async with routed(tmp_path) as rig:
        await rig.apply(backend("a", server.endpoint), sampling=sampling())
        assert rig.entry("a").account.redelivered == {"rescue": 4}


async def test_an_entry_gets_nothing_again_that_it_had_before_it_was_sampled(
    tmp_path: Path, server: GrpcBackend, chance: random.Random
) -> None:
    async with routed(tmp_path) as rig:
        await rig.apply(backend("a", server.endpoint), delivery=ALL, sampling=sampling())
        one = trace(chance, 6)
        await rig.put(one[:3])
        await rig.settled()
        await rig.apply(backend("a", server.endpoint), delivery=SAMPLED, sampling=sampling())
        await rig.put(one[3:])
        await rig.settled()
        await decided(rig)
        tell(rig, one)
        await rescued(rig, 3)
        assert sorted(server.taken.ids) == ids(one)


async def test_an_entry_that_is_still_to_move_gets_what_it_will_not_find_there(
    tmp_path: Path, server: GrpcBackend, chance: random.Random
) -> None:
    async with routed(tmp_path) as rig:
        await rig.apply(backend("a", NOWHERE), delivery=ALL, sampling=sampling())
        one = trace(chance, 6)
        await rig.put(one[:3])
        await rig.apply(backend("a", NOWHERE), delivery=SAMPLED, sampling=sampling())
        assert rig.routes.moving == {"a"}
        await rig.put(one[3:])
        await decided(rig)
        tell(rig, one)
        await rig.apply(backend("a", server.endpoint), delivery=SAMPLED, sampling=sampling())
        await rig.settled()
        await rescued(rig, 3)
        assert sorted(server.taken.ids) == ids(one)


async def test_an_entry_that_takes_all_spans_again_gets_each_once(
    tmp_path: Path, server: GrpcBackend, chance: random.Random
) -> None:
    async with routed(tmp_path) as rig:
        await rig.apply(backend("a", server.endpoint), delivery=SAMPLED, sampling=sampling())
        one = trace(chance, 6)
        await rig.put(one[:3])
        await decided(rig)
        both = [*SAMPLED, {"name": "b", "backends": ["a"]}]
        await rig.apply(backend("a", server.endpoint), delivery=both, sampling=sampling())
        await rig.put(one[3:5])
        await decided(rig)
        tell(rig, one)
        await rescued(rig, 5)
        await rescued(rig, 2, "b")
        whole = [{**one, "spans": "All"} for one in both]
        await rig.apply(backend("a", server.endpoint), delivery=whole, sampling=sampling())
        await rig.put(one[5:])
        await until(lambda: rig.routes.stage is None, "nothing is sampled any more")
        await rig.settled()
        assert sorted(server.taken.ids) == sorted([*ids(one), *ids(one[3:])])


async def test_draining_brings_what_waits_to_a_backend(
    tmp_path: Path, server: GrpcBackend, chance: random.Random
) -> None:
    one = trace(chance)
    async with routed(tmp_path) as rig:
        await rig.apply(backend("a", server.endpoint), sampling=sampling())
        await rig.put(one)
        await rig.settled()
        tell(rig, one)
        assert not any((await rig.routes.drain(30.0)).values())
        assert sorted(server.taken.ids) == ids(one)
    async with routed(tmp_path) as rig:
        await rig.apply(backend("a", server.endpoint), sampling=sampling())
        assert rig.entry("a").account.redelivered == {"rescue": 4}


async def test_draining_does_not_wait_for_a_backend_that_is_down(tmp_path: Path, chance: random.Random) -> None:
    async with routed(tmp_path) as rig:
        forced = backend("a", NOWHERE, circuitBreaker={"state": "ForcedOpen"})
        await rig.apply(forced, sampling=sampling())
        one = trace(chance)
        await rig.put(one)
        await rig.settled()
        tell(rig, one)
        await until(lambda: rig.routes.rescue and rig.routes.rescue.waiting == {"a": 1}, "it waits")
        async with asyncio.timeout(30):
            await rig.routes.drain(600.0)


async def test_several_requests_of_a_trace_are_sent_while_more_of_it_come(
    tmp_path: Path, server: GrpcBackend, chance: random.Random
) -> None:
    """Told in the middle: each span is either rescued or kept, whenever it came."""
    async with routed(tmp_path) as rig:
        await rig.apply(backend("a", server.endpoint), sampling=sampling(default=NOTHING_KEPT))
        traces = [trace(chance, 10) for _ in range(60)]
        for at in range(0, 10, 2):
            for spans in traces:
                await rig.put(spans[at : at + 2])
            for spans in traces[6 * at : 6 * at + 12]:
                tell(rig, spans)
        await rig.settled()
        await until(lambda: len(server.taken.ids) >= 600, "all of them are there")
        await until(
            lambda: rig.entry("a").account.redelivered["rescue"] + rig.entry("a").account.delivered["a"] == 600,
            "all of it is booked",
        )
        assert sorted(server.taken.ids) == ids(*traces)
