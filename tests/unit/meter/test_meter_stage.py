"""The meter's pass over the log: what is acknowledged is counted once, whatever ends the process in between."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from log_harness import DIRECTORY, ManualClock, open_log
from metered_spans import agent_runs, counted, differences
from simulated_files import SimulatedFiles
from tracekeeper_sidecar.log.log import Log
from tracekeeper_sidecar.meter.checkpoint import CheckpointFile
from tracekeeper_sidecar.meter.families import METER_MISSED, METERING
from tracekeeper_sidecar.meter.stage import Stage
from tracekeeper_spec.price import PriceOverride
from waiting import until

QUOTA = 8 << 20
CRASHES = 100


def spans_of(message: ExportTraceServiceRequest) -> int:
    return sum(len(scope.spans) for one in message.resource_spans for scope in one.scope_spans)


class Process:
    """A log, and a stage that counts what it holds."""

    def __init__(self, files: SimulatedFiles, clock: ManualClock, quota: int, segment_size: int | None) -> None:
        self.files, self.clock = files, clock
        self.log: Log = open_log(files, clock, quota, segment_size=segment_size, history=quota // 2)
        self.stage = Stage(self.log, clock, CheckpointFile(DIRECTORY, files, quota))
        self.task = asyncio.create_task(self.stage.run())

    async def put(self, message: ExportTraceServiceRequest) -> None:
        await self.log.append(message.SerializeToString(), spans_of(message))

    async def pass_time(self, seconds: float) -> None:
        """Let time pass in steps in which the stage has turns."""
        for _ in range(max(1, int(seconds / 0.25))):
            self.clock.advance(0.25)
            for _ in range(12):
                await asyncio.sleep(0)

    async def counted_all(self) -> None:
        async with asyncio.timeout(30):
            while self.stage.counted.seq < self.log.end.seq:
                await asyncio.sleep(0.001)
                self.clock.advance(0.25)

    async def end(self) -> None:
        self.task.cancel()
        await asyncio.wait((self.task,))
        self.stage.close()
        await self.log.close()


@asynccontextmanager
async def process(
    files: SimulatedFiles, clock: ManualClock | None = None, quota: int = QUOTA, segment_size: int | None = None
) -> AsyncIterator[Process]:
    running = Process(files, clock or ManualClock(), quota, segment_size)
    try:
        yield running
    finally:
        await running.end()


@pytest.mark.parametrize("seed", range(4))
async def test_no_crash_makes_a_span_count_twice_or_never(seed: int) -> None:
    chance, files, clock = random.Random(seed), SimulatedFiles(), ManualClock()
    messages, runs = list[ExportTraceServiceRequest](), agent_runs(seed, 100_000)
    for _ in range(CRASHES // 4):
        async with process(files, clock) as one:
            for _ in range(chance.randrange(6)):
                message = next(runs)
                messages.append(message)
                await one.put(message)
                if chance.random() < 0.7:
                    await one.pass_time(chance.choice((0.25, 1.0, 12.0)))
            if chance.random() < 0.2:
                await one.stage.finish()
            files = files.crash(chance)
    async with process(files, clock) as last:
        await last.stage.finish()
        assert differences(last.stage.read(), messages) == []
        assert last.stage.missed == 0


async def test_what_was_kept_goes_on_after_a_restart_without_the_log() -> None:
    """Counts are not read again from the log, which may have let it go."""
    files, clock = SimulatedFiles(), ManualClock()
    messages = list(agent_runs(1, 50))
    async with process(files, clock) as one:
        for message in messages:
            await one.put(message)
        await one.stage.finish()
        one.log.release(one.log.end)
    async with process(files, clock) as two:
        reader = two.stage
        await two.counted_all()
        assert differences(reader.read(), messages) == []
        assert {row.born for rows in reader.read().families.values() for row in rows} == {0}


async def test_spans_that_gave_way_before_they_were_counted_are_missed() -> None:
    files, clock, quota, messages = SimulatedFiles(), ManualClock(), 1 << 20, agent_runs(2, 100_000)
    async with process(files, clock, quota) as one:
        await one.put(next(messages))
        await one.stage.finish()
        before = one.stage.counted.seq
        one.task.cancel()
        await asyncio.wait((one.task,))
        while one.log.begin.seq <= before:  # Nobody counts, and the log's room is needed.
            await one.put(next(messages))
            one.log.release(one.log.end)
        begin, end = one.log.begin.seq, one.log.end.seq
    async with process(files, clock, quota) as two:
        await two.stage.finish()
        assert two.stage.missed == begin - before
        families = counted(two.stage.read())
        assert families[METER_MISSED.name][()] == begin - before
        assert sum(families["tracekeeper_metered_spans_total"].values()) == end - (begin - before)


async def test_the_log_keeps_what_is_not_counted_yet_while_there_is_room() -> None:
    files, clock = SimulatedFiles(), ManualClock()
    async with process(files, clock, segment_size=32 << 10) as one:
        await one.stage.checkpoint()
        one.task.cancel()
        await asyncio.wait((one.task,))
        one.log.resize(QUOTA, 0)  # No history.
        messages = agent_runs(3, 100_000)
        while one.log.end.segment < 4:
            await one.put(next(messages))
            one.log.release(one.log.end)
        assert one.log.begin.seq == 0
        await one.stage.finish()
        await one.put(next(messages))
        await until(lambda: one.log.begin.seq, "what is counted may go")


async def test_what_a_crash_left_to_count_stays_until_the_stage_begins() -> None:
    """Delivery lets go of it before: the stage waits for the policy."""
    files, clock, messages = SimulatedFiles(), ManualClock(), agent_runs(4, 100_000)
    async with process(files, clock, segment_size=32 << 10) as one:
        await one.put(next(messages))
        await one.stage.checkpoint()
        one.task.cancel()
        await asyncio.wait((one.task,))
        while one.log.end.segment < 6:
            await one.put(next(messages))
        end = one.log.end.seq
    log = open_log(files, clock, QUOTA, segment_size=32 << 10)
    stage = Stage(log, clock, CheckpointFile(DIRECTORY, files, QUOTA))
    log.release(log.end)
    log.prefer(log.end)
    for _ in range(40):  # The log deletes between commits.
        message = next(messages)
        await log.append(message.SerializeToString(), spans_of(message))
    assert log.end.seq > end
    assert log.begin.seq == 0
    await stage.finish()
    assert (stage.missed, stage.counted.seq) == (0, log.end.seq)
    stage.close()
    await log.close()


async def test_a_checkpoint_that_cannot_be_read_begins_anew(caplog: pytest.LogCaptureFixture) -> None:
    files, clock = SimulatedFiles(), ManualClock()
    async with process(files, clock) as one:
        await one.put(next(agent_runs(5, 1)))
        await one.stage.finish()
    for path in files.names:
        if "meter." in path:
            files.content(path)[30:60] = bytes(30)
    async with process(files, clock) as two:
        await two.put(next(agent_runs(6, 1)))
        await two.counted_all()
        assert "counting begins anew" in caplog.text


async def test_prices_and_alerts_of_a_new_policy_hold_at_once() -> None:
    files, clock = SimulatedFiles(), ManualClock()
    async with process(files, clock) as one:
        one.stage.configure("shop/agents", (PriceOverride("*", "1", "1"),))
        for message in agent_runs(7, 40):
            await one.put(message)
        await one.stage.finish()
        found = one.stage.read()
        assert {row.labels[0] for rows in found.families.values() for row in rows} == {"shop/agents"}
        assert [row.value for row in found.families[METERING]] == [1.0]
        unpriced = {
            row.labels[3] for metric, rows in found.families.items() for row in rows if "unpriced" in metric.name
        }
        assert "house-7b" in {
            row.labels[5]
            for metric, rows in found.families.items()
            if metric.name == "tracekeeper_cost_dollars_total"
            for row in rows
        }, unpriced
