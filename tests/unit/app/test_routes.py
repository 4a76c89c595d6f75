"""Which log entries read, and how they move from one to the other: whatever fails, changes or ends meanwhile."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from forward_support.rig import backend
from forward_support.routed import FaultyFiles, Routed, routed, sampling
from forward_support.servers import GrpcBackend, Serve
from log_harness import append_at_last
from tracekeeper_sidecar.errors import LogUnavailable
from tracekeeper_sidecar.log.segment import SUFFIX
from traces_to_sample import request_of, trace
from waiting import attempted, until

NOWHERE = "http://127.0.0.1:9"
ALL = [{"name": "a", "backends": ["a"], "spans": "All"}]
SAMPLED = [{"name": "a", "backends": ["a"]}]


@pytest.fixture
async def server(serve: Serve) -> GrpcBackend:
    return await serve(GrpcBackend())


@pytest.fixture
def chance() -> random.Random:
    return random.Random(7)


def _request(spans: Sequence[Span]) -> tuple[bytes, int]:
    return request_of(spans), len(spans)


def sampled(rig: Routed, on: bool) -> bool:
    return (rig.routes.stage is not None) == on


def ids(*traces: Sequence[Span]) -> set[str]:
    return {span.span_id.hex() for spans in traces for span in spans}


async def test_an_entry_moves_both_ways_and_gets_every_span_once(
    tmp_path: Path, server: GrpcBackend, chance: random.Random
) -> None:
    whole, kept = [], []
    async with routed(tmp_path) as rig:
        for on in (False, True, False, True):
            await rig.apply(backend("a", server.endpoint), delivery=SAMPLED if on else ALL, sampling=sampling())
            await until(partial(sampled, rig, on), "sampling is on, or off")
            await until(lambda: not rig.routes.moving, "every entry is where it is to be")
            good, bad = trace(chance), trace(chance, error=True)
            await rig.put(good, bad)
            whole += [] if on else [good]
            kept += [bad]
            await rig.settled()
        account = rig.entry("a").account
        assert (account.start, account.delivered["a"], account.sampled_out["default"]) == (0, 24, 8)
    assert set(server.taken.ids) == ids(*whole, *kept)
    assert len(server.taken.ids) == 24


@pytest.mark.parametrize("target", ["All", "Sampled"])
async def test_a_restart_in_the_middle_of_a_move_loses_nothing(
    tmp_path: Path, server: GrpcBackend, chance: random.Random, target: str
) -> None:
    bad = [trace(chance, error=True) for _ in range(6)]
    first, then = (ALL, SAMPLED) if target == "Sampled" else (SAMPLED, ALL)
    async with routed(tmp_path) as rig:
        await rig.apply(backend("a", NOWHERE), delivery=first, sampling=sampling())
        await rig.put(*bad[:2])
        await rig.apply(backend("a", NOWHERE), delivery=then, sampling=sampling())
        await rig.put(*bad[2:4])
        assert rig.routes.moving == {"a"}
    async with routed(tmp_path) as rig:
        await rig.apply(backend("a", NOWHERE), delivery=then, sampling=sampling())
        await rig.put(*bad[4:])
        await rig.apply(backend("a", server.endpoint), delivery=then, sampling=sampling())
        await rig.settled()
        await until(lambda: not rig.routes.moving, "it is where it is to be")
        assert rig.entry("a").account.delivered == {"a": 24}
    assert set(server.taken.ids) == ids(*bad)


async def test_an_entry_that_goes_while_it_moves_holds_up_nothing(
    tmp_path: Path, server: GrpcBackend, chance: random.Random
) -> None:
    async with routed(tmp_path) as rig:
        await rig.apply(backend("a", NOWHERE), delivery=SAMPLED, sampling=sampling())
        await rig.put(trace(chance, error=True))
        await rig.apply(backend("a", NOWHERE), delivery=ALL, sampling=sampling())
        assert rig.routes.moving == {"a"}
        await rig.apply(
            backend("b", server.endpoint), delivery=[{"name": "b", "backends": ["b"], "spans": "All"}], sampling=None
        )
        await until(lambda: rig.routes.stage is None, "sampling has ended")
        # And when it comes back it begins anew.
        await rig.apply(backend("a", server.endpoint), delivery=SAMPLED, sampling=sampling())
        await rig.put(trace(chance, error=True))
        await rig.settled()


async def test_an_entry_goes_on_when_the_disk_fails_in_the_middle_of_its_move(
    tmp_path: Path, server: GrpcBackend, chance: random.Random
) -> None:
    async with routed(tmp_path) as rig:
        await rig.apply(backend("a", server.endpoint), delivery=ALL)
        await rig.put(trace(chance))
        await rig.settled()
        seen: list[str] = []

        def broken(operation: str, path: str) -> bool:
            """The old cursor cannot be removed; nor, for a while, anything be listed."""
            hit = len(seen) < 3 and (bool(seen) or (operation, path[:-2]) == ("unlink", f"{tmp_path}/cursor.a"))
            seen.extend([path] * hit)
            return hit

        rig.files.broken = broken
        await rig.apply(backend("a", server.endpoint), delivery=SAMPLED, sampling=sampling())
        bad = trace(chance, error=True)
        await rig.put(bad)
        await until(lambda: len(seen) >= 3, "the disk has failed")
        await until(lambda: [entry.name for entry in rig.routes.entries()] == ["a"], "the entry is there")
        await rig.settled()
    assert ids(bad) <= set(server.taken.ids)


async def test_a_kept_log_that_cannot_be_opened_is_tried_again(
    tmp_path: Path, server: GrpcBackend, chance: random.Random
) -> None:
    files = FaultyFiles()
    async with routed(tmp_path, files=files) as rig:
        await rig.apply(backend("a", server.endpoint), delivery=SAMPLED, sampling=sampling())
        await rig.put(*(trace(chance, error=True) for _ in range(3)))
        await rig.settled()
    async with routed(tmp_path, files=files) as rig:
        opened = 0

        def broken(operation: str, path: str) -> bool:
            """It can be opened, but not be read afterwards to find where sampling goes on."""
            nonlocal opened
            opened += (operation, os.path.dirname(path)) == ("open", f"{tmp_path}/kept") and path.endswith(SUFFIX)
            return opened > 2 and "/kept/" in path

        files.broken = broken
        with pytest.raises(LogUnavailable):
            await rig.apply(backend("a", server.endpoint), delivery=SAMPLED, sampling=sampling())
        files.broken = lambda operation, path: False
        await rig.apply(backend("a", server.endpoint), delivery=SAMPLED, sampling=sampling())
        await rig.put(trace(chance, error=True))
        await rig.settled()


async def test_flush_waits_for_entries_that_move(tmp_path: Path, server: GrpcBackend, chance: random.Random) -> None:
    """As an adopted folder is delivered, too: nobody but `flush` moves its entries."""
    for on in (False, True, False):
        async with routed(tmp_path, moves=False) as rig:
            await rig.apply(backend("a", server.endpoint), delivery=SAMPLED, sampling=None if on else sampling())
            await rig.put(trace(chance, error=True), trace(chance))
            await rig.apply(backend("a", server.endpoint), delivery=SAMPLED, sampling=sampling() if on else None)
            await rig.put(trace(chance, error=True), trace(chance))
            assert await rig.routes.flush(rig.log.end, 30.0)
            assert not rig.routes.pending() and not rig.routes.moving


async def test_a_flush_that_ends_does_not_end_another(
    tmp_path: Path, server: GrpcBackend, chance: random.Random
) -> None:
    async with routed(tmp_path) as rig:
        await rig.apply(backend("a", server.endpoint), delivery=SAMPLED, sampling=sampling(wait="1h"))
        await rig.put(trace(chance)[:3])
        quick = asyncio.create_task(rig.routes.flush(rig.log.end, 0.0))
        assert await rig.routes.flush(rig.log.end, 30.0)
        await quick


async def test_draining_ends_when_nothing_can_be_delivered(tmp_path: Path, chance: random.Random) -> None:
    """The kept log is full, so that sampling waits, and the only backend is down."""
    async with routed(tmp_path, quota=2 << 20) as rig:
        await rig.apply(backend("a", NOWHERE, circuitBreaker={"state": "ForcedOpen"}), sampling=sampling())
        bad = [trace(chance, 50, error=True, state="v=" + "x" * 200) for _ in range(400)]
        for spans in bad:
            if await rig.offer(*_request(spans)) is not None:
                break
        await until(lambda: any("sampling waits" in text for text in rig.routes.troubles()), "the kept log is full")
        async with asyncio.timeout(20):
            left = await rig.routes.drain(120.0)
        assert sum(left.values()) == rig.log.end.seq


async def test_what_makes_way_while_an_entry_moves_is_dropped_once(
    tmp_path: Path, server: GrpcBackend, chance: random.Random
) -> None:
    """Pressure on the log asks the entry to give up more than what it still has to read of it."""
    buffer = {"whenFull": "DropOldest"}
    async with routed(tmp_path, quota=2 << 20) as rig:
        await rig.apply(backend("a", NOWHERE), delivery=ALL, buffer=buffer)
        await rig.put(trace(chance, 20))
        # Nothing is decided for an hour: the log fills up behind the place up to which the entry reads it.
        await rig.apply(backend("a", NOWHERE), delivery=SAMPLED, sampling=sampling(wait="1h"), buffer=buffer)
        until_there = rig.log.end.seq

        async def has_made_way() -> int:
            # Each may be refused, while room is being made.
            await rig.offer(*_request(trace(chance, 50, error=True, state="v=" + "x" * 200)[:49]))
            return rig.entry("a").account.dropped["buffer_full"]

        await attempted(has_made_way, "it has made way")
        assert rig.entry("a").account.dropped == {"buffer_full": until_there}
        rig.check()
        await rig.apply(backend("a", server.endpoint), delivery=SAMPLED, sampling=sampling(), buffer=buffer)
        await rig.settled()


async def test_what_an_interrupted_end_of_sampling_has_left_is_removed(
    tmp_path: Path, server: GrpcBackend, chance: random.Random
) -> None:
    files = FaultyFiles()
    async with routed(tmp_path, files=files) as rig:
        await rig.apply(backend("a", server.endpoint), delivery=SAMPLED, sampling=sampling())
        await rig.put(trace(chance, error=True))
        await rig.settled()
        folder = f"{tmp_path}/kept/"
        files.broken = lambda operation, path: (
            operation == "unlink" and path.startswith(folder) and path.endswith(SUFFIX)
        )
        await rig.apply(backend("a", server.endpoint), delivery=SAMPLED)
        await until(lambda: rig.routes.stage is None, "sampling has ended")
        await rig.settled()
    assert list((tmp_path / "kept").iterdir())
    async with routed(tmp_path) as rig:
        await rig.apply(backend("a", server.endpoint), delivery=SAMPLED)
        await until(lambda: not list((tmp_path / "kept").iterdir()), "nothing is left")


async def test_nothing_is_sampled_where_every_entry_takes_all_spans(tmp_path: Path, server: GrpcBackend) -> None:
    async with routed(tmp_path) as rig:
        await rig.apply(backend("a", server.endpoint), delivery=ALL, sampling=sampling())
        assert rig.routes.stage is None


async def test_a_new_entry_beside_sampled_ones_begins_now(
    tmp_path: Path, server: GrpcBackend, chance: random.Random
) -> None:
    async with routed(tmp_path) as rig:
        await rig.apply(backend("a", server.endpoint), sampling=sampling())
        await rig.put(trace(chance), trace(chance))
        await rig.settled()
        both = [*SAMPLED, {"name": "audit", "backends": ["a"], "spans": "All"}]
        await rig.apply(backend("a", server.endpoint), delivery=both, sampling=sampling())
        assert rig.entry("audit").account.start == 8
        late = trace(chance)
        await rig.put(late)
        await rig.settled()
    assert set(server.taken.ids) == ids(late)


@pytest.mark.parametrize("on", [False, True])
async def test_an_entry_that_is_renamed_while_sampling_changes_loses_nothing(
    tmp_path: Path, server: GrpcBackend, chance: random.Random, on: bool
) -> None:
    """Its heir begins where it stands, in the log in which it stands."""
    bad = trace(chance, error=True)
    async with routed(tmp_path) as rig:
        await rig.apply(backend("old", NOWHERE), sampling=None if on else sampling())
        await rig.put(bad)
        await rig.apply(backend("new", server.endpoint), sampling=sampling() if on else None)
        await rig.settled()
    assert set(server.taken.ids) == ids(bad)


async def test_the_log_takes_spans_when_traces_wait_longer_than_it_can_hold(
    tmp_path: Path, server: GrpcBackend, chance: random.Random
) -> None:
    """A spike costs fidelity, never availability: traces are decided before their time."""
    async with routed(tmp_path, quota=2 << 20) as rig:
        await rig.apply(backend("a", server.endpoint), delivery=SAMPLED, sampling=sampling(wait="1h"))
        stored = size = 0
        while size < 4 << 20:
            body, spans = _request(trace(chance, 50, state="v=" + "x" * 200)[:49])
            await append_at_last(rig.log, body, spans)
            stored, size = stored + spans, size + len(body)
        assert await rig.routes.flush(rig.log.end, 30.0)
        assert rig.entry("a").account.sampled_out == {"default": stored}


async def test_what_an_entry_that_comes_back_holds_up_makes_way(tmp_path: Path, chance: random.Random) -> None:
    buffer = {"whenFull": "DropOldest"}
    async with routed(tmp_path, quota=2 << 20) as rig:
        await rig.apply(backend("a", NOWHERE), delivery=SAMPLED, sampling=sampling(), buffer=buffer)
        await rig.put(trace(chance, error=True))
        await until(lambda: rig.routes.stage and not rig.routes.stage.undecided, "it is kept")
        await rig.apply(backend("a", NOWHERE), delivery=ALL, sampling=sampling(), buffer=buffer)
        for _ in range(400):
            await append_at_last(rig.log, *_request(trace(chance, 50, state="v=" + "x" * 200)[:49]))
        assert rig.entry("a").account.dropped["buffer_full"]
        rig.check()


async def test_an_entry_is_seen_all_the_time(tmp_path: Path, server: GrpcBackend, chance: random.Random) -> None:
    """Metrics must not lose its counters, nor a flush its spans, while it is between the logs."""
    missed: list[None] = []
    async with routed(tmp_path) as rig:

        async def look() -> None:
            while True:
                missed.extend([None] * (len(rig.routes.entries()) != 1))
                await asyncio.sleep(0)

        await rig.apply(backend("a", server.endpoint), delivery=ALL)
        looking = asyncio.create_task(look())
        for number in range(6):
            await rig.put(trace(chance))
            await rig.apply(backend("a", server.endpoint), sampling=sampling() if number % 2 else None)
            await until(lambda: not rig.routes.moving, "it has moved")
        looking.cancel()
        await asyncio.wait((looking,))
    assert not missed


async def test_before_the_first_config_comes_a_kept_log_has_its_room(
    tmp_path: Path, server: GrpcBackend, chance: random.Random
) -> None:
    async with routed(tmp_path, quota=2 << 20) as rig:
        await rig.apply(backend("a", NOWHERE), sampling=sampling())
        await rig.put(trace(chance, error=True))
        await until(lambda: rig.routes.stage and not rig.routes.stage.undecided, "it is kept")
    async with routed(tmp_path, quota=2 << 20) as rig:
        assert rig.log.stats().quota == 1 << 20
        await rig.apply(backend("a", server.endpoint))
        await until(lambda: rig.log.stats().quota == 2 << 20, "sampling has ended")
        await rig.settled()
    assert len(server.taken.ids) == 4
