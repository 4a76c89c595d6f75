"""Whole sidecars that see parts of the same traces, attached to a real control server: what one keeps all keep."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from pathlib import Path

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from control_world import CONFIG, World, serving
from programs import Backend
from sidecar_process import otlp
from told_pods import pods
from tracekeeper_operator.control.facts import ConfigFacts
from tracekeeper_spec.sampling import Adaptive as Limits
from traces_to_sample import trace
from waiting import until

Start = Callable[..., Backend]
TARGET = 40.0
ERRORS = {
    "decisionWait": "1s",
    "rules": [{"name": "errors", "match": 'trace.status == "error"', "probability": 1}],
    "default": {"type": "Probabilistic", "probabilistic": {"probability": 0}},
}
ADAPTIVE = {
    "decisionWait": "1s",
    "default": {"type": "Adaptive", "adaptive": {"targetTracesPerSecond": TARGET, "per": "Config"}},
}


@pytest.fixture
async def here() -> AsyncIterator[World]:
    async with serving(shared()) as made:
        yield made


def shared() -> World:
    """Its one config has a target."""
    made = World()
    made.configs[CONFIG] = ConfigFacts(CONFIG, "shop", "agents", Limits(TARGET))
    return made


def ids(traces: Iterable[Sequence[Span]]) -> set[str]:
    return {span.span_id.hex() for spans in traces for span in spans}


async def test_an_error_in_one_pod_keeps_the_trace_in_all_of_them(
    here: World, tmp_path: Path, start_backend: Start
) -> None:
    a = await asyncio.to_thread(start_backend, "--name", "a")
    chance = random.Random(21)
    bad, good = [trace(chance, 6, error=True) for _ in range(20)], [trace(chance, 6) for _ in range(20)]
    both = [*bad, *good]
    spec = {"backends": [otlp("a", "GRPC", a.grpc)], "sampling": ERRORS}
    async with pods(here, tmp_path, 3, spec) as (one, two, three):
        # What the first pod has is decided on, and gone, before anybody knows of the error.
        await one.send([span for spans in both for span in spans[:2]])
        await until(
            lambda: one.metric("spans_sampled_out_total", delivery="a", rule="default") == 80.0, "it is left out"
        )
        assert not a.ids()
        await two.send([span for spans in both for span in spans[2:4]])
        await three.send([span for spans in both for span in spans[5:]])
        early = [*(spans[:4] for spans in bad), *(spans[5:] for spans in bad)]
        await until(lambda: a.ids() == ids(early), lambda: f"{len(ids(early) - a.ids())} spans are missing")
        # And so is whatever comes late, also where nothing was known of the trace, and after a restart.
        assert one.told("passed") == 20.0 and three.told("kept") == 20.0
        await one.send([span for _ in range(5) for span in trace(chance)])  # With them the verdicts come to disk.
        await asyncio.to_thread(one.sidecar.settled)
        await asyncio.to_thread(one.restart)
        await one.send([span for spans in both for span in spans[4:5]])
        await until(lambda: a.ids() == ids(bad), lambda: f"{len(ids(bad) - a.ids())} spans are missing")
        for pod in (one, two, three):
            await asyncio.to_thread(pod.sidecar.settled)
        assert a.ids() == ids(bad)


async def test_a_target_is_shared_by_what_each_has_and_outlives_the_operator(
    tmp_path: Path, start_backend: Start
) -> None:
    here = shared()
    serve = asyncio.create_task(here.server.run())
    await until(here.server.started.is_set, "the control server serves")
    a = await asyncio.to_thread(start_backend, "--name", "a")
    chance = random.Random(22)
    async with pods(here, tmp_path, 2, {"backends": [otlp("a", "GRPC", a.grpc)], "sampling": ADAPTIVE}) as (busy, idle):

        async def load() -> None:
            while True:
                await busy.send([span for _ in range(50) for span in trace(chance, 2)])
                await asyncio.sleep(0.2)  # This is the load: rates are per second of real time. Nothing waits for it.

        loading = asyncio.create_task(load())
        try:
            for pod in (busy, idle):
                await until(lambda: pod.metric("sampling_sidecars") == 2.0, "it knows of the other")  # noqa: B023
            await until(lambda: busy.metric("sampling_share_traces_per_second") > 0.9 * TARGET, "most of it is its")
            await until(lambda: idle.metric("sampling_share_traces_per_second") < 0.1 * TARGET, "the other has little")
            await until(lambda: busy.metric("sampling_floor_probability") > 0.02, "it is told the floor")
            share = busy.metric("sampling_share_traces_per_second")
            assert share <= TARGET
            serve.cancel()
            await asyncio.wait((serve,))
            await until(lambda: busy.metric("control_attached") == 0.0, "the operator is gone")
            before = len(a.ids())
            assert busy.metric("sampling_share_traces_per_second") == share
            await until(lambda: len(a.ids()) > before, "sampling goes on")
        finally:
            loading.cancel()
            serve.cancel()
            await asyncio.wait((loading, serve))
        await asyncio.to_thread(busy.sidecar.ledger)
