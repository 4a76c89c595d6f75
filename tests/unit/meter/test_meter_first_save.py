"""A loss of power in the middle of the meter's very first checkpoint."""

from __future__ import annotations

import asyncio
import random

from log_harness import DIRECTORY, ManualClock, open_log
from metered_spans import agent_runs, differences
from simulated_files import SimulatedFiles
from tracekeeper_sidecar.log.files import METER
from tracekeeper_sidecar.log.slots import Slots
from tracekeeper_sidecar.meter.checkpoint import MOST, CheckpointFile
from tracekeeper_sidecar.meter.stage import Stage

QUOTA = 8 << 20


async def test_a_first_checkpoint_that_was_torn_counts_all_that_the_log_has() -> None:
    """Nothing was told before it was whole, so nothing is counted twice."""
    files, clock, messages = SimulatedFiles(), ManualClock(), list(agent_runs(9, 20))
    log = open_log(files, clock, QUOTA)
    for message in messages:
        await log.append(
            message.SerializeToString(), sum(len(each.spans) for each in message.resource_spans[0].scope_spans)
        )
    await log.close()
    Slots(DIRECTORY, METER, files, most=MOST).save(bytes(range(256)) * 8)
    torn = files.crash(random.Random(1))
    torn.content(f"{METER}.a")[512:1024] = bytes(512)
    log = open_log(torn, clock, QUOTA)
    stage = Stage(log, clock, CheckpointFile(DIRECTORY, torn, QUOTA))
    await asyncio.wait_for(stage.finish(), 30)
    assert differences(stage.read(), messages) == []
    assert stage.missed == 0
    stage.close()
    await log.close()
