"""The loop of a task that makes one step in a while."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from prometheus_client import Counter

from ..errors import KubeError

logger = logging.getLogger(__name__)


async def steadily(
    every: float, step: Callable[[], Awaitable[object]], failed: Counter, *, after_failure: float = 0.0
) -> None:
    """Until cancelled: after so many seconds the next step. One that fails for the API server's sake is counted and
    logged, and the one after it comes `after_failure` seconds later than else."""
    while True:
        await asyncio.sleep(every)
        try:
            await step()
        except KubeError as error:
            failed.inc()
            logger.warning("%s; trying again in %.0f s", error, after_failure or every)
            await asyncio.sleep(after_failure)
