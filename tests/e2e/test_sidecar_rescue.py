"""What a whole sidecar sends after all, because another pod keeps it: while backends go and come back, and it ends."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from control_world import World, serving
from programs import Backend
from sidecar_process import otlp
from told_pods import Pod, pods
from traces_to_sample import trace
from waiting import until

Start = Callable[..., Backend]
SAMPLING = {
    "decisionWait": "1s",
    "rules": [{"name": "errors", "match": 'trace.status == "error"', "probability": 1}],
    "default": {"type": "Probabilistic", "probabilistic": {"probability": 0}},
}


@pytest.fixture
async def here() -> AsyncIterator[World]:
    async with serving(World()) as made:
        yield made


@pytest.fixture
def traces() -> list[list[Span]]:
    chance = random.Random(31)
    return [trace(chance, 6, error=True) for _ in range(25)]


def ids(traces: Iterable[Sequence[Span]]) -> set[str]:
    return {span.span_id.hex() for spans in traces for span in spans}


def redelivered(pod: Pod) -> dict[str, dict[str, str]]:
    pod.sidecar.ledger()  # It closes.
    entries = json.loads(pod.sidecar.get("/ledger")[1])["delivery"]
    return {entry["name"]: entry.get("redelivered", {}) for entry in entries}


async def left_out(pod: Pod, spans: int) -> None:
    await until(lambda: pod.metric("spans_sampled_out_total", delivery="a", rule="default") == spans, "it is left out")


def spec(*backends: Backend, **sections: Any) -> dict[str, Any]:
    named = dict(zip("ab", backends, strict=False))
    entries = [{"name": name, "backends": [name]} for name in named]
    made = [otlp(name, "GRPC", one.grpc) for name, one in named.items()]
    return {"backends": made, "delivery": entries, "sampling": SAMPLING, **sections}


async def test_each_entry_gets_it_once_and_one_whose_backend_is_away_when_that_is_back(
    here: World, tmp_path: Path, start_backend: Start, traces: list[list[Span]]
) -> None:
    a = await asyncio.to_thread(start_backend, "--name", "a")
    b = await asyncio.to_thread(start_backend, "--name", "b")
    async with pods(here, tmp_path, 2, spec(a, b)) as (one, two):
        # Two spans of each trace have come here, and are gone, before the other pod has the error.
        await one.send([span for spans in traces for span in spans[:2]])
        await left_out(one, 50)
        b.fail("unavailable")
        await two.send([span for spans in traces for span in spans[5:]])
        await until(lambda: ids(spans[:2] for spans in traces) <= a.ids(), "the first entry's backend has it")
        assert not b.ids()
        b.fail("ok")
        await until(lambda: b.ids() == ids([*(s[:2] for s in traces), *(s[5:] for s in traces)]), "so has the other")
        for pod in (one, two):
            await asyncio.to_thread(pod.sidecar.settled)
        await until(
            lambda: redelivered(one) == {"a": {"rescue": "50"}, "b": {"rescue": "50"}}, lambda: str(redelivered(one))
        )
        assert redelivered(two) == {"a": {}, "b": {}}
        assert a.json("/stats")["spans"] == len(a.ids()) == 75
        assert one.metric("spans_redelivered_total", delivery="a", reason="rescue") == 50.0
        assert one.metric("rescue_duration_seconds_count") == 50.0  # For each entry.
        assert one.metric("rescue_waiting_traces", delivery="b") == 0.0
        # And in the other direction, later spans of the same traces just follow.
        await one.send([span for spans in traces for span in spans[2:5]])
        await until(lambda: a.ids() == b.ids() == ids(traces), "every span is there")


async def test_what_is_told_while_it_stops_is_still_sent_and_what_waits_at_a_crash_is_given_up(
    here: World, tmp_path: Path, start_backend: Start, traces: list[list[Span]]
) -> None:
    a = await asyncio.to_thread(start_backend, "--name", "a")
    async with pods(here, tmp_path, 2, spec(a)) as (one, two):
        early, late = traces[:10], traces[10:]
        await one.send([span for spans in traces for span in spans[:5]])
        await left_out(one, 125)
        await two.send([span for spans in early for span in spans[5:]])
        await until(lambda: one.told("passed") == 10.0, "it is told")
        assert await asyncio.to_thread(one.sidecar.stop) == 0
        assert a.ids() >= ids(early)
        one.restart()
        await until(lambda: one.metric("control_attached") == 1.0, "it is attached again")
        await asyncio.to_thread(one.sidecar.settled)
        a.fail("unavailable")
        await two.send([span for spans in late for span in spans[5:]])
        await until(lambda: one.told("passed") == 15.0, lambda: f"{one.told('passed')} are told")
        one.restart()
        a.fail("ok")
        await asyncio.to_thread(one.sidecar.settled)
        await asyncio.to_thread(two.sidecar.settled)
        assert redelivered(one) == {"a": {"rescue": "50"}}
        assert a.json("/stats")["spans"] == len(a.ids())
        assert not a.ids() & ids(spans[:5] for spans in late)
