"""Pods that live and whose sidecars have not been heard of for long: what they have spent meanwhile nobody knows."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Iterable

from ..clock import Clock
from ..control.facts import ConfigFacts
from ..pods.facts import PodFacts

SILENT_AFTER = 600.0
"""Seconds. A sidecar comes back within one minute where it can."""
TICK = 30.0
"""Seconds between looks."""

Find = Callable[[str, str], ConfigFacts | None]


class Silence:
    """Owned by the controller's event loop. A pod is silent from when it was first seen without its sidecar."""

    def __init__(
        self,
        pods: Callable[[], Iterable[PodFacts]],
        attached: Callable[[], Collection[str]],
        config_of: Callable[[PodFacts], str],
        find: Find,
        clock: Clock,
    ) -> None:
        """`pods` are those that live and have a sidecar, `attached` the UIDs of those whose sidecar is heard of, and
        `config_of` says the UID of a pod's config, empty where it has none.
        """
        self._pods, self._attached, self._config_of, self._find, self._clock = pods, attached, config_of, find, clock
        self._since: dict[str, float] = {}
        """By UID of the pod; monotonic."""
        self._silent: Counter[tuple[str, str]] = Counter()

    def count(self, config: str, namespace: str = "") -> int:
        """Silent pods whose calls count against budgets of `config`: those of one namespace, or all."""
        if namespace:
            return self._silent[config, namespace]
        return sum(count for (each, _), count in self._silent.items() if each == config)

    def look(self) -> None:
        """Who is silent now."""
        now, attached = self._clock.monotonic(), self._attached()
        since: dict[str, float] = {}
        silent: Counter[tuple[str, str]] = Counter()
        for pod in self._pods():
            if pod.deleted or pod.uid in attached:
                continue
            since[pod.uid] = self._since.get(pod.uid, now)
            if now - since[pod.uid] <= SILENT_AFTER:
                continue
            uid = self._config_of(pod)
            facts = self._find(uid, pod.namespace) if uid else None
            if facts is not None and facts.budgets:
                silent[facts.budgets_from, pod.namespace] += 1
        self._since, self._silent = since, silent

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(TICK)
