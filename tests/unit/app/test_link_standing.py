"""What a sidecar tells the operator of itself: when, and that it is all of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from link_world import Operator, World, linked
from tracekeeper_proto.control.v1 import control_pb2 as pb
from tracekeeper_sidecar.clock import SystemClock
from tracekeeper_sidecar.control.standing import BackendStanding, EntryStanding, Standing
from waiting import until

ENTRY = EntryStanding("primary", 1, 2, 3, 4, 5, 6, 7, stuck=False)
TEMPO = BackendStanding("tempo", "Closed", "")
WHOLE = Standing(
    7, "sha256:7", "", "", 30, 21, 4, 3, 2, delivery=(ENTRY,), backends=(TEMPO,), unscraped=True, at_floor=True
)


class ShiftedClock(SystemClock):
    """The machine's, which tests can put forward, so that nobody waits for slow reports."""

    ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


@pytest.fixture
def clock() -> ShiftedClock:
    return ShiftedClock()


@pytest.fixture
async def world(tmp_path: Path, clock: ShiftedClock) -> AsyncIterator[World]:
    async with linked(tmp_path, clock) as world:
        yield world


async def later(world: World, clock: ShiftedClock, seconds: float) -> None:
    """Let the link look at how the sidecar fares now, after so many seconds."""
    looks = len(world.looks)
    clock.ahead += seconds
    world.hub.wake()
    await until(lambda: len(world.looks) > looks, "it has looked")


def told(operator: Operator) -> list[pb.Standing]:
    return [message.standing for call in operator.calls for message in call.of("standing")]


async def test_all_of_it_is_told_also_where_nothing_is_sampled(world: World) -> None:
    world.sampling, world.standing = None, WHOLE
    async with world.operator() as operator:
        operator.standings = 30.0
        await until(lambda: told(operator), "it has been told")
        assert told(operator) == [
            pb.Standing(
                policy_revision=7,
                policy_digest="sha256:7",
                received=30,
                acknowledged=21,
                refused=4,
                filtered=3,
                suspended=2,
                delivery=[
                    pb.EntryStanding(
                        name="primary",
                        start=1,
                        delivered=2,
                        sampled_out=3,
                        unmatched=4,
                        pending=5,
                        dropped=6,
                        redelivered=7,
                    )
                ],
                backends=[pb.BackendStanding(name="tempo", circuit="Closed")],
                unscraped=True,
                at_floor=True,
            )
        ]


@pytest.mark.parametrize(
    "change",
    [
        {"revision": 8},
        {"digest": "sha256:8"},
        {"policy_problem": "spec.backends: is required"},
        {"log_problem": "the volume is full"},
        {"delivery": (replace(ENTRY, stuck=True),)},
        {"backends": (replace(TEMPO, circuit="Open", fault="connection refused"),)},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_what_somebody_waits_for_is_told_soon(
    world: World, clock: ShiftedClock, change: dict[str, object]
) -> None:
    world.standing = WHOLE
    async with world.operator() as operator:
        operator.standings = 300.0
        await until(lambda: len(told(operator)) == 1, "it has been told")
        world.standing = replace(WHOLE, **change)  # type: ignore[arg-type]
        await later(world, clock, 6.0)
        await until(lambda: len(told(operator)) == 2, "the change has been told")


async def test_a_first_span_is_told_soon(world: World, clock: ShiftedClock) -> None:
    async with world.operator() as operator:
        operator.standings = 300.0
        await until(lambda: len(told(operator)) == 1, "it has been told")
        world.standing = replace(world.standing, received=1, acknowledged=1)
        await later(world, clock, 6.0)
        await until(lambda: len(told(operator)) == 2, "the change has been told")
        assert [each.received for each in told(operator)] == [0, 1]


async def test_with_another_config_all_of_it_is_told_again(world: World, clock: ShiftedClock) -> None:
    world.standing = WHOLE
    async with world.operator() as operator:
        operator.standings = 300.0
        await until(lambda: len(told(operator)) == 1, "it has been told")
        world.attach_to(operator.port, uid="uid-of-others")
        await later(world, clock, 6.0)
        await until(lambda: len(told(operator)) == 2, "it has been told again")
        kinds = [message.WhichOneof("message") for message in operator.last.said]
        assert kinds.index("standing") < kinds.index("hello", 1) < len(kinds) - 1 - kinds[::-1].index("standing")


async def test_counts_alone_are_told_once_in_a_while_and_when_it_leaves(world: World, clock: ShiftedClock) -> None:
    world.standing = WHOLE
    async with world.operator() as operator:
        operator.standings = 300.0
        await until(lambda: len(told(operator)) == 1, "it has been told")
        world.standing = replace(WHOLE, received=31, acknowledged=22)
        await later(world, clock, 6.0)
        await later(world, clock, 6.0)
        assert len(told(operator)) == 1
        await later(world, clock, 360.0)
        await until(lambda: len(told(operator)) == 2, "counts have been told")
        world.standing = replace(WHOLE, received=32, acknowledged=23)
        world.link.follow(None)
        await until(lambda: operator.calls[0].left, "it has left")
        assert [each.received for each in told(operator)] == [30, 31, 32]


async def test_an_operator_that_does_not_ask_for_it_is_told_nothing(world: World) -> None:
    async with world.operator() as operator:
        await until(lambda: len(operator.calls) == 1 and len(operator.last.of("report")) >= 2, "it has reported")
        assert told(operator) == []


async def test_long_words_are_cut(world: World) -> None:
    fault = BackendStanding("tempo", "Open", "é" * 5000)
    world.standing = replace(WHOLE, policy_problem="x" * 5000, log_problem="y" * 5000, backends=(fault,) * 40)
    async with world.operator() as operator:
        operator.standings = 30.0
        await until(lambda: told(operator), "it has been told")
        said = told(operator)[0]
        assert {len(said.policy_problem), len(said.log_problem), len(said.backends[0].fault)} == {512}
        assert len(said.backends) == 16
