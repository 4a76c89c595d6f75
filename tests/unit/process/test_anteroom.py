"""Requests that come before it is known what is to be done with them."""

from __future__ import annotations

from collections.abc import Mapping

from tracekeeper_sidecar.errors import NotReady
from tracekeeper_sidecar.process.anteroom import Anteroom
from tracekeeper_sidecar.process.step import NO_CONTEXT, Request
from waiting import until

Answers = list[tuple[bytes, "Exception | None"]]


def _ask(room: Anteroom, body: bytes, answers: Answers) -> None:
    room.process(body, 1, NO_CONTEXT, lambda request, error: answers.append((request.body, error)))


async def test_they_wait_and_then_go_through_the_steps_in_their_order() -> None:
    room, answers = Anteroom(), Answers()
    _ask(room, b"1", answers)
    _ask(room, b"2", answers)
    assert answers == []

    def process(body: bytes, spans: int, context: Mapping[str, str], done: object) -> None:
        assert callable(done)
        done(Request(body * 2, spans), None)

    room.open(process)
    assert answers == [(b"11", None), (b"22", None)]


async def test_they_go_on_as_they_are_where_nothing_is_to_be_done() -> None:
    room, answers = Anteroom(), Answers()
    _ask(room, b"1", answers)
    room.open(None)
    assert answers == [(b"1", None)]


async def test_who_has_waited_too_long_is_told_to_come_back() -> None:
    room, answers = Anteroom(patience=0.02), Answers()
    _ask(room, b"1", answers)
    _ask(room, b"2", answers)
    await until(lambda: len(answers) == 2, "both are answered")
    assert [(body, type(error)) for body, error in answers] == [(b"1", NotReady), (b"2", NotReady)]
    room.open(None)
    assert len(answers) == 2, "each is answered once"
