"""A stage over real logs, with time that a test lets pass."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from forward_support.routed import FaultyFiles
from forward_support.spans import ids_of
from log_harness import ManualClock
from tracekeeper_sidecar.decide.coordinator import OnRescue, drop
from tracekeeper_sidecar.decide.overload import OverloadSettings
from tracekeeper_sidecar.decide.rates import RatesFile
from tracekeeper_sidecar.decide.stage import BOUNDS, Stage
from tracekeeper_sidecar.errors import LogError
from tracekeeper_sidecar.log.log import Log
from tracekeeper_sidecar.log.resume import resume
from tracekeeper_sidecar.model import Batch
from tracekeeper_spec.parse import parse_spec
from tracekeeper_spec.resolve import resolve
from tracekeeper_spec.sampling import Sampling
from traces_to_sample import request_of

STEP = 0.25
"""Seconds that pass at a time."""


def section(written: dict[str, Any]) -> Sampling:
    parsed, faults = parse_spec({"sampling": written, "backends": [BACKEND]})
    assert not faults, faults
    found = resolve(parsed).sampling
    assert found is not None
    return found


BACKEND = {"name": "a", "type": "OTLP", "otlp": {"protocol": "GRPC", "endpoint": "http://127.0.0.1:9"}}


class Rig:
    """Made by `running`."""

    def __init__(self, log: Log, kept: Log, stage: Stage, clock: ManualClock) -> None:
        self.log, self.kept, self.stage, self.clock = log, kept, stage, clock
        self.task = asyncio.create_task(stage.run())

    async def put(self, spans: Sequence[Span]) -> None:
        await self.put_raw(request_of(spans), len(spans))

    async def put_raw(self, body: bytes, spans: int) -> None:
        answered: asyncio.Future[LogError | None] = asyncio.get_running_loop().create_future()
        self.log.submit(body, spans, answered.set_result)
        assert await answered is None

    async def until(self, condition: Callable[[], object], what: str) -> None:
        """Let time pass until `condition` is true; it has an hour of the stage's time."""
        async with asyncio.timeout(30):
            begun = self.clock.time
            while not condition():
                assert not self.task.done(), self.task
                assert self.clock.time < begun + 3600, f"never came true: {what}"
                await asyncio.sleep(0.002)
                self.clock.advance(STEP)

    async def decided(self) -> tuple[set[str], Counter[str]]:
        """Wait until everything is cut. Ids of the spans that were kept, and how many were left out by which rule."""
        await self.until(lambda: self.stage.reached.seq == self.log.end.seq, "everything is decided")
        return self.found()

    def found(self) -> tuple[set[str], Counter[str]]:
        out, ids = Counter[str](), list[str]()
        for batch in self._batches():
            out.update(batch.sampled_out)
            assert not batch.lost
            ids += ids_of(batch.body)
        assert len(ids) == len(set(ids)), "something was kept twice"
        assert self.kept.begin.seq + len(ids) + sum(out.values()) == self.kept.end.seq
        return set(ids), out

    def kept_spans(self) -> list[Span]:
        """As a backend gets them."""
        found: list[Span] = []
        for batch in self._batches():
            for resource in ExportTraceServiceRequest.FromString(batch.body).resource_spans:
                found += [span for scope in resource.scope_spans for span in scope.spans]
        return found

    def _batches(self) -> Iterator[Batch]:
        reader = self.kept.reader(self.kept.begin)
        while (batch := reader.read(1 << 20, 64 << 20)) is not None:
            yield batch
        reader.close()


@asynccontextmanager
async def running(
    folder: Path,
    written: dict[str, Any],
    files: FaultyFiles | None = None,
    clock: ManualClock | None = None,
    on_rescue: OnRescue = drop,
    segment_size: int | None = None,
    overload: OverloadSettings = BOUNDS,
) -> AsyncIterator[Rig]:
    files, clock = files or FaultyFiles(), clock or ManualClock()

    def opened(name: str, memory: int) -> Log:
        return Log.open(
            str(folder / name),
            files=files,
            clock=clock,
            quota=256 << 20,
            history=64 << 20,
            segment_size=segment_size,
            memory=memory,
        )

    log, kept = opened("log", 4 << 20), opened("kept", 0)
    saved = RatesFile(str(folder / "kept"), files)
    stage = Stage(
        log, kept, clock, section(written), resume(log, kept), on_rescue=on_rescue, saved=saved, overload=overload
    )
    rig = Rig(log, kept, stage, clock)
    try:
        yield rig
    finally:
        rig.task.cancel()
        await asyncio.wait((rig.task,))
        stage.end()
        await log.close()
        await kept.close()


def ids(*traces: Sequence[Span]) -> set[str]:
    return {span.span_id.hex() for spans in traces for span in spans}
