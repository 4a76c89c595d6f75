"""The controller's loop: namespaces come due, and each is brought to what its TracingConfigs say.

A namespace is due when one of its configs changed, when a round failed (with backoff), and once in every
resync period, because a rotated Secret and a deleted policy tell nobody. At most `PARALLEL` rounds run at
once, and never two of one namespace.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Sequence

from tracekeeper_spec.policy import Control

from . import apply, names, plan, status
from .backoff import Backoff
from .clock import Clock
from .errors import Forbidden, KubeError, NotFound
from .kinds import SECRETS, TRACING_CONFIGS
from .kube import Kube
from .metrics import ControllerMetrics
from .plan import Assessed, Published, SecretRead
from .storage import NOWHERE, HostPaths
from .store import Store
from .teller import Source, Teller

logger = logging.getLogger(__name__)

PARALLEL = 4
"""Rounds at once: each is a few short requests, and the API server is everybody's."""


class Reconciler:
    """Owns the store's consequences; `run` until cancelled."""

    def __init__(
        self,
        kube: Kube,
        store: Store,
        clock: Clock,
        metrics: ControllerMetrics,
        *,
        resync: float = 60.0,
        host_paths: HostPaths = NOWHERE,
        control: Callable[[Control | None], Control | None] = lambda published: None,
        on_assessed: Callable[[str, Sequence[Assessed]], None] = lambda namespace, configs: None,
        sources: Sequence[Source] = (),
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        """`sources` have more to say in statuses than rounds know of."""
        self._kube, self._store, self._clock, self._metrics = kube, store, clock, metrics
        self._resync, self._uniform = resync, uniform
        self._teller = Teller(kube, store, clock, metrics, host_paths, sources, uniform)
        self._control, self._on_assessed = control, on_assessed
        """Where the control stream is, given what is published of it; and who is told of a namespace's configs."""
        self._due: dict[str, float] = {}
        self._busy: set[str] = set()
        self._backoffs: dict[str, Backoff] = {}
        self._revisions: dict[str, int] = {}
        self._wake = asyncio.Event()

    def offer(self, namespace: str) -> None:
        """Something changed there: it is due now."""
        self._schedule(namespace, 0.0)

    def retell(self, namespace: str) -> None:
        """A source has something new to say about its configs; that takes no round."""
        self._teller.offer(namespace)

    def offer_all(self) -> None:
        """Something changed that is in every policy."""
        for namespace in self._store.namespaces():
            self.offer(namespace)

    async def run(self) -> None:
        """Serve until cancelled; a round that fails is tried again and never ends this."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._relist())
            group.create_task(self._teller.run())
            while True:
                self._wake.clear()
                for namespace in self._take_due():
                    group.create_task(self._attempt(namespace))
                await self._pause()

    async def list_once(self) -> None:
        """Set the store right by a complete list. Raises KubeError."""
        mark = self._store.mark()
        listing = await self._kube.list(TRACING_CONFIGS)
        for namespace in self._store.replace(listing.items, mark):
            self.offer(namespace)
        self._metrics.configs.set(len(self._store))

    async def round(self, namespace: str) -> None:
        """Bring one namespace to what it should be. Raises KubeError, after writing what could be written."""
        manifests = self._store.of(namespace)
        published = await self._published(namespace)
        configs = plan.assess(manifests, published.document)
        self._on_assessed(namespace, configs)
        secrets = await self._secrets(namespace, configs)
        floor = max(self._revisions.get(namespace, 0), status.known_revision(manifests))
        control = self._control(published.document.control if published.document is not None else None)
        decided = plan.plan(namespace, configs, secrets, published, floor=floor, now=self._clock.now(), control=control)
        outcome = await apply.publish(self._kube, decided)
        if decided.write and not outcome.problem:
            self._metrics.policy_writes.inc()
            self._revisions[namespace] = decided.document.revision
            logger.info("namespace %s: published revision %d", namespace, decided.document.revision)
        untold = await self._teller.tell(decided, secrets, outcome)
        # Only now, so that the statuses tell of it; raised all the same, so that it is tried again soon.
        for error in (outcome.error, *(read.error for read in secrets.values()), untold):
            if error is not None:
                raise error

    async def _relist(self) -> None:
        """Events can be missed (a watch that died while an object was deleted); lists cannot."""
        backoff = Backoff()
        while True:
            await asyncio.sleep(self._resync * self._uniform(0.9, 1.1))
            try:
                await self.list_once()
                backoff.reset()
            except KubeError as error:
                logger.warning("%s; TracingConfigs in memory stay as they are", error)
                await asyncio.sleep(backoff.next(error.retry_after))

    async def _attempt(self, namespace: str) -> None:
        """One round, its failure turned into a time for the next."""
        backoff = self._backoffs.setdefault(namespace, Backoff(most=60.0))
        start = self._clock.monotonic()
        result = "error"
        try:
            await self.round(namespace)
            result = "ok"
            backoff.reset()
            wait = self._resync * self._uniform(0.9, 1.1)
        except KubeError as error:
            wait = backoff.next(error.retry_after)
            logger.warning("namespace %s: %s; trying again in %.1f s", namespace, error, wait)
        except Exception:
            # A fault of ours in one namespace must not keep the others from being served.
            wait = backoff.next()
            logger.exception("namespace %s: unexpected fault; trying again in %.1f s", namespace, wait)
        finally:
            self._busy.discard(namespace)
            self._metrics.reconciles.labels(result).inc()
            self._metrics.reconcile_seconds.observe(self._clock.monotonic() - start)
        if result == "ok" and namespace not in self._store.namespaces():
            self._backoffs.pop(namespace, None)
            self._wake.set()
        else:
            self._schedule(namespace, wait)

    async def _published(self, namespace: str) -> Published:
        try:
            return plan.read_published(await self._kube.get(SECRETS, namespace, names.POLICY_SECRET))
        except NotFound:
            return Published(None)

    async def _secrets(self, namespace: str, configs: tuple[Assessed, ...]) -> dict[str, SecretRead]:
        wanted = sorted({name for item in configs for name, _ in item.secrets})
        return {name: await self._secret(namespace, name) for name in wanted}

    async def _secret(self, namespace: str, name: str) -> SecretRead:
        try:
            return plan.read_secret(await self._kube.get(SECRETS, namespace, name))
        except NotFound:
            return SecretRead(None, absent=True)
        except Forbidden as error:
            return SecretRead(None, forbidden=True, problem=error.message, error=error)
        except KubeError as error:
            return SecretRead(None, problem=str(error), error=error)

    def _schedule(self, namespace: str, wait: float) -> None:
        due = self._clock.monotonic() + wait
        self._due[namespace] = min(due, self._due.get(namespace, due))
        self._wake.set()

    def _take_due(self) -> list[str]:
        """The namespaces to start now, the longest due first."""
        now = self._clock.monotonic()
        waiting = sorted((due, name) for name, due in self._due.items() if due <= now and name not in self._busy)
        taken = [name for _, name in waiting[: PARALLEL - len(self._busy)]]
        for name in taken:
            del self._due[name]
            self._busy.add(name)
        return taken

    async def _pause(self) -> None:
        """Until a round ends, something is offered, or the next namespace is due."""
        ahead = [due for name, due in self._due.items() if name not in self._busy]
        timeout = None
        if ahead and len(self._busy) < PARALLEL:
            timeout = max(0.0, min(ahead) - self._clock.monotonic())
        try:
            async with asyncio.timeout(timeout):
                await self._wake.wait()
        except TimeoutError:
            return
