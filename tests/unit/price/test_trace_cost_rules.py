"""Rules of sampling that go by what traces have cost, and by their tokens."""

from __future__ import annotations

import random
from pathlib import Path
from types import MappingProxyType

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from forward_support.routed import FaultyFiles, sampling
from log_harness import ManualClock
from stage_rig import ids, running
from traces_to_sample import trace

DEAR = {"name": "dear", "match": "trace.cost > 0.5", "probability": 1}
LONG = {"name": "long", "match": "trace.tokens >= 1000", "probability": 1}
NOTHING = MappingProxyType[str, str]({})


def calls(
    chance: random.Random, *costs: float | None, tokens: int = 10, also: MappingProxyType[str, str] = NOTHING
) -> list[Span]:
    """A trace whose children are calls of models that have cost so many dollars, or nobody knows how many."""
    made = trace(chance, len(costs) + 1)
    for span, cost in zip(made, costs, strict=False):
        said = {"gen_ai.operation.name": "chat", **also}
        said["tracekeeper.cost.source"] = "unknown" if cost is None else "computed"
        for key, value in said.items():
            span.attributes.add(key=key).value.string_value = value
        span.attributes.add(key="gen_ai.usage.input_tokens").value.int_value = tokens
        if cost is not None:
            span.attributes.add(key="gen_ai.usage.cost").value.double_value = cost
    return made


@pytest.fixture
def chance() -> random.Random:
    return random.Random(3)


async def test_a_trace_that_has_cost_much_is_kept(tmp_path: Path, chance: random.Random) -> None:
    async with running(tmp_path, sampling(DEAR)) as rig:
        dear, cheap = calls(chance, 0.25, 0.3), calls(chance, 0.25, 0.25)
        unknown, other = calls(chance, None, None), trace(chance)
        for spans in zip(dear, cheap, unknown, strict=True):
            await rig.put(spans)
        await rig.put(other)
        assert await rig.decided() == (ids(dear), {"default": 10})


async def test_a_trace_with_many_tokens_is_kept(tmp_path: Path, chance: random.Random) -> None:
    repeated = MappingProxyType({"gen_ai.operation.name": "invoke_agent"})
    async with running(tmp_path, sampling(LONG)) as rig:
        many, few = calls(chance, None, 0.1, tokens=500), calls(chance, 0.1, tokens=999)
        twice = calls(chance, 0.1, tokens=5000, also=repeated)
        for spans in (many, few, twice):
            await rig.put(spans)
        assert await rig.decided() == (ids(many), {"default": 4})


async def test_what_a_trace_has_cost_outlives_a_restart(tmp_path: Path, chance: random.Random) -> None:
    clock, files = ManualClock(), FaultyFiles()
    dear = calls(chance, 0.25, 0.3)
    async with running(tmp_path, sampling(DEAR, wait="30m"), files, clock) as rig:
        await rig.put(dear[:1])
        await rig.until(lambda: rig.stage.health().open_traces == 1, "the first call is folded")
    async with running(tmp_path, sampling(DEAR, wait="30m"), files, clock) as rig:
        await rig.put(dear[1:])
        assert await rig.decided() == (ids(dear), {})


async def test_tokens_that_cannot_be_keep_no_trace(tmp_path: Path, chance: random.Random) -> None:
    async with running(tmp_path, sampling(LONG)) as rig:
        await rig.put(calls(chance, 0.1, tokens=2**61))
        many = calls(chance, 0.1, tokens=10**9)
        await rig.put(many)
        assert await rig.decided() == (ids(many), {"default": 2})


async def test_only_the_name_of_a_detector_keeps_a_trace_as_one_in_which_something_was_detected(
    tmp_path: Path, chance: random.Random
) -> None:
    async with running(tmp_path, sampling({"name": "odd", "match": "trace.detected", "probability": 1})) as rig:
        found, text, other, bare = (trace(chance, 1) for _ in range(4))
        found[0].attributes.add(key="tracekeeper.detected").value.array_value.values.add(string_value="Loop")
        text[0].attributes.add(key="tracekeeper.detected").value.string_value = "Loop"
        other[0].attributes.add(key="tracekeeper.detected").value.array_value.values.add(string_value="Loops")
        bare[0].attributes.add(key="tracekeeper.detected").value.array_value.SetInParent()
        for spans in (found, text, other, bare):
            await rig.put(spans)
        assert await rig.decided() == (ids(found), {"default": 3})
