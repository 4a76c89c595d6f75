"""Requests that come before it is known what is to be done with them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

import pytest

from tracekeeper_sidecar.errors import NotReady
from tracekeeper_sidecar.process.anteroom import Anteroom, Done
from tracekeeper_sidecar.process.step import NO_CONTEXT, Request
from waiting import until

Answers = list[tuple[bytes, "Exception | None"]]


def _ask(room: Anteroom, body: bytes, answers: Answers, patience: float = 60.0) -> None:
    due = asyncio.get_running_loop().time() + patience
    room.process(body, 1, NO_CONTEXT, lambda request, error: answers.append((request.body, error)), due)


async def test_they_wait_and_then_go_through_the_steps_in_their_order() -> None:
    room, answers = Anteroom(), Answers()
    _ask(room, b"1", answers)
    _ask(room, b"2", answers)
    assert answers == []

    def process(body: bytes, spans: int, context: Mapping[str, str], done: Done, due: float) -> None:
        done(Request(body * 2, spans), None)

    room.open(process)
    assert answers == [(b"11", None), (b"22", None)]


async def test_they_bring_along_what_the_transport_said_and_when_they_are_due() -> None:
    room, seen = Anteroom(), list[object]()
    context = {"x-team": "shop"}
    due = asyncio.get_running_loop().time() + 60

    def process(body: bytes, spans: int, context: Mapping[str, str], done: Done, due: float) -> None:
        seen.append((context, due))

    room.process(b"1", 1, context, lambda request, error: None, due)
    room.open(process)
    assert seen == [(context, due)]


async def test_they_go_on_as_they_are_where_nothing_is_to_be_done() -> None:
    room, answers = Anteroom(), Answers()
    _ask(room, b"1", answers)
    room.open(None)
    assert answers == [(b"1", None)]


async def test_who_has_waited_too_long_is_told_to_come_back() -> None:
    room, answers = Anteroom(), Answers()
    _ask(room, b"1", answers, 0.02)
    _ask(room, b"2", answers, 0.03)
    await until(lambda: len(answers) == 2, "both are answered")
    assert [(body, type(error)) for body, error in answers] == [(b"1", NotReady), (b"2", NotReady)]
    room.open(None)
    assert len(answers) == 2, "each is answered once"


async def test_one_that_fails_keeps_no_other_waiting(caplog: pytest.LogCaptureFixture) -> None:
    room, answers = Anteroom(), Answers()

    def fails(request: Request, error: Exception | None) -> None:
        raise KeyError("hunter2")

    room.process(b"1", 1, NO_CONTEXT, fails, asyncio.get_running_loop().time() + 60)
    _ask(room, b"2", answers)
    with caplog.at_level(logging.ERROR):
        room.open(None)
    assert answers == [(b"2", None)]
    assert "KeyError in fails" in caplog.text and "hunter2" not in caplog.text
