"""What the injector would do with a pod that is there, if it were made now: by its own code and all that it goes by.

What LimitRanges and ResourceQuotas ask is read where there is somebody to judge, and not watched: the injector needs it
for every pod, the controller for those that have no sidecar.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from ..bounds import Bounds, Limits
from ..errors import NotFound
from ..kinds import LIMIT_RANGES, PODS, RESOURCE_QUOTAS
from ..kube import Kube, Object
from .findings import Missed

logger = logging.getLogger(__name__)

Decide = Callable[[Object, str, bool, Bounds], bool]
"""A whole pod, its namespace, whether that opted in for it, and what it asks of containers: would it get a sidecar?"""


class Judge:
    """Asks the API server for what the decision needs."""

    def __init__(self, kube: Kube, decide: Decide) -> None:
        self._kube, self._decide = kube, decide

    async def of(self, namespace: str, *, unknown: bool = True) -> Callable[[Object, bool], bool]:
        """A judge of that namespace's pods, who is told whether it opted in for them, and says `unknown` of those that
        the injector's code does not understand. Raises KubeError.
        """
        limits = Limits()
        limits.ranges.replace((await self._kube.list(LIMIT_RANGES, namespace)).items)
        limits.quotas.replace((await self._kube.list(RESOURCE_QUOTAS, namespace)).items)
        bounds = limits.of(namespace)

        def judge(pod: Object, by_namespace: bool) -> bool:
            try:
                return self._decide(pod, namespace, by_namespace, bounds)
            except Exception:  # whatever the injector's code raises, a look at pods goes on
                logger.exception(
                    "a pod in namespace %s was not understood; it counts as one without a sidecar", namespace
                )
                return unknown

        return judge

    async def once(self, item: Missed) -> bool:
        """Whether it is certain that the pod would get a sidecar; not if it is gone. Raises KubeError."""
        try:
            pod = await self._kube.get(PODS, item.pod.namespace, item.pod.name)
        except NotFound:
            return False
        same = (pod.get("metadata") or {}).get("uid") == item.pod.uid
        return same and (await self.of(item.pod.namespace, unknown=False))(pod, item.by_namespace)
