"""The service for people over TLS: who is let in, what is refused, and that a call that ends ends its dump."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import aio

from control_api import serve
from people_world import ALICE, TOKEN, World, world
from tracekeeper_operator.access import Access
from tracekeeper_operator.control.persons import WAITING, Persons, TooManyAsk
from tracekeeper_operator.errors import PersonUnknown
from tracekeeper_operator.kube import Kube
from tracekeeper_proto.control.v1 import control_pb2 as pb
from waiting import until

BEARER = (("authorization", f"Bearer {TOKEN}"),)
Call = aio.UnaryStreamCall[Any, pb.DumpProgress]


@pytest.fixture
async def there(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        yield made


def ask(there: World, metadata: Sequence[tuple[str, str | bytes]] = BEARER, **fields: Any) -> Call:
    method = there.channel().unary_stream(
        "/tracekeeper.control.v1.People/Dump",
        request_serializer=pb.DumpRequest.SerializeToString,
        response_deserializer=pb.DumpProgress.FromString,
    )
    wanted = {"namespace": "shop", "config": "agents", "since_seconds": 60, "backend": "a", "timeout_seconds": 60}
    call: Call = method(pb.DumpRequest(**{**wanted, **fields}), metadata=aio.Metadata(*metadata))
    return call


async def told(call: Call) -> list[pb.DumpProgress]:
    return [progress async for progress in call]


async def refused(call: Call) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(aio.AioRpcError) as raised:
        await told(call)
    return raised.value.code(), raised.value.details() or ""


@pytest.mark.parametrize(
    "metadata",
    [(), (("authorization", "Basic YTpi"),), (("authorization", "Bearer "),), (("authorization-bin", b"Bearer x"),)],
)
async def test_nobody_gets_in_without_a_token(there: World, metadata: Sequence[tuple[str, str | bytes]]) -> None:
    code, text = await refused(ask(there, metadata))
    assert code == grpc.StatusCode.UNAUTHENTICATED
    assert "there is none; send one in the metadata" in text
    assert not there.api.seen


@pytest.mark.parametrize(
    "wrong, said",
    [
        ({"namespace": ""}, "namespace: must be"),
        ({"namespace": "shop/../bank"}, "namespace: must be"),
        ({"namespace": "x" * 100_000}, "namespace: must be"),
        ({"config": "a" * 254}, "config: must be"),
        ({"backend": ""}, "to: the name of the backend"),
        ({"backend": "b" * 100_000}, "to: no backend"),
        ({"since_seconds": 0}, "since: "),
        ({"since_seconds": float("inf")}, "since: "),
        ({"since_seconds": float("nan")}, "since: "),
        ({"timeout_seconds": 0}, "timeout: "),
        ({"timeout_seconds": float("nan")}, "timeout: "),
        ({"timeout_seconds": 1e6}, "timeout: "),
        ({"where": "span.nme == 1"}, "where: at character 6: span has no field nme (did you mean span.name?)"),
        ({"where": "x" * 100_000}, "where: "),
    ],
)
async def test_what_is_wrong_with_a_request_is_said(there: World, wrong: dict[str, Any], said: str) -> None:
    (pod,) = await there.attach("app-1")
    code, text = await refused(ask(there, **wrong))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert text.startswith(said)
    assert not pod.commands


@pytest.mark.parametrize(
    "answer",
    [
        "[]",
        "{",
        '{"status": []}',
        '{"status": {"authenticated": "true", "user": {"username": "alice"}, "allowed": "true"}}',
        '{"status": {"authenticated": true, "allowed": null}}',
    ],
)
async def test_an_answer_that_says_nothing_lets_nobody_in(there: World, answer: str) -> None:
    (pod,) = await there.attach("app-1")
    for path in ("/tokenreviews", "/subjectaccessreviews"):
        there.api.fail("POST", path, 201, answer)
        code, _ = await refused(ask(there))
        assert code in (
            grpc.StatusCode.UNAUTHENTICATED,
            grpc.StatusCode.PERMISSION_DENIED,
            grpc.StatusCode.UNAVAILABLE,
        )
    assert not pod.commands


async def test_a_flood_of_strangers_is_turned_away_and_bothers_nobody_for_long() -> None:
    async with serve() as api, Kube(Access(api.url, token="operator")) as kube:
        api.people[TOKEN] = ALICE
        persons = Persons(kube)
        calls = [persons.whose("wrong") for _ in range(2 * WAITING)]
        ends = Counter(type(end) for end in await asyncio.gather(*calls, return_exceptions=True))
        assert ends == {PersonUnknown: WAITING, TooManyAsk: WAITING}
        assert (await persons.whose(TOKEN)).name == "alice"


@pytest.mark.parametrize("read", [0, 1])
async def test_a_call_that_is_cancelled_ends_the_dump(
    there: World, read: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "tracekeeper_operator")
    one, two = await there.attach("app-1", "app-2")
    call = ask(there)
    command = await one.command()
    await two.say(sent=2)
    for _ in range(read):
        await call.read()
    call.cancel()
    await until(lambda: one.stops, "it is told to stop")
    assert one.stops == [command.id]
    await until(lambda: "was stopped: " in caplog.text, "the log says so")
    again = ask(there)
    await until(lambda: len(one.commands) == 2, "another one can begin")
    again.cancel()


async def test_a_sidecar_that_comes_back_goes_on(there: World) -> None:
    (one,) = await there.attach("app-1")
    call = ask(there)
    await one.say(running=True, sent=1)
    await one.leave()
    await until(lambda: not there.attached(), "its stream is over")
    (back,) = await there.attach("app-1")
    assert (await back.command()).id == one.commands[0].id
    await back.say(sent=5)
    last = (await told(call))[-1]
    assert (last.pod, last.state.sent, last.state.problem) == ("app-1", 5, "")


async def test_a_sidecar_cannot_speak_for_another_one_or_of_another_dump(there: World) -> None:
    one, two = await there.attach("app-1", "app-2")
    call = ask(there)
    command = await two.command()
    await two.say_of("another", sent=100)
    await two.say(sent=2)
    await two.say(sent=300)
    await one.say(sent=1)
    last = {progress.pod: progress.state for progress in await told(call)}
    assert {pod: state.sent for pod, state in last.items()} == {"app-1": 1, "app-2": 2}
    assert {state.id for state in last.values()} == {command.id}
