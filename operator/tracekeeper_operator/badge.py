"""The label on the leader's pod, by which the control stream's Service finds it among the controllers.

All of them are ready: a standby that were not would hold up rollouts, and count against a PodDisruptionBudget. So it
is not readiness but this label that leads sidecars and people to the one that listens.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from . import names
from .backoff import Backoff
from .errors import KubeError, NotFound, Rejected
from .kinds import PODS
from .kube import Kube, Only
from .leadership import Leadership

logger = logging.getLogger(__name__)

PATH = "/metadata/labels/" + names.LEADER.replace("/", "~1")
OURS = Only(labels=f"{names.LEADER}=true", metadata=True)


class Badge:
    """One task: `run` until cancelled. Level-based: each round looks who has the label, and mends what is wrong."""

    def __init__(
        self,
        kube: Kube,
        namespace: str,
        pod: str,
        lead: Leadership,
        open_for_all: Callable[[], Awaitable[object]],
        *,
        period: float = 60.0,
    ) -> None:
        """`open_for_all` ends when there is something for the Service to lead to."""
        self._kube, self._namespace, self._pod, self._lead = kube, namespace, pod, lead
        self._open, self._period = open_for_all, period

    async def run(self) -> None:
        """Without the label until it leads: an earlier life of this pod's container may have had it."""
        await self._until(self._lead.acquired.is_set)
        await self._lead.acquired.wait()
        await self._open()
        while True:
            await self._until(lambda: False)
            await asyncio.sleep(self._period)

    async def _until(self, enough: Callable[[], bool]) -> None:
        """One round that succeeds, unless there is no need for it any more."""
        backoff = Backoff(most=10.0)
        while not enough():
            try:
                await self.once()
                return
            except KubeError as error:
                wait = backoff.next(error.retry_after)
                logger.warning("label of the leader: %s; trying again in %.1f s", error, wait)
                await asyncio.sleep(wait)

    async def once(self) -> None:
        """Put the label where it belongs. Raises KubeError."""
        listing = await self._kube.list(PODS, self._namespace, OURS)
        labelled = {str((pod.get("metadata") or {}).get("name")) for pod in listing.items}
        if not self._lead.held():
            if self._pod in labelled:
                await self._take_off(self._pod)
            return
        for other in sorted(labelled - {self._pod}):
            if self._lead.held():
                await self._take_off(other)
        if self._pod not in labelled and self._lead.held():
            await self._patch(self._pod, {"op": "add", "path": PATH, "value": "true"})
            logger.info("sidecars are led to this pod, %s", self._pod)

    async def _take_off(self, pod: str) -> None:
        try:
            await self._patch(pod, {"op": "test", "path": PATH, "value": "true"}, {"op": "remove", "path": PATH})
        except (NotFound, Rejected):
            return  # The pod went, or somebody else was faster.
        logger.info("sidecars are not led to pod %s any more", pod)

    async def _patch(self, pod: str, *operations: dict[str, Any]) -> None:
        await self._kube.json_patch(PODS, self._namespace, pod, operations)
