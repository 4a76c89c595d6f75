"""Dumps that the operator asks for, in a sidecar without its link: what is said of them, and how they end."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from forward_support.rig import backend
from forward_support.routed import Routed, routed, sampling
from forward_support.servers import GrpcBackend, Serve, failing
from tracekeeper_proto.control.v1 import control_pb2 as pb
from tracekeeper_sidecar.clock import SystemClock
from tracekeeper_sidecar.control import dumps as module
from tracekeeper_sidecar.control.dumps import Dumps
from tracekeeper_sidecar.model import DumpAsked
from tracekeeper_sidecar.recorder import Recorder
from traces_to_sample import trace
from waiting import until


class Rig:
    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.dumps = Dumps(recorder, SystemClock())
        self.said: list[pb.DumpState] = []

    def command(self, name: str = "d1", **fields: Any) -> None:
        asked = {"id": name, "since_seconds": 600, "backend": "a", "timeout_seconds": 60, **fields}
        self.dumps.command(pb.DumpCommand(**asked), lambda message: self.said.append(message.dump))

    def stop(self, name: str = "d1") -> None:
        self.dumps.stop(pb.DumpStop(id=name))

    async def last(self) -> pb.DumpState:
        """What is said when it has ended."""
        await until(lambda: self.said and not self.said[-1].running, "it has ended")
        return self.said[-1]


@asynccontextmanager
async def rig(directory: Path, server: GrpcBackend) -> AsyncIterator[Rig]:
    """A log from which sampling has left out the 12 spans of three traces."""
    async with routed(directory) as made:
        recorder = Recorder(made.log, made.routes, SystemClock())
        await made.apply(backend("a", server.endpoint), sampling=sampling())
        chance = random.Random(1)
        await made.put(*(trace(chance) for _ in range(3)))
        await until(lambda: left_out(made) == 12, "all are left out")
        try:
            yield Rig(recorder)
        finally:
            await recorder.stop_dump()


def left_out(made: Routed) -> int:
    return sum(made.entry("a").account.sampled_out.values())


@pytest.fixture
async def server(serve: Serve) -> GrpcBackend:
    return await serve(GrpcBackend())


@pytest.fixture
async def there(tmp_path: Path, server: GrpcBackend) -> AsyncIterator[Rig]:
    async with rig(tmp_path, server) as made:
        yield made


async def test_it_is_carried_out_and_told_about(there: Rig, server: GrpcBackend) -> None:
    there.command()
    state = await there.last()
    assert (state.id, state.problem, state.sent, state.looked_at, state.left) == ("d1", "", 12, 12, 0)
    assert len(server.taken.ids) == 12
    assert there.said[0].running, "the first word comes at once"


@pytest.mark.parametrize(
    "wrong, said",
    [
        ({"backend": "b"}, "names a backend 'b'"),
        ({"backend": ""}, "the name of the backend to send to is missing"),
        ({"where": "span.names == 1"}, "span.name"),
        ({"since_seconds": 0}, "since and timeout"),
        ({"since_seconds": float("nan")}, "since and timeout"),
        ({"timeout_seconds": 1e9}, "since and timeout"),
    ],
)
async def test_what_cannot_be_done_is_said_at_once(there: Rig, wrong: dict[str, Any], said: str) -> None:
    there.command(**wrong)
    (state,) = there.said
    assert (state.id, state.running) == ("d1", False)
    assert said in state.problem


async def test_one_that_is_under_way_is_not_disturbed(there: Rig, server: GrpcBackend) -> None:
    server.behave = failing(10**9)
    there.command()
    there.command()
    there.command("d2")
    there.stop("d2")
    busy = [state for state in there.said if state.id == "d2"]
    assert [(state.running, "a dump is under way" in state.problem) for state in busy] == [(False, True)]
    await until(lambda: len(there.said) >= 4, "it goes on, and says so")
    assert all(state.running for state in there.said if state.id == "d1")
    there.stop()
    state = await there.last()
    assert (state.id, state.problem, state.sent) == ("d1", "it was stopped", 0)


async def test_one_that_somebody_else_has_begun_is_not_ended_from_here(there: Rig, server: GrpcBackend) -> None:
    server.behave = failing(10**9)
    progress = there.recorder.begin_dump(DumpAsked(600, "", "a", False, 60))
    there.command()
    assert "a dump is under way" in there.said[-1].problem
    there.stop()
    await there.dumps.detached()
    server.behave = failing(0)
    await until(lambda: not progress.running, "it comes to its own end")
    assert (progress.problem, progress.sent) == ("", 12)


async def test_it_outlives_a_stream_and_is_not_begun_again(there: Rig, server: GrpcBackend) -> None:
    server.behave = failing(10**9)
    there.command()
    await there.dumps.detached()
    told = len(there.said)
    server.behave = failing(0)
    dumped = there.recorder.dumped
    await until(lambda: (dumped() or {}).get("running") is False, "it comes to its end")
    assert len(there.said) == told, "nobody is there to be told"
    there.command()
    assert [(state.running, state.sent) for state in there.said[told:]] == [(False, 12)]
    assert len(server.taken.ids) == 12


async def test_it_ends_when_nobody_comes_back(there: Rig, server: GrpcBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AWAY", 0.3)
    server.behave = failing(10**9)
    there.command()
    await there.dumps.detached()
    dumped = there.recorder.dumped
    await until(lambda: (dumped() or {}).get("running") is False, "it is ended")
    assert (dumped() or {})["problem"] == "it was stopped"
    assert len(there.said) == 1


async def test_one_of_which_nobody_asks_any_more_gives_way(there: Rig, server: GrpcBackend) -> None:
    server.behave = failing(10**9)
    there.command()
    await there.dumps.detached()
    there.command("d2")
    there.command("d2")
    server.behave = failing(0)
    state = await there.last()
    assert (state.id, state.problem, state.sent) == ("d2", "", 12)
    assert {state.id for state in there.said[1:]} == {"d2"}


async def test_one_that_is_ended_before_its_first_step_has_ended(there: Rig) -> None:
    progress = there.recorder.begin_dump(DumpAsked(600, "", "a", False, 60))
    await there.recorder.stop_dump()
    assert (progress.running, progress.problem, progress.sent) == (False, "it was stopped", 0)
