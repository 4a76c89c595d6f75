"""`tracekeeper tap` against the real control server over TLS, with pods that show what a test says."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable

import pytest

from control_objects import config
from people_world import SAMPLING, SPAN, TRACE, World
from screen import Screen
from tracekeeper_cli.__main__ import main
from tracekeeper_operator.control import errand, tap_calls, tapping
from waiting import until

Run = Callable[..., Awaitable[tuple[int, str, str]]]


@pytest.fixture
def run(there: World, screen: Screen) -> Run:
    async def command(*more: str, name: str = "agents") -> tuple[int, str, str]:
        where = [f"--server={there.address}", f"--ca={there.directory}/ca.crt"]
        status = await asyncio.to_thread(main, ["tap", name, *where, *more])
        return status, *screen.read()

    return command


async def test_spans_are_shown_until_there_are_enough(
    there: World, run: Run, screen: Screen, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tracekeeper_operator")
    one, two = await there.attach("app-1", "app-2")
    running = asyncio.ensure_future(run("--spans=3", "--for=1m", '--where=span.name != "x"'))
    command = await one.next("tap")
    assert (command.spans, command.seconds, command.where) == (3, 60, 'span.name != "x"')
    assert (await two.next("tap")).id == command.id
    await one.show(command.id, "GET /cart", looked_at=5, matched=2)
    await screen.shows("GET /cart")
    await two.show(command.id, "ask \x1b[2J", "one", "too many", looked_at=3, matched=3, passed_over=7)
    status, out, err = await running
    assert status == 0, err
    heads = [line for line in out.splitlines() if not line.startswith(" ")]
    assert [line.split(" ", 1)[1].split(" (")[0] for line in heads] == [
        "app-1 shop: GET /cart",
        "app-2 shop: ask ?[2J",
        "app-2 shop: one",
    ]
    assert f"trace {TRACE.hex()} span {SPAN.hex()}" in heads[0] and "root" in heads[0]
    assert "3 spans shown, as 2 sidecars stored them" in err
    assert "3 spans of 8 do not match --where" in err and "7 spans came faster" in err
    for pod in (one, two):
        assert (await pod.next("tap_stop")).id == command.id
    (asked,) = there.api.requests("POST", "/subjectaccessreviews")
    attributes = asked.body["spec"]["resourceAttributes"]
    assert [attributes[key] for key in ("verb", "resource", "subresource")] == ["create", "tracingconfigs", "tap"]
    begun, ended = (record.getMessage() for record in caplog.records if record.name.endswith("tap_calls"))
    assert "alice may, and asks for 3 spans where" in begun and "2 sidecars of 2 are asked" in begun
    assert "of shop/agents has ended: 4 spans shown to alice" in ended


async def test_for_programs_there_is_otlp_json(there: World, run: Run) -> None:
    (one,) = await there.attach("app-1")
    running = asyncio.ensure_future(run("--spans=1", "-o", "json"))
    command = await one.next("tap")
    await one.show(command.id, "GET /cart")
    status, out, _ = await running
    assert status == 0
    shown = json.loads(out)
    (span,) = shown["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert (shown["pod"], span["name"]) == ("app-1", "GET /cart")
    assert (span["traceId"], span["spanId"]) == (TRACE.hex(), SPAN.hex())


async def test_where_somebody_may_not_no_span_is_seen(there: World, run: Run, caplog: pytest.LogCaptureFixture) -> None:
    made = config("agents", "bank", sampling=SAMPLING)
    made["metadata"]["uid"] = "uid-bank"
    there.put(made)
    (one,) = await there.attach("app-1", uid="uid-bank", namespace="bank")
    for name in ("agents", "nobody"):
        status, out, err = await run("-n", "bank", name=name)
        assert (status, out) == (1, "")
        assert f"alice may not create tracingconfigs/tap of tracekeeper.dev, named {name}, in namespace bank" in err
        assert "tap refused: alice may not" in caplog.text
    assert not one.asked("tap")


async def test_pods_elsewhere_to_which_the_config_is_lent_are_not_asked(there: World, run: Run) -> None:
    own, lent = (await there.attach("app-1"))[0], (await there.attach("app-2"))[0]
    (attached,) = [each for each in there.server.attached("uid-agents") if each.identity.pod == "app-2"]
    object.__setattr__(attached.identity, "namespace", "bank")
    running = asyncio.ensure_future(run("--spans=1"))
    await own.show((await own.next("tap")).id, "mine")
    status, _, err = await running
    assert status == 0 and "as 1 sidecar stored them" in err
    assert not lent.asked("tap")
    status, _, err = await run("--pod=app-2")
    assert status == 1 and "in a pod 'app-2' is attached to the operator; there are app-1" in err


async def test_only_who_was_asked_is_heard_and_never_beyond_what_was_asked(there: World, run: Run) -> None:
    one, two = await there.attach("app-1", "app-2")
    running = asyncio.ensure_future(run("--pod=app-1", "--spans=2"))
    command = await one.next("tap")
    await two.show(command.id, "not asked")
    await two.show("another", "not asked")
    await one.show("another", "of another tap")
    await one.show(command.id, "first")
    await one.show(command.id, "second", "third")
    await one.show(command.id, "fourth")
    status, out, err = await running
    assert status == 0, err
    assert [line.split(": ")[1].split(" (")[0] for line in out.splitlines() if line[0] != " "] == ["first", "second"]
    assert not two.asked("tap")


async def test_what_a_sidecar_cannot_do_and_one_that_goes_are_said(there: World, run: Run, screen: Screen) -> None:
    one, two, three = await there.attach("app-1", "app-2", "app-3")
    running = asyncio.ensure_future(run())
    command = await one.next("tap")
    await two.next("tap")
    await three.next("tap")
    await one.show(command.id, running=False, problem="4 taps are under way: \x1b[2Jwait")
    await two.show(command.id, "GET /cart")
    await screen.shows("GET /cart")
    await two.leave()
    await until(lambda: "app-2" not in there.attached(), "one has gone")
    there.clock.mono += errand.ANSWER
    status, out, err = await running
    assert status == 1
    assert "GET /cart" in out
    assert "app-1: 4 taps are under way: ?[2Jwait" in err
    assert f"app-2: {errand.GONE}" in err
    assert f"app-3: {errand.SILENT}" in err
    await three.next("tap_stop")


async def test_when_nothing_comes_the_next_step_is_said(there: World, run: Run) -> None:
    (one,) = await there.attach("app-1")
    running = asyncio.ensure_future(run("--for=5s"))
    command = await one.next("tap")
    assert command.seconds == 5
    await one.show(command.id, running=False)
    status, out, err = await running
    assert (status, out) == (0, "")
    assert "no span came in that time: `kubectl tracekeeper send-test-span`" in err


@pytest.mark.parametrize(
    "more, said",
    [
        (("--pod=no/pod",), "pod: must be"),
        (("--for=1h",), "for: more than no seconds, and at most 600"),
        (("--pod=app-9",), "no sidecar of shop/agents in a pod 'app-9' is attached to the operator; there are app-1"),
    ],
)
async def test_what_is_wrong_with_a_request_is_said(there: World, run: Run, more: tuple[str, ...], said: str) -> None:
    (one,) = await there.attach("app-1")
    status, out, err = await run(*more)
    assert (status, out) == (1, "")
    assert said in err
    assert not one.asked("tap")


async def test_what_the_command_line_itself_can_tell_is_said_at_once(run: Run) -> None:
    status, _, err = await run("--where=span.nme == 1")
    assert status == 2 and "--where: at character 6: span has no field nme" in err
    for spans in ("0", "1001"):
        status, _, err = await run(f"--spans={spans}")
        assert status == 2 and "--spans: more than none, and at most 1000" in err


async def test_without_sidecars_it_says_what_may_be_the_matter(run: Run) -> None:
    status, _, err = await run()
    assert status == 1 and "no sidecar of shop/agents is attached to the operator. Are there pods" in err


async def test_of_many_some_are_asked_and_few_taps_are_under_way(
    there: World, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tap_calls, "SIDECARS", 2)
    monkeypatch.setattr(tap_calls, "MOST", 1)
    pods = await there.attach("app-1", "app-2", "app-3")
    running = asyncio.ensure_future(run("--spans=1"))
    await until(lambda: sum(bool(pod.asked("tap")) for pod in pods) == 2, "two are asked")
    status, _, err = await run()
    assert status == 1 and "1 taps are under way: wait for the end of one" in err
    asked = next(pod for pod in pods if pod.asked("tap"))
    await asked.show(asked.asked("tap")[0].id, "one")
    status, _, err = await running
    assert status == 0 and "2 sidecars of 3 that are attached" in err
    assert sum(bool(pod.asked("tap")) for pod in pods) == 2


async def test_what_waits_to_be_told_has_a_bound(there: World, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tapping, "MOST_WAITING", 100)
    (one,) = await there.attach("app-1")
    running = asyncio.ensure_future(run("--spans=5"))
    command = await one.next("tap")
    await one.show(command.id, "x" * 200)
    await one.show(command.id, running=False)
    status, out, err = await running
    assert (status, out) == (0, "")
    assert "spans shown" in err
