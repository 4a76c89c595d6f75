"""`tracekeeper-operator controller`: puts the pieces together."""

from __future__ import annotations

import asyncio
import logging

import kopf

from tracekeeper_spec.policy import Control

from . import handlers
from .access import Access
from .backoff import Backoff
from .certkeeper import CertKeeper, Place
from .clock import Clock
from .control.index import ConfigIndex
from .control.service import ControlService
from .errors import KubeError, NotFound
from .kube import Kube
from .metrics import ControllerMetrics
from .plan import assess
from .reconcile import Reconciler
from .settings import ControllerSettings
from .store import Store
from .tasks import run_until, stop_on_signals
from .web import Server, health

logger = logging.getLogger(__name__)


class Controller:
    """One process: `run` until `stop` is set."""

    def __init__(self, settings: ControllerSettings, access: Access, clock: Clock) -> None:
        self._settings, self._access, self._clock = settings, access, clock
        self._kube = Kube(access)
        self._metrics = ControllerMetrics()
        self._store, self._index = Store(), ConfigIndex()
        self._reconciler = Reconciler(
            self._kube,
            self._store,
            clock,
            self._metrics,
            resync=settings.resync_seconds,
            host_paths=settings.host_paths,
            control=self._where,
            on_assessed=self._index.take,
        )
        self._place = Place(
            settings.namespace,
            settings.service,
            settings.mutating_webhook,
            settings.validating_webhook,
            settings.control_service,
        )
        self._keeper = CertKeeper(
            self._kube,
            self._place,
            clock,
            on_expiry=self._metrics.certificate_expiry.set,
            on_change=self._reconciler.offer_all,
        )
        self._control = self._control_service() if settings.control_service else None
        self._listed = False

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop`. Raises ListenError, AccessError."""
        checks = {"certificate": self._certificate, "tracingconfigs": self._configs}
        if self._control is not None:
            checks["control"] = self._control.problem
        async with self._kube, Server(health(self._metrics, checks), self._settings.metrics_listen):
            await run_until(stop, {"certificates": self._keeper.run(), "configs": self._follow(stop)})
        logger.info("stopped")

    async def _follow(self, stop: asyncio.Event) -> None:
        """The complete list first, so that no namespace is ever published from half of its configs; then
        kopf.
        """
        await self._first_list()
        logger.info("serving %d TracingConfigs in %d namespaces", len(self._store), len(self._store.namespaces()))
        # Sidecars come back at once when the port opens: they must find their configs.
        for namespace in self._store.namespaces():
            self._index.take(namespace, assess(self._store.of(namespace), None))
        control = self._control.tasks() if self._control is not None else {}
        await run_until(stop, {"reconcile": self._reconciler.run(), "kopf": self._kopf(stop), **control})

    def _control_service(self) -> ControlService:
        return ControlService(
            self._kube,
            self._settings.control_listen,
            lambda: self._keeper.material,
            self._index,
            self._store,
            self._clock,
            self._metrics,
        )

    def _where(self, published: Control | None) -> Control | None:
        """What policies say of the control stream, given what they say now: that stays until the certificate is
        known.
        """
        if self._control is None:
            return None
        material = self._keeper.material
        return published if material is None else Control(self._place.endpoint, material.ca)

    async def _first_list(self) -> None:
        backoff = Backoff(most=10.0)
        while True:
            try:
                await self._reconciler.list_once()
            except NotFound:
                wait = backoff.next()
                logger.warning(
                    "the CustomResourceDefinition tracingconfigs.tracekeeper.dev is not installed: install it "
                    "with the chart (crds.enabled); looking again in %.1f s",
                    wait,
                )
                await asyncio.sleep(wait)
            except KubeError as error:
                wait = backoff.next(error.retry_after)
                logger.warning("%s; trying again in %.1f s", error, wait)
                await asyncio.sleep(wait)
            else:
                self._listed = True
                return

    async def _kopf(self, stop: asyncio.Event) -> None:
        before = asyncio.all_tasks()
        tasks = await kopf.spawn_tasks(
            registry=handlers.registry(self._access, self._store, self._reconciler, self._clock),
            settings=handlers.settings(),
            clusterwide=True,
            standalone=True,
        )
        # kopf has just put its own signal handlers in place of ours; with ours, everything ends at once.
        stop_on_signals(stop)
        await kopf.run_tasks(tasks, ignored=before)

    def _certificate(self) -> str:
        return "" if self._keeper.ready.is_set() else "not written yet"

    def _configs(self) -> str:
        return "" if self._listed else "not listed yet: is the API server reachable, and the CRD there?"
