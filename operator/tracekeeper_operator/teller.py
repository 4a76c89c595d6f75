"""Writes the statuses of TracingConfigs. What they say comes from several parts of the operator; nobody else writes it.

A status is written when it says something new. Mere counts, which change all the time, go along with that, and are
told by themselves at most every five minutes, or as often as their source asks for.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from . import apply, status
from .alert_faults import AlertFaults
from .clock import Clock
from .config_faults import ConfigFaults
from .errors import KubeError
from .kube import Kube
from .metrics import ControllerMetrics
from .plan import Assessed, Plan
from .secret_read import SecretRead
from .status import Condition, Outcome
from .storage import NOWHERE, HostPaths
from .store import Store, identity, key_of

logger = logging.getLogger(__name__)

COUNTS_EVERY = 300.0
"""Seconds between two writes of a status in which only counts are new."""
GATHER = 2.0
"""Seconds for which changes of one namespace are gathered."""
UNKNOWN_AGAIN = 15.0
"""Seconds after which a source is asked again that did not know."""
LEAST_PAUSE = 15.0
"""Seconds between two looks at a namespace because of what sidecars say: thousands may say the same, one by one."""


@dataclass(frozen=True, slots=True)
class Section:
    """What one part of the operator has to say about a config."""

    conditions: tuple[Condition, ...] = ()
    members: Mapping[str, Any] = field(default_factory=dict)
    """Of the status, in the API's shape; told when they change."""
    counts: Mapping[str, Any] = field(default_factory=dict)
    """Further members, which change all the time."""
    counts_every: float = COUNTS_EVERY
    """Seconds between two writes of a status in which only these are new."""


class Source(Protocol):
    """One part of the operator that has something to say. It must answer at once, from memory."""

    @property
    def conditions(self) -> tuple[str, ...]:
        """The types of all its conditions."""

    @property
    def members(self) -> tuple[str, ...]:
        """The names of all its members, counts too."""

    def say(self, item: Assessed, plan: Plan) -> Section | None:
        """None while it is not known: what the status says of it then stays."""


@dataclass(frozen=True, slots=True)
class _Told:
    """What a status is made from besides the sections."""

    plan: Plan
    secrets: Mapping[str, SecretRead]
    outcome: Outcome


class Teller:
    """The controller's one. `tell` is a part of a namespace's round; `offer` asks for another look without a round."""

    def __init__(
        self,
        kube: Kube,
        store: Store,
        clock: Clock,
        metrics: ControllerMetrics,
        host_paths: HostPaths = NOWHERE,
        sources: Sequence[Source] = (),
        uniform: Callable[[float, float], float] = random.uniform,
        root: str = "",
    ) -> None:
        self._kube, self._store, self._clock, self._metrics = kube, store, clock, metrics
        self._host_paths, self._sources, self._uniform = host_paths, tuple(sources), uniform
        self._alert_faults, self._config_faults = AlertFaults(root), ConfigFaults(metrics.config_faults)
        self._last: dict[str, _Told] = {}
        self._due: dict[str, float] = {}
        self._looked: dict[str, float] = {}
        """When a namespace was looked at last."""
        self._counted: dict[str, dict[str, float]] = {}
        """When a config's status was written last, by namespace and UID."""
        self._locks: dict[str, asyncio.Lock] = {}
        self._wake = asyncio.Event()

    async def tell(self, plan: Plan, secrets: Mapping[str, SecretRead], outcome: Outcome) -> KubeError | None:
        """Write every status of a namespace that can be written; why the first of the others could not."""
        namespace = plan.namespace
        self._config_faults.note(namespace, plan.configs)
        if not plan.configs:
            for known in (self._last, self._due, self._looked, self._counted, self._locks):
                known.pop(namespace, None)
            return None
        uids = {item.uid for item in plan.configs}
        self._counted[namespace] = {u: at for u, at in self._counted.get(namespace, {}).items() if u in uids}
        seen = {name: read.without_values() for name, read in secrets.items()}
        self._last[namespace] = _Told(plan, seen, outcome)
        return await self._tell_all(namespace)

    def offer(self, namespace: str) -> None:
        """Something that a source says about the namespace's configs has changed."""
        if namespace in self._last:
            earliest = self._looked.get(namespace, float("-inf")) + LEAST_PAUSE
            self._schedule(namespace, max(self._clock.monotonic() + GATHER, earliest))

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._wake.clear()
            now = self._clock.monotonic()
            for namespace in sorted(name for name, due in self._due.items() if due <= now):
                self._due.pop(namespace, None)
                try:
                    await self._tell_all(namespace)
                except Exception:
                    # A fault of ours about one namespace must not keep the others from being told of.
                    logger.exception("namespace %s: its statuses are not written: unexpected fault", namespace)
            await self._pause()

    async def _tell_all(self, namespace: str) -> KubeError | None:
        first: KubeError | None = None
        known = True
        async with self._locks.setdefault(namespace, asyncio.Lock()):
            last = self._last.get(namespace)
            if last is None:
                return None
            for item in last.plan.configs:
                try:
                    known = await self._tell(item, last) and known
                    await asyncio.sleep(0)  # There may be many with nothing new; others have their turn.
                except KubeError as error:
                    logger.warning("tracingconfig %s/%s: its status is not written: %s", *key_of(item.manifest), error)
                    first = first or error
        self._looked[namespace] = self._clock.monotonic()
        again = COUNTS_EVERY if known else UNKNOWN_AGAIN
        self._schedule(namespace, self._clock.monotonic() + again * self._uniform(0.9, 1.1))
        return first

    async def _tell(self, item: Assessed, last: _Told) -> bool:
        """Write one config's status if it says something new; whether every source knew. Raises KubeError."""
        manifest = self._store.get(*key_of(item.manifest))
        if manifest is None or identity(manifest) != identity(item.manifest):
            return True  # It is another one by now: a round of it is due.
        if manifest is not item.manifest and "status" in manifest:
            item.manifest["status"] = manifest["status"]  # as an event has brought it
        present = _mapping(manifest.get("status"))
        found = status.conditions(
            item,
            last.plan,
            last.secrets,
            last.outcome,
            self._host_paths,
            now=self._clock.now(),
            alerts=self._alert_faults.of(item.config).faults if item.config is not None else (),
        )
        sections = [(source, source.say(item, last.plan)) for source in self._sources]
        known = all(section is not None for _, section in sections)
        body, pauses = self._body(item, last, found, sections)
        changed = [name for name in present.keys() | body.keys() if present.get(name) != body.get(name)]
        if not changed:
            return known
        if pause := min(pauses.get(name, 0.0) for name in changed):
            namespace, now = key_of(item.manifest)[0], self._clock.monotonic()
            due = self._counted[namespace].get(item.uid, float("-inf")) + 0.8 * pause
            if now < due:
                self._schedule(namespace, due)
                return known
        told = await apply.set_status(self._kube, item, body)
        self._metrics.status_writes.inc()
        self._counted[key_of(item.manifest)[0]][item.uid] = self._clock.monotonic()
        _log_news(item, found, present)
        if told is not None:
            manifest["status"] = told.get("status", body)
        return known

    def _body(
        self,
        item: Assessed,
        last: _Told,
        found: Sequence[Condition],
        sections: Sequence[tuple[Source, Section | None]],
    ) -> tuple[dict[str, Any], dict[str, float]]:
        """The whole status, and the pause between writes of each of its members that is a mere count."""
        conditions, kept = list(found), list[str]()
        members: dict[str, Any] = {}
        pauses: dict[str, float] = {}
        present = _mapping(item.manifest.get("status"))
        for source, section in sections:
            if section is None:
                kept += source.conditions
                members |= {name: present[name] for name in source.members if name in present}
            else:
                conditions += section.conditions
                members |= {**section.members, **section.counts}
                pauses |= dict.fromkeys(section.counts, section.counts_every)
        body = status.status(item, last.plan, conditions, last.outcome, self._clock.now(), kept)
        return {**body, **members}, pauses

    def _schedule(self, namespace: str, due: float) -> None:
        self._due[namespace] = min(due, self._due.get(namespace, due))
        self._wake.set()

    async def _pause(self) -> None:
        """Until something is offered, or the next namespace is due."""
        timeout = max(0.0, min(self._due.values()) - self._clock.monotonic()) if self._due else None
        try:
            async with asyncio.timeout(timeout):
                await self._wake.wait()
        except TimeoutError:
            return


def _log_news(item: Assessed, found: Sequence[Condition], present: Mapping[str, Any]) -> None:
    """What is wrong now and was not told before."""
    before = present.get("conditions")
    known = [
        (each.get("type"), each.get("message")) for each in map(_mapping, before if isinstance(before, list) else ())
    ]
    for condition in found:
        if condition.status == "False" and (condition.type, condition.message) not in known:
            logger.warning(
                "tracingconfig %s/%s: %s=False %s: %s",
                *key_of(item.manifest),
                condition.type,
                condition.reason,
                condition.message,
            )


def _mapping(found: Any) -> Mapping[str, Any]:
    return found if isinstance(found, Mapping) else {}
