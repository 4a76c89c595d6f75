"""The control server, by real clients over TLS: good ones, rude ones, and such as are gone."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from math import nan

import grpc
import pytest

from control_world import CONFIG, LIMITS, SidecarClient, World, material, serving
from tracekeeper_operator.control.attach import report_every
from tracekeeper_operator.control.attached import Attached
from tracekeeper_operator.control.facts import ConfigFacts
from tracekeeper_operator.control.messages import MOST_IDS, MOST_KEYS
from tracekeeper_operator.control.server import ControlServer
from tracekeeper_operator.errors import ListenError
from tracekeeper_operator.settings import Address
from tracekeeper_proto.control.v1 import control_pb2 as pb
from tracekeeper_spec.sampling import Per
from waiting import until


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with serving(World()) as world:
        yield world


# Parts of the target.


async def test_sidecars_are_told_their_parts_of_the_target(world: World) -> None:
    async with world.sidecar("a") as one, world.sidecar("b") as other:
        await one.report({"loud": 3000.0})
        await other.report({"loud": 1000.0})
        first, second = await one.told(0.05 * 500 + 0.75 * 950), await other.told(0.05 * 500 + 0.25 * 950)
        assert first.sidecars == second.sidecars == 2
        assert first.floor == second.floor == pytest.approx(0.9 * 950 / 4000)
        assert first.traces_per_second + second.traces_per_second == pytest.approx(1000.0)
        assert world.metric("tracekeeper_control_sidecars") == 2
        assert world.metric("tracekeeper_control_messages_total", direction="in", kind="report") == 2


async def test_whoever_goes_leaves_its_part_to_the_others_at_once_when_it_says_so(world: World) -> None:
    async with world.sidecar("a") as one:
        await one.report({"loud": 1000.0})
        async with world.sidecar("b") as other:
            await other.report({"loud": 1000.0})
            await one.told(500.0)
            await other.call.done_writing()
            assert (await other.said())[0] is grpc.StatusCode.OK
        share = await one.told(1000.0)
        assert share.sidecars == 1
        assert world.metric("tracekeeper_control_streams_ended_total", reason="left") == 1


async def test_whoever_vanishes_counts_for_a_while(world: World) -> None:
    async with world.sidecar("a") as one:
        async with world.sidecar("b") as other:
            await other.report({"loud": 1000.0})
        await until(lambda: world.metric("tracekeeper_control_streams_ended_total", reason="broken"), "it has gone")
        await one.report({"loud": 1000.0})
        assert (await one.told(500.0)).sidecars == 2


async def test_a_new_server_tells_no_parts_until_all_can_be_back() -> None:
    async with serving(World(settle=3600.0)) as world, world.sidecar("a") as one, world.sidecar("b") as other:
        await one.report({"loud": 1000.0})
        await until(lambda: world.metric("tracekeeper_control_groups") == 1, "the target has been divided")
        await other.keep([1])
        await one.hear_of(1)
        assert world.metric("tracekeeper_control_messages_total", direction="out", kind="share") == 0


async def test_a_change_of_the_config_is_followed(world: World) -> None:
    facts = world.configs[CONFIG]
    async with world.sidecar("a") as one, world.sidecar("b") as other:
        await one.report({"loud": 1000.0})
        await other.report({"loud": 1000.0})
        await one.told(500.0)
        world.configs[CONFIG] = replace(facts, adaptive=replace(LIMITS, target_traces_per_second=100.0))
        await one.told(50.0)
        world.configs[CONFIG] = replace(facts, adaptive=replace(LIMITS, per=Per.CONFIG))
        await one.told(500.0)
        world.configs[CONFIG] = replace(facts, adaptive=None)
        await until(lambda: world.metric("tracekeeper_control_groups") == 1, "there is one group")
        await other.keep([1])
        assert await one.hear_of(1), "decisions are told without a target, too"


async def test_a_sidecar_that_works_by_another_config_belongs_to_another_group(world: World) -> None:
    world.configs["other"] = ConfigFacts("other", "shop", "other", LIMITS)
    async with world.sidecar("a") as one, world.sidecar("b") as other:
        await one.report({"loud": 1000.0})
        await other.report({"loud": 1000.0})
        await one.told(500.0)
        await other.say(hello=pb.Hello(config_uid="other"))
        await other.read("welcome")
        await other.report({"loud": 1000.0})
        await other.told(1000.0)
        await one.told(1000.0)
        assert [each.identity.pod for each in world.server.attached("other")] == ["b"]


def test_many_sidecars_are_to_report_less_often() -> None:
    assert report_every(3) == report_every(2000) == 2.0
    assert report_every(10_000) == 10.0
    assert report_every(1_000_000) == 30.0


# What is kept.


async def test_what_one_keeps_the_others_of_its_group_are_told_once(world: World) -> None:
    world.configs["other"] = ConfigFacts("other", "bank", "other", None)
    async with world.sidecar("a") as one, world.sidecar("b") as two, world.sidecar("c") as three:
        async with (
            world.sidecar("d", namespace="bank", config="other") as stranger,
            world.sidecar("e", namespace="bank", config="other") as friend,
        ):
            await one.keep([1, 2, 3])
            await two.keep([3, 4], rule="slow", threshold=1 << 55)
            expected = {("errors", 0, 1), ("errors", 0, 2), ("errors", 0, 3), ("slow", 1 << 55, 4)}
            await friend.keep([9])
            for each in (two, three):
                heard = await each.hear_of(4)
                assert expected <= set(heard)
                assert set(heard) - expected <= {("slow", 1 << 55, 3)}, "unless it came first"
            assert await stranger.hear_of(1) == [("errors", 0, 9)]
        told = ("tracekeeper_control_decisions_total", "told")
        await until(lambda: world.metric(told[0], result=told[1]) in (5, 6), "all are counted")


async def test_what_nobody_else_could_need_is_not_gathered(world: World) -> None:
    async with world.sidecar("a") as one:
        await one.keep(range(100))
        await one.report({"loud": 1.0})
        await one.told(1000.0)
        assert world.metric("tracekeeper_control_decisions_total", result="told") == 0


# Who may attach.


@pytest.mark.parametrize(
    ("token", "code", "words"),
    [
        (None, grpc.StatusCode.UNAUTHENTICATED, "no bearer token"),
        ("nonsense", grpc.StatusCode.UNAUTHENTICATED, "it is not signed"),
        ("too early", grpc.StatusCode.UNAVAILABLE, "not to be had"),
    ],
)
async def test_whoever_cannot_show_a_token_is_refused(
    world: World, token: str | None, code: grpc.StatusCode, words: str
) -> None:
    async with world.channel() as channel:
        said = await SidecarClient(channel, token).said()
        assert said[0] is code
        assert words in said[1]
    assert world.metric("tracekeeper_control_refused_total", problem="token") == 1


@pytest.mark.parametrize(("namespace", "config"), [("shop", "no-such"), ("bank", CONFIG)])
async def test_a_config_of_others_is_refused(world: World, namespace: str, config: str) -> None:
    async with world.channel() as channel:
        client = SidecarClient(channel, f"{namespace}/a")
        await client.say(hello=pb.Hello(config_uid=config))
        code, text = await client.said()
        assert code is grpc.StatusCode.PERMISSION_DENIED
        assert config in text and namespace in text
    assert world.metric("tracekeeper_control_refused_total", problem="config") == 1
    await until(lambda: world.metric("tracekeeper_control_sidecars") == 0, "it is gone")


async def test_a_stream_ends_with_its_token(world: World) -> None:
    async with world.sidecar("a") as one:
        world.clock.ahead = world.life + 1.0
        code, text = await one.said()
        assert code is grpc.StatusCode.UNAUTHENTICATED
        assert "come with a new one" in text
    async with world.sidecar("a"):
        assert world.metric("tracekeeper_control_sidecars") == 1


async def test_a_pod_has_one_stream_and_that_is_the_newest(world: World) -> None:
    async with world.sidecar("a") as old, world.sidecar("b") as other:
        await old.report({"loud": 1000.0})
        await other.report({"loud": 1000.0})
        await other.told(500.0)
        async with world.sidecar("a") as new:
            assert (await old.said())[0] is grpc.StatusCode.ABORTED
            assert (await new.told(500.0)).sidecars == 2, "with what it had reported"
            assert len(world.server.attached(CONFIG)) == 2


# Bad input.

ID = bytes(16)


def said(**message: object) -> bytes:
    return pb.FromSidecar(**message).SerializeToString()  # type: ignore[arg-type]


def kept(**fields: object) -> bytes:
    whole: dict[str, object] = {"rule": "errors", "threshold": 0, "decided": 1.0, "trace_ids": ID, **fields}
    return said(kept=pb.Decisions(kept=[pb.Kept(**whole)]))  # type: ignore[arg-type]


def rates(*rates: float, key: str = "key") -> bytes:
    return said(report=pb.Report(keys=[pb.KeyRate(key=key, rate=rate) for rate in rates]))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\xff\xff\xff", "no FromSidecar"),
        (said(hello=pb.Hello()), "config_uid is empty"),
        (said(hello=pb.Hello(config_uid="x" * 300)), "more than 253"),
        (rates(*[1.0] * (MOST_KEYS + 1)), "502 keys"),
        (rates(nan), "nan is no rate"),
        (rates(-1.0), "-1.0 is no rate"),
        (rates(1.0, key="k" * 10_000), "10000 characters"),
        (kept(trace_ids=ID[:15]), "15 bytes"),
        (kept(trace_ids=b""), "0 bytes"),
        (kept(threshold=(1 << 56) + 1), "no threshold"),
        (kept(rule=""), "1 to 253 characters"),
        (kept(rule="r" * 254), "not 254"),
        (kept(decided=nan), "no time"),
        (kept(trace_ids=ID * (MOST_IDS + 1)), "65537 traces"),
        (said(kept=pb.Decisions(kept=[pb.Kept(rule="r")] * 1001)), "1001 of them"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
async def test_what_no_sidecar_says_ends_its_stream_and_no_other(world: World, data: bytes, words: str) -> None:
    async with world.sidecar("rude") as rude, world.sidecar("good") as good:
        await rude.call.write(data)
        code, text = await rude.said()
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert words in text
        await good.report({"loud": 1.0})
        await good.read("share")
        assert world.metric("tracekeeper_control_streams_ended_total", reason="invalid") == 1


async def test_the_first_word_is_hello(world: World) -> None:
    async with world.channel() as channel:
        client = SidecarClient(channel, "shop/a")
        await client.report({"loud": 1.0})
        assert (await client.said())[0] is grpc.StatusCode.INVALID_ARGUMENT


async def test_what_a_later_version_says_is_left_alone(world: World) -> None:
    async with world.sidecar("new") as new:
        await new.call.write(b"\xa2\x06\x03abc")  # field 100, bytes
        await new.report({"loud": 1.0})
        await new.told(1000.0)


async def test_one_that_says_much_has_to_wait_and_no_other_one(world: World) -> None:
    async with world.sidecar("loud") as loud, world.sidecar("quiet") as quiet:

        async def talk() -> None:
            for number in range(120):
                await loud.report({"key": float(number)})

        talking = asyncio.create_task(talk())
        await quiet.report({"key": 1.0})
        await quiet.read("share")
        await talking
        name, labels = "tracekeeper_control_messages_total", {"direction": "in", "kind": "report"}
        await until(lambda: world.metric(name, **labels) == 121, "all of it has been read")


async def test_one_that_does_not_read_is_ended_and_no_other_one(world: World) -> None:
    async with world.sidecar("stuck"), world.sidecar("good") as good:
        stuck = next(each for each in world.server.attached(CONFIG) if each.identity.pod == "stuck")
        large = pb.ToSidecar(dump=pb.DumpCommand(id="1", where="x" * 100_000)).SerializeToString()

        def overwhelmed() -> bool:
            for _ in range(20):
                stuck.send_bytes(large)
            return stuck.ended.is_set()

        await until(overwhelmed, "the stream is over")
        assert stuck.end is not None and stuck.end.reason == "slow"
        await good.report({"loud": 1.0})
        await good.read("share")


# What other parts of the operator use.


async def test_messages_about_dumps_go_both_ways(world: World) -> None:
    heard: list[tuple[Attached, pb.DumpState]] = []
    world.server.on_told("dump", lambda attached, state: heard.append((attached, state)))
    async with world.sidecar("a") as one, world.sidecar("b"):
        attached = world.server.attached(CONFIG)
        assert [each.identity.pod for each in attached] == ["a", "b"]
        assert world.server.attached("other") == []
        attached[0].send(pb.ToSidecar(dump=pb.DumpCommand(id="7")))
        assert (await one.read("dump")).id == "7"
        await one.say(dump=pb.DumpState(id="7", sent=3))
        await until(lambda: heard, "the state has come")
        assert heard == [(attached[0], pb.DumpState(id="7", sent=3))]
        assert not attached[0].ended.is_set()
    await until(attached[0].ended.is_set, "the stream is over")
    attached[0].send(pb.ToSidecar(dump=pb.DumpCommand(id="8")))


# The port.


async def test_with_a_new_certificate_all_attach_anew_and_have_their_parts_still(world: World) -> None:
    async with world.sidecar("a") as one, world.sidecar("b") as other:
        await one.report({"loud": 3000.0})
        await other.report({"loud": 1000.0})
        part = 0.05 * 500 + 0.75 * 950
        await one.told(part)
        async with AsyncExitStack() as stack:
            # Whoever is away keeps its part for ten seconds only, and a busy machine may need them to serve again.
            with world.clock.held():
                world.material = material()
                await one.said()
                await until(world.server.started.is_set, "it serves again")
                again = await stack.enter_async_context(world.sidecar("a"))
            share = await again.told(part)
            assert share.sidecars == 2, "the other one is waited for"


async def test_it_waits_for_the_first_certificate() -> None:
    world = World(material=None)
    task = asyncio.create_task(world.server.run())
    try:
        await asyncio.wait({task}, timeout=0.05)
        assert not world.server.started.is_set()
        world.material = material()
        await asyncio.wait_for(world.server.started.wait(), 30.0)
        async with world.sidecar("a"):
            pass
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_port_that_is_taken_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port, world = taken.getsockname()[1], World()
        server = ControlServer(
            Address("127.0.0.1", port),
            lambda: world.material,
            world.verify,
            world.find,
            world.clock,
            world.metrics,
        )
        with pytest.raises(ListenError, match=str(port)):
            await server.run()


async def test_who_asks_for_signs_of_life_is_not_sent_away(world: World) -> None:
    """A sidecar sends a PING when it has heard nothing for a while; many servers take offence."""
    trusted = world.material
    assert trusted is not None
    context = ssl.create_default_context(cadata=trusted.ca)
    context.set_alpn_protocols(["h2"])
    reader, writer = await asyncio.open_connection("localhost", world.server.port, ssl=context)
    ping, pong, goaway = 6, 1, 7
    writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0))
    for number in range(20):
        writer.write(frame(ping, 0, number.to_bytes(8, "big")))
    answered = 0
    async with asyncio.timeout(30.0):
        while answered < 20:
            head = await reader.readexactly(9)
            await reader.readexactly(int.from_bytes(head[:3], "big"))
            assert head[3] != goaway
            answered += head[3] == ping and bool(head[4] & pong)
    writer.transport.abort()


def frame(kind: int, flags: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + bytes(4) + payload
