"""Sidecars as pods have them, with a token and a policy that says where the operator is: a real control server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from opentelemetry.proto.trace.v1.trace_pb2 import Span
from prometheus_client.parser import text_string_to_metric_families

from control_world import CONFIG, World
from sidecar_process import RunningSidecar, Sidecars
from tracekeeper_spec.policy import Control, PolicyDocument, PolicyEntry
from traces_to_sample import request_of
from waiting import until


class Pod:
    """A sidecar with a token, whose policy says where the operator is."""

    def __init__(self, here: World, folder: Path, spec: dict[str, Any], beside: dict[str, Any] | None = None) -> None:
        """`beside`: sections that do not stand in the spec."""
        folder.mkdir()
        assert here.material is not None
        entry = PolicyEntry("agents", "shop", CONFIG, 1, "2026-01-01T00:00:00Z", spec, beside=beside or {})
        control = Control(f"localhost:{here.server.port}", here.material.ca)
        (folder / "policy.json").write_text(PolicyDocument(1, (entry,), control=control).to_json())
        (folder / "token").write_text(f"shop/{folder.name}")
        self.sidecars = Sidecars(folder)
        self.arguments: tuple[str, ...] = (f"--policy={folder}/policy.json", f"--control-token={folder}/token")
        self.sidecar: RunningSidecar = self.sidecars.start(*self.arguments)

    async def send(self, spans: Sequence[Span]) -> None:
        assert await asyncio.to_thread(self.sidecar.send, request_of(spans)) == 200

    def restart(self) -> None:
        self.sidecar.kill()
        self.sidecar = self.sidecars.start(*self.arguments)

    def metric(self, name: str, **labels: str) -> float:
        for family in text_string_to_metric_families(self.sidecar.get("/metrics")[1]):
            for sample in family.samples:
                if sample.name == f"tracekeeper_{name}" and sample.labels == labels:
                    return sample.value
        return -1.0

    def told(self, outcome: str) -> float:
        return self.metric("sampling_told_traces_total", outcome=outcome)


@asynccontextmanager
async def pods(here: World, folder: Path, count: int, spec: dict[str, Any]) -> AsyncIterator[list[Pod]]:
    made = [await asyncio.to_thread(Pod, here, folder / f"app-{number}", spec) for number in range(count)]
    try:
        for pod in made:
            await until(lambda: pod.metric("control_attached") == 1.0, "it is attached")  # noqa: B023 - used at once
        yield made
    finally:
        for pod in made:
            pod.sidecars.end()
