"""Who scrapes a pod again after a kill has seen some of its counts before: none may fall, or begin at 0 again."""

from __future__ import annotations

import asyncio

from log_harness import DIRECTORY, ManualClock, open_log
from metered_spans import agent_runs, counted
from simulated_files import SimulatedFiles
from tracekeeper_sidecar.log.log import Log
from tracekeeper_sidecar.meter.checkpoint import CheckpointFile
from tracekeeper_sidecar.meter.reading import Reading
from tracekeeper_sidecar.meter.stage import Stage

QUOTA = 8 << 20


async def put(log: Log, seed: int, runs: int, service: str = "") -> None:
    for message in agent_runs(seed, runs):
        if service:
            message.resource_spans[0].resource.attributes[0].value.string_value = service
        spans = sum(len(each.spans) for each in message.resource_spans[0].scope_spans)
        await log.append(message.SerializeToString(), spans)


async def counted_all(stage: Stage, log: Log, clock: ManualClock) -> None:
    """Let the stage have its turns until it has counted what there is; no checkpoint is due meanwhile."""
    async with asyncio.timeout(30):
        while not (stage.ready and stage.counted.seq == log.end.seq):
            clock.advance(0.02)
            await asyncio.sleep(0.001)


def newborn(reading: Reading) -> set[str]:
    """Families with a row that is shown as 0 first."""
    return {metric.name for metric, rows in reading.families.items() if any(row.born for row in rows)}


async def test_what_an_earlier_process_may_have_shown_is_not_shown_as_new() -> None:
    files, clock = SimulatedFiles(), ManualClock()
    log = open_log(files, clock, QUOTA)
    stage = Stage(log, clock, CheckpointFile(DIRECTORY, files, QUOTA))
    await put(log, 1, 3)
    await stage.checkpoint()
    running = asyncio.create_task(stage.run())
    await put(log, 2, 60)
    await counted_all(stage, log, clock)
    shown = counted(stage.read())
    assert newborn(stage.read())
    running.cancel()
    await asyncio.wait((running,))
    stage.close()
    await log.close()

    killed = files.restart()
    log = open_log(killed, clock, QUOTA)
    stage = Stage(log, clock, CheckpointFile(DIRECTORY, killed, QUOTA))
    running = asyncio.create_task(stage.run())
    await counted_all(stage, log, clock)
    assert newborn(stage.read()) == set()
    again = counted(stage.read())
    assert all(
        again[name].get(labels, 0) >= value
        for name, rows in shown.items()
        if name.endswith("_total")
        for labels, value in rows.items()
    )
    await put(log, 3, 20, service="bank")
    await counted_all(stage, log, clock)
    assert "tracekeeper_operations_total" in newborn(stage.read())
    running.cancel()
    await asyncio.wait((running,))
    stage.close()
    await log.close()
