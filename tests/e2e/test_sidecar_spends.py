"""A real sidecar states what calls of models have cost to the real control server: exactly, whoever is killed."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from budget_world import DAILY, BudgetWorld, working_budget_world
from sidecar_process import otlp
from told_pods import Pod
from tracekeeper_operator.budgets.standing import dollars
from waiting import until

BESIDE = {
    "budgets": [
        {
            "name": "daily",
            "limit": {"amount": "10"},
            "unknown": "Deny",
        }
    ]
}
SPEC = {"backends": [otlp("a", "HTTP", 9)]}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[BudgetWorld]:
    async with working_budget_world(tmp_path) as world:
        yield world


def call(number: int) -> Span:
    """Of a model: 100,000 tokens in and as many out, for $1.25."""
    now = time.time_ns()
    span = Span(
        trace_id=number.to_bytes(16, "big"),
        span_id=number.to_bytes(8, "big"),
        name="chat gpt-4o",
        kind=Span.SPAN_KIND_CLIENT,
        start_time_unix_nano=now - 10**9,
        end_time_unix_nano=now,
    )
    for key, text in (
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.provider.name", "openai"),
        ("gen_ai.request.model", "gpt-4o"),
        ("gen_ai.agent.name", "planner"),
        ("user.id", f"user-{number}"),
    ):
        span.attributes.add(key=key).value.string_value = text
    for key in ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"):
        span.attributes.add(key=key).value.int_value = 100_000
    return span


def spent(world: BudgetWorld) -> str:
    standing = world.book.standing("shop/agents", DAILY, "shop")
    assert standing is not None
    return dollars(standing.spent)


async def end(pod: Pod) -> None:
    assert await asyncio.to_thread(pod.sidecar.stop) == 0


async def begin(pod: Pod) -> None:
    pod.sidecar = await asyncio.to_thread(pod.sidecars.start, *pod.arguments)
    await until(lambda: pod.metric("control_attached") == 1.0, "it is attached")


async def test_what_was_spent_is_known_to_the_billionth_whoever_is_killed(world: BudgetWorld, tmp_path: Path) -> None:
    pod = await asyncio.to_thread(Pod, world.world, tmp_path / "app", SPEC, BESIDE)
    pod.arguments += ("--drain-timeout=1s",)
    try:
        await until(lambda: pod.metric("control_attached") == 1.0, "it is attached")
        assert decision(pod).items() >= {"state": "Unknown", "allowed": False, "spent": None}.items()
        await pod.send([call(1)])
        await end(pod)
        assert spent(world) == "1.25"
        await begin(pod)
        await until(lambda: decision(pod)["state"] != "Unknown", "it is told how its budget stands")
        assert decision(pod).items() >= {"spent": "1.25", "limit": "10", "allowed": True}.items()
        await pod.send([call(2)])
        await asyncio.to_thread(pod.sidecar.kill)
        await begin(pod)
        await pod.send([call(3)])
        await end(pod)
        assert spent(world) == "3.75"
        standing = world.book.standing("shop/agents", DAILY, "shop")
        assert standing is not None
        assert sorted(place.key[0] for place in standing.ranks["User"]) == ["user-1", "user-2", "user-3"]
    finally:
        pod.sidecars.end()


def decision(pod: Pod) -> dict[str, object]:
    status, body = pod.sidecar.get("/v1/budgets/daily/decision")
    assert status == 200, body
    found: dict[str, object] = json.loads(body)
    return found
