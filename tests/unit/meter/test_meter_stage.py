"""The meter's pass over the log: what is acknowledged is counted once, whatever ends the process in between."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from log_harness import DIRECTORY, ManualClock, open_log
from metered_spans import NOW, Said, add, agent_runs, counted, differences
from simulated_files import SimulatedFiles
from tracekeeper_sidecar.log.files import METER
from tracekeeper_sidecar.log.log import Log
from tracekeeper_sidecar.log.slots import Slots
from tracekeeper_sidecar.meter.checkpoint import MAGIC, MOST, CheckpointFile
from tracekeeper_sidecar.meter.families import METER_MISSED, METERING
from tracekeeper_sidecar.meter.stage import Stage
from tracekeeper_spec.price import Price, PriceOverride
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


def calls(number: int, model: str = "gpt-4o-{}", first: int = 0) -> ExportTraceServiceRequest:
    """Calls of models by agents, each in a trace of its own, by users of their own."""
    message = ExportTraceServiceRequest()
    spans = message.resource_spans.add().scope_spans.add().spans
    for at in range(first, first + number):
        said: Said = {
            "gen_ai.operation.name": "chat",
            "gen_ai.agent.name": f"agent-{at % 20}",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": model.format(at),
            "gen_ai.usage.input_tokens": 1000,
            "gen_ai.usage.output_tokens": 1,
            "user.id": f"user-{at % 5}",
        }
        add(spans, hashlib.sha256(at.to_bytes(4)).digest()[:16], b"s" * 8, b"p" * 8, 3, NOW * 10**9, 10**9, said)
    return message


def operations(stage: Stage) -> float:
    return sum(counted(stage.read())["tracekeeper_operations_total"].values())


async def test_a_batch_that_takes_long_is_counted_in_pieces_and_by_whoever_comes_next() -> None:
    """Prices of new models are looked up while others have their turns; whatever ends that, each span counts once."""
    files, clock, message = SimulatedFiles(), ManualClock(), calls(200)
    async with process(files, clock) as one:
        await one.put(message)
        while not 0 < operations(one.stage) < 200:
            clock.advance(0.25)
            await asyncio.sleep(0)
        assert one.stage.counted.seq == 0
        one.task.cancel()
        await asyncio.wait((one.task,))
        half = operations(one.stage)
        assert 0 < half < 200
        await one.stage.checkpoint()
        assert operations(one.stage) == 200
    async with process(files, clock) as two:
        await two.stage.finish()
        assert operations(two.stage) == 200
        assert two.stage.missed == 0


async def test_where_there_is_room_for_little_what_was_spent_is_kept_and_told() -> None:
    files, clock, quota = SimulatedFiles(), ManualClock(), 256 << 10
    async with process(files, clock, quota) as one:
        for first in range(0, 1200, 20):
            await one.put(calls(20, "gpt-4o", first))
            await one.counted_all()
            one.log.release(one.log.end)
        await one.stage.checkpoint()
        assert "counts will begin anew" in one.stage.problem
        told = one.stage.spend.statements()
        assert told
        end = one.log.end.seq
    async with process(files, clock, quota) as two:
        await two.put(calls(3, "gpt-4o"))
        await two.stage.finish()
        assert (operations(two.stage), two.stage.counted.seq, two.stage.missed) == (3, end + 3, 0)
        assert two.stage.spend.statements()[: len(told)] == told


async def test_where_there_is_no_room_what_was_spent_is_told() -> None:
    async with process(SimulatedFiles(), quota=200 << 10) as one:
        await one.put(calls(3, "gpt-4o"))
        await one.stage.finish()
        (told,) = one.stage.spend.statements()
        assert [row.tokens for row in told.rows] == [1001] * 3


@pytest.mark.parametrize("damage", ["both files", "version"])
async def test_what_nobody_can_tell_whether_it_was_counted_is_missed(damage: str) -> None:
    files, clock = SimulatedFiles(), ManualClock()
    async with process(files, clock) as one:
        await one.put(calls(10, "gpt-4o"))
        for _ in range(2):
            await one.stage.finish()
        if damage == "version":
            slots = Slots(DIRECTORY, METER, files, most=MOST)
            slots.load()
            for _ in range(2):
                slots.save(MAGIC + b"of another version")
    if damage == "both files":
        for path in files.names:
            if "meter." in path:
                files.content(path)[30:60] = bytes(30)
    async with process(files, clock) as two:
        await two.put(calls(5, "gpt-4o"))
        await two.stage.finish()
        assert (operations(two.stage), two.stage.missed) == (5, 10)
        assert sum(each.missed for each in two.stage.spend.statements()) == 10


async def test_a_span_that_cannot_be_counted_takes_no_other_with_it(caplog: pytest.LogCaptureFixture) -> None:
    async with process(SimulatedFiles()) as one:
        await one.put(calls(3, "gpt-4o"))
        await one.counted_all()

        def broken(*_: object) -> None:
            raise RuntimeError("no price today")

        one.stage._tariffs.forget(broken)  # type: ignore[arg-type]
        await one.put(calls(2, "gpt-4o"))
        await one.counted_all()
        assert "2 spans cannot be counted: no price today" in caplog.text
        one.stage.configure("shop/agents", Price((PriceOverride("gpt-4o", "1", "1"),)))
        await one.put(calls(4, "gpt-4o"))
        await one.counted_all()
        assert one.stage.missed == 2
        assert operations(one.stage) == 7
        assert not one.task.done()


async def test_an_idle_pod_with_an_open_trace_writes_nothing_again_and_again() -> None:
    clock, files = ManualClock(), SimulatedFiles()
    async with process(files, clock) as one:
        await one.put(calls(1, "gpt-4o"))
        await one.counted_all()
        one.stage.spend.wanted = False
        await one.pass_time(30)
        await one.stage.checkpoint()
        for statement in one.stage.spend.statements():
            one.stage.spend.stored(statement.log_id, statement.number)
        await one.stage.checkpoint()
        assert one.stage._tally.open_traces
        kept = [bytes(files.content(path)) for path in files.names if "meter." in path]
        await one.pass_time(60)
        assert kept == [bytes(files.content(path)) for path in files.names if "meter." in path]


async def test_prices_and_alerts_of_a_new_policy_hold_at_once() -> None:
    files, clock = SimulatedFiles(), ManualClock()
    async with process(files, clock) as one:
        one.stage.configure("shop/agents", Price((PriceOverride("*", "1", "1"),)))
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
