"""`tracekeeper send-test-span` against the real control server over TLS, with pods that say what a test says."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest

from control_objects import config
from people_world import SAMPLING, TRACE, World
from screen import Screen
from tracekeeper_cli.__main__ import main
from tracekeeper_operator.control import errand, trial_calls
from tracekeeper_proto.control.v1.control_pb2 import TestEntry as Entry

Run = Callable[..., Awaitable[tuple[int, str, str]]]


@pytest.fixture
def run(there: World, screen: Screen) -> Run:
    async def command(*more: str) -> tuple[int, str, str]:
        where = [f"--server={there.address}", f"--ca={there.directory}/ca.crt"]
        status = await asyncio.to_thread(main, ["send-test-span", "agents", *where, *more])
        return status, *screen.read()

    return command


async def test_where_it_came_is_said_and_who_asked(
    there: World, run: Run, screen: Screen, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tracekeeper_operator")
    one, two = await there.attach("app-1", "app-2")
    running = asyncio.ensure_future(run("--pod=app-2", "--timeout=1m"))
    command = await two.next("test")
    assert command.timeout_seconds == 60
    waiting = Entry(name="main", outcome="Waiting", words="sampling keeps the order\x1b[2J of spans")
    await two.report(command.id, stored_seconds=0.0021, sampled=True, delivery=[waiting])
    await one.report(command.id, delivery=[Entry(name="main", outcome="Dropped")], running=False)
    await screen.shows("delivery main: Waiting")
    done = Entry(name="main", outcome="Delivered", backend="tempo", seconds=2.5)
    other = Entry(name="audit", outcome="NotMatched", words="the entry's `match` does not take it")
    await two.report(command.id, stored_seconds=0.0021, sampled=True, delivery=[done, other], running=False)
    status, out, err = await running
    assert status == 0, out + err
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines()[1:3]}
    assert rows == {"main": ["Delivered", "tempo", "2.50", "s"], "audit": ["NotMatched", "-", "0.00", "s"]}
    assert f"it has arrived: look for trace {TRACE.hex()}" in out
    assert "audit: the entry's `match` does not take it; that is what the config asks for" in out
    assert "pod app-2 sends it" in err and f"trace {TRACE.hex()}" in err
    assert "acknowledged after 2.1 ms" in err and "sampling was told to keep this trace" in err
    assert "delivery main: Waiting: sampling keeps the order?[2J of spans" in err
    assert "delivery main: Delivered" in err
    assert not one.asked("test")
    (asked,) = there.api.requests("POST", "/subjectaccessreviews")
    assert asked.body["spec"]["resourceAttributes"]["subresource"] == "tap"
    begun, ended = (record.getMessage() for record in caplog.records if record.name.endswith("trial_calls"))
    assert "alice may, and asks for a test span through pod 'app-2' of shop/agents; pod app-2 sends it" in begun
    assert "of shop/agents through pod app-2: main Delivered, audit NotMatched" in ended


@pytest.mark.parametrize(
    "entries, said",
    [
        ([Entry(name="main", outcome="Dropped", words="rejected")], "main: rejected; look at the backend's own log"),
        ([Entry(name="main", outcome="SampledOut", words="by default")], "main: by default; sampling has left it out"),
        ([Entry(name="main", outcome="Unclear")], "main: look for the trace in the backend"),
        ([Entry(name="main", outcome="Gone")], "main: the config has changed in between"),
        ([Entry(name="main", outcome="Later")], "main: this command line is older than that"),
        ([Entry(name="main", outcome="NotMatched")], "no delivery entry takes it"),
        ([], "the sidecar refuses it"),
    ],
)
async def test_what_did_not_arrive_has_a_next_step(there: World, run: Run, entries: list[Entry], said: str) -> None:
    (one,) = await there.attach("app-1")
    running = asyncio.ensure_future(run())
    command = await one.next("test")
    problem = "" if entries else "the sidecar refuses it, as it would the application's (quota): full"
    await one.report(command.id, running=False, delivery=entries, problem=problem)
    status, out, _ = await running
    assert status == 1
    assert said in out and "it has arrived" not in out


@pytest.mark.parametrize("how", ["silent", "gone", "overdue"])
async def test_a_sidecar_that_says_no_more_is_given_up(there: World, run: Run, screen: Screen, how: str) -> None:
    (one,) = await there.attach("app-1")
    running = asyncio.ensure_future(run("--timeout=1m"))
    command = await one.next("test")
    if how == "gone":
        await one.leave()
    elif how == "silent":
        there.clock.mono += errand.ANSWER
    else:
        await one.report(command.id, stored_seconds=1)
        await screen.shows("acknowledged after")
        there.clock.mono += 60 + errand.GRACE
    status, out, _ = await running
    assert status == 1
    assert {"gone": errand.GONE, "silent": errand.SILENT, "overdue": errand.NOT_ENDED}[how] in out


async def test_where_somebody_may_not_none_is_sent(there: World, run: Run, caplog: pytest.LogCaptureFixture) -> None:
    made = config("agents", "bank", sampling=SAMPLING)
    made["metadata"]["uid"] = "uid-bank"
    there.put(made)
    (one,) = await there.attach("app-1", uid="uid-bank", namespace="bank")
    status, out, err = await run("-n", "bank")
    assert (status, out) == (1, "")
    assert "alice may not create tracingconfigs/tap of tracekeeper.dev, named agents, in namespace bank" in err
    assert "test span refused: alice may not" in caplog.text
    assert not one.asked("test")


async def test_what_cannot_be_asked_is_said(there: World, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    status, _, err = await run()
    assert status == 1 and "no sidecar of shop/agents is attached to the operator" in err
    (one,) = await there.attach("app-1")
    for more, said in (
        ("--timeout=1h", "timeout: more than no seconds, and at most 600"),
        ("--pod=app/1", "pod: must be"),
        ("--pod=app-7", "there are app-1"),
    ):
        status, _, err = await run(more)
        assert status == 1 and said in err
    monkeypatch.setattr(trial_calls, "MOST", 0)
    status, _, err = await run()
    assert status == 1 and "0 test spans are under way: wait for the end of one" in err
    assert not one.asked("test")
