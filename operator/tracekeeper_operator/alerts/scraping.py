"""Whether injected pods say by annotations where they are scraped: where no PodMonitor of ours has that done."""

from __future__ import annotations

import asyncio
import logging
from enum import StrEnum

from ..backoff import Backoff
from ..errors import KubeError
from ..kube import Kube
from .kinds import POD_MONITORS
from .presence import Presence

logger = logging.getLogger(__name__)

EVERY = 300.0
"""Seconds between two looks; pods that are there by then stay as they are."""


class Annotate(StrEnum):
    AUTO = "Auto"
    """Where the API server has no PodMonitors."""
    ALWAYS = "Always"
    NEVER = "Never"


class Scraping:
    """The injector's one; `run` until cancelled."""

    def __init__(self, kube: Kube, annotate: Annotate) -> None:
        self._presence, self._annotate = Presence(kube), annotate

    @property
    def annotated(self) -> bool:
        """Whether a pod that comes now gets them; not before it is known what is there."""
        if self._annotate is Annotate.AUTO:
            return self._presence.known and POD_MONITORS not in self._presence.kinds
        return self._annotate is Annotate.ALWAYS

    async def run(self) -> None:
        """Look now and then, if that decides anything."""
        backoff = Backoff()
        while self._annotate is Annotate.AUTO:
            try:
                await self._presence.look()
                backoff.reset()
                await asyncio.sleep(EVERY)
            except KubeError as error:
                wait = backoff.next(error.retry_after)
                logger.warning("%s; looking for PodMonitors again in %.1f s", error, wait)
                await asyncio.sleep(wait)
        await asyncio.Event().wait()
