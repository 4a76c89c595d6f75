"""What a sidecar tells the operator is made of redacted spans, too: statements of cost, with their groups, and how it
stands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from budget_world import BudgetWorld, working_budget_world
from sidecar_process import otlp
from told_pods import Pod
from tracekeeper_operator.control import messages
from tracekeeper_proto.control.v1 import control_pb2 as pb
from waiting import until

NAMES = (
    "gen_ai.agent.name",
    "gen_ai.tool.name",
    "gen_ai.request.model",
    "gen_ai.response.model",
    "gen_ai.provider.name",
    "gen_ai.conversation.id",
    "user.id",
    "tracekeeper.project",
    "deployment.environment.name",
    "error.type",
)
PIPELINE = [
    {"name": "normalize", "type": "Normalize"},
    {"name": "redact", "type": "Redact"},
    {"name": "price", "type": "Price"},
    {"name": "detect", "type": "Detect"},
]
BESIDE = {"budgets": [{"name": "daily", "limit": {"amount": "10"}}, {"name": "users", "limit": {"amount": "1"}}]}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[BudgetWorld]:
    async with working_budget_world(tmp_path) as world:
        yield world


def planted(number: int, now: int) -> Span:
    span = Span(
        trace_id=number.to_bytes(16, "big"),
        span_id=number.to_bytes(8, "big"),
        name=f"chat canary{number}@nest.example.org",
        kind=Span.SPAN_KIND_CLIENT,
        start_time_unix_nano=now - 10**9,
        end_time_unix_nano=now,
    )
    span.attributes.add(key="gen_ai.operation.name").value.string_value = "chat"
    for key in NAMES:
        span.attributes.add(key=key).value.string_value = f"canary{number}@nest.example.org"
    span.attributes.add(key="gen_ai.usage.cost").value.double_value = 0.25
    for key in ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"):
        span.attributes.add(key=key).value.int_value = 100_000
    span.status.code = span.status.STATUS_CODE_ERROR
    return span


async def test_no_canary_is_told_to_the_operator(
    world: BudgetWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[bytes] = []
    read = messages.read

    def listening(data: bytes) -> pb.FromSidecar:
        heard.append(data)
        return read(data)

    monkeypatch.setattr("tracekeeper_operator.control.attach.read", listening)
    spec: dict[str, Any] = {"backends": [otlp("a", "HTTP", 9)], "processors": PIPELINE}
    pod = await asyncio.to_thread(Pod, world.world, tmp_path / "app", spec, BESIDE)
    try:
        await until(lambda: pod.metric("control_attached") == 1.0, "it is attached")
        now = int(world.world.clock.now() * 1e9)
        await pod.send([planted(number, now) for number in range(1, 9)])
        await until(
            lambda: any(pb.FromSidecar.FromString(data).WhichOneof("message") == "statement" for data in heard),
            "it states what was spent",
        )
    finally:
        pod.sidecars.end()
    kinds = {pb.FromSidecar.FromString(data).WhichOneof("message") for data in heard}
    assert kinds >= {"hello", "standing", "statement"}, kinds
    assert any(b"[REDACTED]" in data for data in heard), "groups of budgets are told by their names"
    assert not [data for data in heard if b"canary" in data]
