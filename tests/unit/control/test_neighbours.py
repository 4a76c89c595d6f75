"""Sidecars and operators of neighbouring versions work together, both ways.

The other side is what it said when it was recorded (`tests/record_neighbour.py`), message by message; whole programs of
both versions run together in `tests/e2e/test_previous_version.py`.
In the version that `control-0.1.0-without-standing.json` is of, sidecars told nothing of themselves.
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from control_world import CONFIG, SidecarClient, World, serving
from link_world import Attached, Operator, linked
from link_world import World as Pod
from tracekeeper_operator.delivering import condition
from tracekeeper_proto.control.v1 import control_pb2 as pb
from waiting import until

RECORDED = sorted((Path(__file__).parents[2] / "neighbours").glob("control-*.json"))
UNKNOWN = b"\xfa\x06\x03new"
"""A field with the number 111, as a later version may have it."""


@pytest.fixture(params=RECORDED, ids=lambda path: path.stem)
def said(request: pytest.FixtureRequest) -> dict[str, dict[str, bytes]]:
    """By side and kind."""
    recorded = json.loads(request.param.read_text())
    return {
        side: {kind: base64.b64decode(text) for kind, text in recorded[side].items()}
        for side in ("sidecar", "operator")
    }


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with serving(World()) as world:
        yield world


def test_there_is_a_neighbour() -> None:
    assert RECORDED


async def test_an_older_sidecar_works_with_this_operator(world: World, said: dict[str, dict[str, bytes]]) -> None:
    states: list[pb.DumpState] = []
    world.server.on_told("dump", lambda attached, state: states.append(state))
    async with world.channel() as channel, world.sidecar("new") as new:
        old = SidecarClient(channel, "shop/old")
        await old.call.write(said["sidecar"]["hello"])
        assert 0.5 <= (await old.read("welcome")).report_every_seconds <= 30
        await old.call.write(said["sidecar"]["report"])
        assert (await old.told(0.05 * 500 + 950)).sidecars == 2
        await old.call.write(said["sidecar"]["kept"])
        assert await new.hear_of(1) == [("errors", 1 << 50, int.from_bytes(bytes(range(16)), "big"))]
        await new.keep([7])
        assert await old.hear_of(1)
        await old.call.write(said["sidecar"]["dump"])
        await until(lambda: states, "how far its dump is has been heard")
        assert (states[0].id, states[0].running) == ("d1", True)
        attached = world.server.pods()["uid-shop-old"]
        assert (attached.version, attached.revision, attached.silent) == ("0.1.0", 7, False)
        found = condition([attached], 0.0, "shop")
        assert (found.status, found.reason) == ("Unknown", "NotReported")


async def test_this_sidecar_works_with_an_older_operator(tmp_path: Path, said: dict[str, dict[str, bytes]]) -> None:
    from_operator = {kind: pb.ToSidecar.FromString(data) for kind, data in said["operator"].items()}
    async with linked(tmp_path) as pod, pod.operator() as operator:
        operator.welcome = None
        await until(lambda: operator.calls and operator.last.of("hello"), "it has come")
        operator.last.say(from_operator["welcome"])
        await until(lambda: pod.hub.is_attached, "it is attached")
        for kind in ("share", "kept", "dump"):
            operator.last.say(from_operator[kind])
        await until(lambda: pod.hub.shares and pod.hub.heard and pod.recording.asked, "it has heard all of it")
        assert pod.hub.shares[0][1] == 2
        assert pod.hub.heard[0].ids == bytes(range(16))
        assert pod.recording.asked[0].to == "a"
        await until(lambda: operator.last.of("dump"), "it tells how far the dump is")
        operator.last.say(from_operator["dump_stop"])
        await until(lambda: pod.recording.stopped, "the dump has ended")
        await until(lambda: operator.last.of("report"), "it reports")
        assert {message.WhichOneof("message") for message in operator.last.said} <= said["sidecar"].keys()


async def test_what_a_later_sidecar_says_besides_is_left_alone(world: World) -> None:
    async with world.channel() as channel:
        client = SidecarClient(channel, "shop/later")
        await client.call.write(inside(pb.FromSidecar(hello=pb.Hello(version="9", config_uid=CONFIG))))
        await client.read("welcome")
        await client.call.write(UNKNOWN)
        standing = pb.Standing(policy_revision=7, received=1, acknowledged=1)
        await client.call.write(inside(pb.FromSidecar(standing=standing)))
        await until(lambda: world.server.attached(CONFIG)[0].standing is not None, "it has been heard")
        await client.report({"loud": 10.0})
        assert (await client.read("share")).sidecars == 1
        assert not world.server.attached(CONFIG)[0].silent


async def test_what_a_later_operator_says_besides_is_left_alone(tmp_path: Path) -> None:
    async with linked(tmp_path) as pod, pod.operator() as operator:
        await until(lambda: pod.hub.is_attached, "it is attached")
        later = pb.ToSidecar.FromString(UNKNOWN)
        assert later.SerializeToString() == UNKNOWN
        operator.last.say(later)
        share = pb.ToSidecar(share=pb.Share(traces_per_second=5, sidecars=1, floor=0.5))
        operator.last.say(pb.ToSidecar.FromString(inside(share)))
        await until(lambda: pod.hub.shares, "it has heard what it knows")
        assert still(pod, operator.last, operator)


def still(pod: Pod, call: Attached, operator: Operator) -> bool:
    """Whether it is attached by the stream with which it came."""
    return pod.hub.is_attached and not call.gone and len(operator.calls) == 1


def inside(message: Any) -> bytes:
    """Serialised, with an unknown field in its only member."""
    (field, member), *_ = message.ListFields()
    data: bytes = member.SerializeToString() + UNKNOWN
    assert len(data) < 128
    return bytes([field.number << 3 | 2, len(data)]) + data
