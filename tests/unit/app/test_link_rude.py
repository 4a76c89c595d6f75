"""The sidecar's link against servers that misbehave: each time it ends the stream, says why, and attaches again."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from forward_support.raw_h2 import RawSide
from link_world import begun, framed, linked, say
from tracekeeper_proto.control.v1 import control_pb2 as pb
from tracekeeper_sidecar.clock import SystemClock
from tracekeeper_sidecar.control import attachment, link
from tracekeeper_sidecar.control.link import LARGEST_MESSAGE
from tracekeeper_sidecar.coordination import KeptBatch
from tracekeeper_sidecar.forward import h2_frames as h2
from tracekeeper_sidecar.forward import hpack
from waiting import turns, until

Handle = Callable[[RawSide], Awaitable[None]]
SHARE = pb.ToSidecar(share=pb.Share(traces_per_second=1, sidecars=1))


async def forever(side: RawSide) -> None:
    """Read, and say nothing more."""
    while await side.reader.read(65536):
        pass


async def problem_with(tmp_path: Path, behave: Handle) -> tuple[str, dict[str, int]]:
    """What is said of a server that behaves so when it is new, and well later on, and how often streams ended how."""
    problems: list[str] = []

    async def handle(side: RawSide, number: int) -> None:
        if number == 0:
            await behave(side)
        else:
            problems.append(world.problem)
            await side.greet()
            await begun(side)
            await forever(side)

    async with linked(tmp_path) as world, world.rude(handle) as rude:
        await until(lambda: rude.connections > 1 and world.hub.is_attached, "it attaches again")
        health = world.link.health()
        return problems[0], dict(health.attempts + health.ends)


async def attached(side: RawSide) -> int:
    await side.greet()
    return await begun(side)


async def half_message(side: RawSide) -> None:
    stream = await attached(side)
    side.data(stream, framed(SHARE.SerializeToString())[:-3], h2.END_STREAM)
    await forever(side)


async def half_frame(side: RawSide) -> None:
    await attached(side)
    side.writer.write(h2.head(100, h2.DATA, 0, 1) + bytes(50))
    await side.writer.drain()


async def reset(side: RawSide) -> None:
    stream = await attached(side)
    side.writer.write(h2.rst_stream(stream, h2.CANCEL))
    await forever(side)


async def refuse(side: RawSide) -> None:
    await side.greet()
    while (frame := await side.frame())[0] != h2.HEADERS:
        pass
    side.writer.write(h2.rst_stream(frame[2], h2.REFUSED_STREAM))
    await forever(side)


async def go_away(side: RawSide) -> None:
    """As a server does that lets streams end by themselves."""
    await attached(side)
    side.writer.write(h2.head(8, h2.GOAWAY, 0, 0) + h2.LARGEST_WINDOW.to_bytes(4, "big") + bytes(4))
    await forever(side)


async def huge(side: RawSide) -> None:
    stream = await attached(side)
    side.data(stream, b"\0" + (LARGEST_MESSAGE - 4).to_bytes(4, "big"))
    await forever(side)


async def compressed(side: RawSide) -> None:
    stream = await attached(side)
    side.data(stream, b"\1" + (3).to_bytes(4, "big") + b"abc")
    await forever(side)


async def garbage(side: RawSide) -> None:
    stream = await attached(side)
    side.data(stream, framed(b"\xff\xff\xff"))
    await forever(side)


async def torn_ids(side: RawSide) -> None:
    stream = await attached(side)
    kept = pb.Decisions(kept=[pb.Kept(rule="errors", decided=1, trace_ids=bytes(17))])
    say(side, stream, pb.ToSidecar(kept=kept))
    await forever(side)


async def no_ids(side: RawSide) -> None:
    stream = await attached(side)
    say(side, stream, pb.ToSidecar(kept=pb.Decisions(kept=[pb.Kept(rule="errors", decided=1)])))
    await forever(side)


async def odd_threshold(side: RawSide) -> None:
    stream = await attached(side)
    kept = pb.Decisions(kept=[pb.Kept(rule="x", threshold=(1 << 56) + 1, decided=1, trace_ids=bytes(16))])
    say(side, stream, pb.ToSidecar(kept=kept))
    await forever(side)


async def odd_time(side: RawSide) -> None:
    stream = await attached(side)
    kept = pb.Decisions(kept=[pb.Kept(rule="x", decided=math.nan, trace_ids=bytes(16))])
    say(side, stream, pb.ToSidecar(kept=kept))
    await forever(side)


async def old_protocol(side: RawSide) -> None:
    await side.reader.read(100)
    side.writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
    await forever(side)


async def page(side: RawSide) -> None:
    """What a proxy answers."""
    await side.greet()
    while (frame := await side.frame())[0] != h2.HEADERS:
        pass
    side.headers(frame[2], hpack.encode([(b":status", b"502"), (b"content-type", b"text/html")]))
    side.data(frame[2], b"<html>Bad Gateway")
    await forever(side)


async def status(side: RawSide) -> None:
    stream = await attached(side)
    trailers = [(b"grpc-status", b"14"), (b"grpc-message", b"moving house")]
    side.headers(stream, hpack.encode(trailers), h2.END_HEADERS | h2.END_STREAM)
    await forever(side)


async def leave(side: RawSide) -> None:
    await attached(side)


@pytest.mark.parametrize(
    ("behave", "says", "counts"),
    [
        (half_message, "ended the stream", {"ended": 1}),
        (half_frame, "connection was lost", {"ended": 1}),
        (reset, "HTTP/2 error 8", {"ended": 1}),
        (refuse, "refused the call", {"ended": 1}),
        (go_away, "shutting down", {"ended": 1}),
        (huge, f"a message of {LARGEST_MESSAGE - 4} bytes", {"broken": 1}),
        (compressed, "compressed", {"broken": 1}),
        (garbage, "no message to a sidecar", {"broken": 1}),
        (torn_ids, "17 bytes of trace ids", {"broken": 1}),
        (no_ids, "0 bytes of trace ids", {"broken": 1}),
        (odd_threshold, "threshold", {"broken": 1}),
        (odd_time, "nan", {"broken": 1}),
        (old_protocol, "does not speak HTTP/2", {"unreachable": 1}),
        (page, "502", {"ended": 1}),
        (status, "UNAVAILABLE: moving house", {"ended": 1}),
        (leave, "connection was lost", {"ended": 1}),
    ],
)
async def test_misbehaviour_is_named_and_survived(
    tmp_path: Path, behave: Handle, says: str, counts: dict[str, int]
) -> None:
    problem, found = await problem_with(tmp_path, behave)
    assert says in problem
    assert counts.items() <= found.items()


async def test_server_that_never_greets_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "CONNECT", 1.0)
    problem, found = await problem_with(tmp_path, forever)
    assert problem == "there was no connection within 1 s"
    assert found["unreachable"] >= 1


async def test_server_that_never_welcomes_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def mute(side: RawSide) -> None:
        await side.greet()
        await forever(side)

    monkeypatch.setattr(attachment, "WELCOME", 0.5)
    problem, _ = await problem_with(tmp_path, mute)
    assert problem == "it did not answer within 0.5 s"


async def test_server_that_falls_silent_is_pinged_and_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pings = 0

    async def silent(side: RawSide) -> None:
        nonlocal pings
        await attached(side)
        while True:
            kind, flags, _, _ = await side.frame()
            pings += kind == h2.PING and not flags & h2.ACK

    monkeypatch.setattr(attachment, "QUIET", 0.3)
    monkeypatch.setattr(attachment, "PATIENCE", 0.5)
    problem, _ = await problem_with(tmp_path, silent)
    assert "not even the answer to a ping" in problem
    assert pings == 1


async def test_answers_to_pings_keep_a_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pings = 0

    async def handle(side: RawSide, number: int) -> None:
        nonlocal pings
        await attached(side)
        while True:
            kind, flags, _, payload = await side.frame()
            if kind == h2.PING and not flags & h2.ACK:
                pings += 1
                side.writer.write(h2.head(8, h2.PING, h2.ACK, 0) + payload)

    monkeypatch.setattr(attachment, "QUIET", 0.05)
    async with linked(tmp_path) as world, world.rude(handle) as rude:
        await until(lambda: pings >= 10, "it was pinged")
        assert rude.connections == 1
        assert world.hub.attached == [True]


async def test_server_that_does_not_read_gets_little_and_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is to be told stays with sampling, where it has bounds."""
    room = 100_000
    read = 0

    async def handle(side: RawSide, number: int) -> None:
        nonlocal read
        await side.greet((h2.INITIAL_WINDOW, room))
        await begun(side)
        while True:
            kind, _, _, payload = await side.frame()
            read += len(payload) if kind == h2.DATA else 0
            if number == 0 and kind == h2.DATA:
                world.hub.keep(KeptBatch("errors", 0, False, 1.0, bytes(16 * 8192)))

    monkeypatch.setattr(attachment, "UNREAD", 1.0)
    async with linked(tmp_path) as world, world.rude(handle) as rude:
        await until(lambda: world.hub.is_attached, "it is attached")
        world.hub.keep(KeptBatch("errors", 0, False, 1.0, bytes(16 * 8192)))
        await until(lambda: world.problem, "it is given up")
        assert world.problem == "it has not read what was sent to it for 1 s"
        assert read <= room
        assert world.hub.waiting
        await until(lambda: rude.connections > 1 and not world.hub.waiting, "it is told by the next stream")


async def test_many_small_messages_hold_up_nothing(tmp_path: Path) -> None:
    """Other things happen between them, and the window bounds what waits."""
    done = asyncio.Event()
    small = framed(SHARE.SerializeToString())
    count = 100_000

    async def handle(side: RawSide, number: int) -> None:
        stream = await attached(side)
        reading = asyncio.ensure_future(forever(side))
        per = h2.DEFAULT_FRAME // len(small)
        for _ in range(count // per):
            side.data(stream, small * per)
            await side.writer.drain()
        done.set()
        await reading

    async with linked(tmp_path) as world, world.rude(handle):
        await done.wait()
        seen = len(world.hub.shares)
        await turns(50)
        assert len(world.hub.shares) - seen <= 50 * attachment.BATCH
        total = count // (h2.DEFAULT_FRAME // len(small)) * (h2.DEFAULT_FRAME // len(small))
        await until(lambda: len(world.hub.shares) == total, lambda: f"{len(world.hub.shares)} have come")


class Skipping(SystemClock):
    """Time that passes only while somebody waits for it; remembers how long they wanted to."""

    def __init__(self) -> None:
        self.passed, self.pauses = 0.0, list[float]()

    def monotonic(self) -> float:
        return self.passed

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.passed += seconds
        await turns()


async def test_pauses_between_attempts_grow_and_are_spread(tmp_path: Path) -> None:
    clock = Skipping()
    async with linked(tmp_path, clock, lambda: 1.0) as world:
        world.token.unlink()
        world.attach_to(1)
        await until(lambda: len([pause for pause in clock.pauses if pause <= 30]) >= 8, "it has tried")
    pauses = [pause for pause in clock.pauses if pause <= 30]
    assert pauses[:8] == [1, 2, 4, 8, 16, 30, 30, 30]
