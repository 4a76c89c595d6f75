"""What becomes of requests that come before there is a policy that can be used."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from tracekeeper_sidecar.errors import NotReady
from tracekeeper_sidecar.process.anteroom import Anteroom, Process
from tracekeeper_sidecar.process.stage import Stage
from tracekeeper_sidecar.process.step import NO_CONTEXT, Request
from waiting import until


class Door:
    """Where they come in."""

    process: Process | None = None

    def lead_through(self, process: Process | None, wants: frozenset[str]) -> None:
        self.process = process


class Rig:
    def __init__(self) -> None:
        self.room, self.door = Anteroom(), Door()
        self.stage = Stage(self.door, self.room)
        self.answers: list[Exception | None] = []

    def ask(self, patience: float) -> None:
        def done(request: Request, error: Exception | None) -> None:
            self.answers.append(error)

        context: Mapping[str, str] = NO_CONTEXT
        self.room.process(b"", 1, context, done, asyncio.get_running_loop().time() + patience)


@pytest.mark.parametrize(("faulty", "told"), [(False, "has not read its policy yet"), (True, "/health names what is")])
async def test_who_has_waited_too_long_is_told_whether_there_was_a_policy_at_all(faulty: bool, told: str) -> None:
    rig = Rig()
    assert rig.stage.refusals() == ()
    if faulty:
        rig.stage.refuse()
        assert "what it would have hidden" in rig.stage.refusals()[0]
    rig.ask(0.01)
    await until(lambda: bool(rig.answers), "it is answered")
    assert isinstance(rig.answers[0], NotReady) and told in str(rig.answers[0])


async def test_they_go_on_as_they_are_where_the_policy_says_nothing_of_steps() -> None:
    rig = Rig()
    rig.ask(60.0)
    await rig.stage.let_through()
    assert rig.answers == [None] and rig.door.process is None


async def test_what_is_in_force_stays_when_the_policy_is_looked_for_again_and_has_faults() -> None:
    rig = Rig()
    await rig.stage.without_policy()
    await rig.stage.let_through()
    rig.stage.refuse()
    assert rig.door.process is not None and rig.stage.refusals() == ()
    assert [step.name for step in rig.stage.pipeline.steps] == ["no-policy"]
