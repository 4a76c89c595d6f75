"""What a tap shows of the spans that come, in a sidecar without its link, and how it ends."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from forward_support.routed import Routed, routed
from tracekeeper_proto.control.v1 import control_pb2 as pb
from tracekeeper_sidecar import tapper as module
from tracekeeper_sidecar.clock import SystemClock
from tracekeeper_sidecar.control.taps import MOST, Taps
from tracekeeper_sidecar.tapper import STOPPED, Tapper
from traces_to_sample import trace
from waiting import until


class Rig:
    """A log without any delivery entry."""

    def __init__(self, made: Routed) -> None:
        self.put = made.put
        self.tapper = Tapper(made.log, SystemClock())
        self.taps = Taps(self.tapper, SystemClock())
        self.said: list[pb.TapState] = []
        self.deaf = False

    def command(self, name: str = "t1", **fields: Any) -> None:
        asked = {"id": name, "spans": 10, "seconds": 60, **fields}
        self.taps.command(pb.TapCommand(**asked), self.send)

    def send(self, message: pb.FromSidecar) -> bool:
        if self.deaf:
            return False
        self.said.append(message.tap)
        return True

    def shown(self) -> list[Span]:
        return [span for state in self.said for span in spans_of(state.request)]

    async def last(self) -> pb.TapState:
        """What is said when it has ended."""
        await until(lambda: self.said and not self.said[-1].running, "it has ended")
        return self.said[-1]


def spans_of(request: bytes) -> list[Span]:
    message = ExportTraceServiceRequest.FromString(request)
    return [span for resource in message.resource_spans for scope in resource.scope_spans for span in scope.spans]


def ids(spans: Sequence[Span]) -> list[str]:
    return [span.span_id.hex() for span in spans]


@pytest.fixture
async def there(tmp_path: Path) -> AsyncIterator[Rig]:
    async with routed(tmp_path) as made:
        rig = Rig(made)
        try:
            yield rig
        finally:
            await rig.tapper.stop()


async def test_it_shows_what_comes_from_then_on_and_no_more_than_is_asked_for(there: Rig) -> None:
    chance = random.Random(1)
    await there.put(trace(chance))
    there.command(spans=6)
    assert (there.said[0].running, there.said[0].spans) == (True, 0), "the first word comes at once"
    first, second, third = (trace(chance) for _ in range(3))
    await there.put(first)
    await until(lambda: len(there.shown()) == 4, "they are shown at once")
    await there.put(second, third)
    last = await there.last()
    assert ids(there.shown()) == ids([*first, *second[:2]])
    assert (last.problem, last.passed_over, last.too_large) == ("", 0, 0)
    assert sum(state.spans for state in there.said) == 6
    (resource,) = ExportTraceServiceRequest.FromString(there.said[1].request).resource_spans
    assert resource.resource.attributes[0].value.string_value == "shop", "with what surrounds them"


async def test_it_shows_those_that_match(there: Rig) -> None:
    there.command(spans=1, where='span.name == "root"')
    spans = trace(random.Random(1))
    await there.put(spans)
    last = await there.last()
    assert ids(there.shown()) == ids(spans[-1:])
    assert (last.looked_at, last.matched) == (4, 1)


async def test_it_ends_by_itself_when_its_time_is_up(there: Rig) -> None:
    there.command(seconds=0.2)
    last = await there.last()
    assert (last.problem, last.looked_at) == ("", 0)


async def test_it_can_be_ended(there: Rig) -> None:
    there.command()
    there.taps.stop(pb.TapStop(id="another"))
    there.taps.stop(pb.TapStop(id="t1"))
    assert (await there.last()).problem == STOPPED


async def test_it_ends_with_the_stream(there: Rig) -> None:
    there.command()
    (tap,) = there.taps._taps.values()
    there.taps.detached()
    await until(lambda: not tap.running and not there.tapper._tasks, "it has ended")
    await there.put(trace(random.Random(1)))
    assert len(there.said) == 1
    there.command()
    assert there.said[-1].running, "another one may begin"


async def test_what_comes_too_fast_is_passed_over(there: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEHIND", 30)
    chance = random.Random(1)
    there.command(spans=1000)
    await until(lambda: there.said, "it has begun")
    await there.put(*(trace(chance) for _ in range(25)), whole=True)
    # It has looked already, and looks again after a moment.
    await until(lambda: next(iter(there.taps._taps.values())).passed_over == 100, "they are passed over")
    more = trace(chance)
    await there.put(more)
    await until(there.shown, "it goes on at the end of the log")
    assert ids(there.shown()) == ids(more)


async def test_no_span_is_shown_that_is_too_large_and_no_tap_shows_too_much(
    there: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PIECE", 600)
    monkeypatch.setattr(module, "LARGEST", 1000)
    monkeypatch.setattr(module, "ALL", 2000)
    chance = random.Random(1)
    there.command(spans=1000)
    large = trace(chance)
    large[1].attributes.add(key="prompt").value.string_value = "x" * 1000
    await there.put(large)
    await until(lambda: len(there.shown()) == 3, "the others are shown")
    assert ids(there.shown()) == ids([large[0], *large[2:]])
    assert all(len(state.request) <= 600 for state in there.said)
    for _ in range(10):
        await there.put(trace(chance))
    last = await there.last()
    assert last.problem == module.MUCH
    assert last.too_large == 1
    assert sum(len(state.request) for state in there.said) <= 2000


@pytest.mark.parametrize(
    "wrong, said",
    [
        ({"spans": 0}, "spans: more than none"),
        ({"spans": 1001}, "at most 1000"),
        ({"seconds": 0}, "seconds: more than none"),
        ({"seconds": float("nan")}, "seconds: more than none"),
        ({"seconds": 601}, "at most 600"),
        ({"where": "span.names == 1"}, "span.name"),
    ],
)
async def test_what_cannot_be_done_is_said_at_once(there: Rig, wrong: dict[str, Any], said: str) -> None:
    there.command(**wrong)
    (state,) = there.said
    assert (state.id, state.running) == ("t1", False)
    assert said in state.problem
    assert not there.tapper._tasks


async def test_there_are_few_at_once_and_each_sees_everything(there: Rig) -> None:
    for number in range(MOST):
        there.command(f"t{number}", spans=4)
    there.command("t0", spans=4)
    there.command("one-more")
    assert [(state.id, state.running) for state in there.said[MOST:]] == [("one-more", False)]
    assert f"{MOST} taps are under way" in there.said[-1].problem
    await there.put(trace(random.Random(1)))
    await until(lambda: not there.taps._taps, "all have ended")
    assert len(there.shown()) == 4 * MOST
    there.command("one-more")
    assert there.said[-1].running


async def test_what_cannot_be_told_is_counted(there: Rig) -> None:
    there.command(spans=8)
    there.deaf = True
    chance = random.Random(1)
    await there.put(trace(chance))
    tap = there.taps._taps["t1"]
    await until(lambda: tap.passed_over == 4, "nobody reads what is said")
    there.deaf = False
    await there.put(trace(chance))
    last = await there.last()
    assert (last.passed_over, len(there.shown())) == (4, 4)
