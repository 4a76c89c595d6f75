"""Evicts pods, and lets those be for a while that may not go: both reasons to evict some (`repair`, `renew`) come here.

Eviction, not deletion, because the API server then keeps to PodDisruptionBudgets.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from enum import Enum, auto

from ..errors import Conflict, KubeError, NotFound
from ..kube import Kube
from ..metrics import ControllerMetrics
from .facts import PodFacts

logger = logging.getLogger(__name__)

REFUSED = 120.0
"""Seconds until a pod is tried again whose eviction was refused, for a budget's sake mostly."""


class Outcome(Enum):
    EVICTED = auto()
    GONE = auto()
    """Before: it is there no longer, or is another one."""
    REFUSED = auto()


class Evictions:
    """Those of one task, by whatever clock that goes by."""

    def __init__(self, kube: Kube, metrics: ControllerMetrics) -> None:
        self._kube, self._metrics = kube, metrics
        self._refused: dict[str, float] = {}

    def refused(self, now: float) -> Mapping[str, float]:
        """By the UIDs of the pods that are let be, when they could not be evicted."""
        # A clock that was ahead lets nobody be for longer.
        self._refused = {uid: at for uid, at in self._refused.items() if abs(now - at) < REFUSED}
        return self._refused

    async def evict(self, pod: PodFacts, now: float, fault: str) -> Outcome:
        """Evict a pod; `fault` is what is wrong with it, in a log line. Raises KubeError."""
        try:
            await self._kube.evict(pod.namespace, pod.name, pod.uid)
        except (NotFound, Conflict):
            return Outcome.GONE
        except KubeError as error:
            self._refused[pod.uid] = now
            if error.status != 429:
                raise
            self._metrics.repairs.labels("refused").inc()
            logger.info("pod %s/%s %s; it may not be evicted now: %s", pod.namespace, pod.name, fault, error)
            return Outcome.REFUSED
        self._metrics.repairs.labels("evicted").inc()
        return Outcome.EVICTED
