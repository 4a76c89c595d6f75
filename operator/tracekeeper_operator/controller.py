"""`tracekeeper-operator controller`: puts the pieces together."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine
from secrets import token_hex
from typing import Any

import kopf

from tracekeeper_spec.policy import Control

from . import __version__, handlers, names, namespaces
from .access import Access
from .alerts.service import AlertService
from .backoff import Backoff
from .badge import Badge
from .book import Book
from .bounds import Bounds
from .budgets.service import BudgetService
from .canaries import Canaries
from .certkeeper import CertKeeper, Place
from .clock import Clock
from .control.index import ConfigIndex
from .control.service import ControlService
from .delivering import Delivering
from .errors import KubeError, NotFound
from .events import Events
from .inject import Injection, inject
from .kube import Kube, Object
from .leadership import Leadership
from .metrics import ControllerMetrics
from .namespaces import Namespaces
from .plan import Plan
from .pods.probe import Probe
from .pods.service import PodService
from .pods.telling import Alone
from .reconcile import Reconciler
from .rollout_telling import RolloutTeller
from .settings import ControllerSettings
from .sidecar import Options
from .store import Store
from .tasks import run_until, stop_on_signals
from .teller import Source
from .watch import Watch
from .web import Server, health

logger = logging.getLogger(__name__)

UNLISTED = "not listed yet: is the API server reachable? Until then, no policy is changed"


class Controller:
    """One process: `run` until `stop` is set."""

    def __init__(self, settings: ControllerSettings, access: Access, clock: Clock) -> None:
        self._settings, self._access, self._clock = settings, access, clock
        # The Lease has connections of its own, so that no other request is ever before it.
        self._lease_kube = Kube(access, timeout=settings.terms.period)
        identity = f"{settings.pod or socket.gethostname()}_{token_hex(4)}"
        self._lead = Leadership(self._lease_kube, settings.namespace, settings.lease, identity, clock, settings.terms)
        self._kube = Kube(access, fence=self._lead.held)
        self._metrics = ControllerMetrics()
        self._store, self._namespaces = Store(), Namespaces()
        self._book = Book(self._store, self._namespaces, settings.root_namespace)
        self._index = ConfigIndex(self._book)
        self._control = self._control_service() if settings.control_service else None
        self._events = Events(self._kube, clock, self._metrics.events, "controller")
        self._pods = PodService(
            self._kube,
            settings.pods,
            self._would_inject,
            self._control.sidecars if self._control is not None else Alone(),
            Probe(self._kube, settings.namespace, settings.service).answers,
            lambda namespace: self._reconciler.retell(namespace),
            self._events.offer,
            clock,
            self._metrics,
        )
        self._budgets = self._budget_service(identity)
        self._rollouts = RolloutTeller(
            self._store,
            clock,
            lambda namespace: self._reconciler.retell(namespace),
            self._events.offer,
            self._metrics.rollouts,
        )
        self._alerts = AlertService(
            self._kube,
            self._book,
            self._store.namespaces,
            settings.alerts,
            lambda namespace: self._reconciler.retell(namespace),
            clock,
            self._metrics,
        )
        self._reconciler = Reconciler(
            self._kube,
            self._store,
            clock,
            self._metrics,
            resync=settings.resync_seconds,
            host_paths=settings.host_paths,
            control=self._where,
            book=self._book,
            demand=self._pods.index,
            canaries=self._canaries(),
            on_planned=self._planned,
            on_published=self._pods.published,
            sources=self._sources(),
        )
        if self._control is not None:
            self._control.sidecars.on_standing(self._reconciler.heard)
        self._namespaces.subscribe(self._reconciler.relabelled)
        self._pods.index.subscribe(self._reconciler.offer)
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
            lives=settings.lives,
            on_expiry=self._metrics.certificate_expiry.set,
            on_change=self._reconciler.offer_all,
        )
        self._listed = False

    async def run(self, stop: asyncio.Event) -> None:
        """Stand by, lead, and serve until `stop`. Raises ListenError, AccessError, LeadLost."""
        checks = {
            "certificate": self._certificate,
            "tracingconfigs": self._configs,
            "namespaces": lambda: "" if self._namespaces.synced else UNLISTED,
        }
        if self._control is not None:
            checks["control"] = self._control.problem
        ready = {"lease": self._lead.unknown, **{name: self._if_leading(check) for name, check in checks.items()}}
        self._metrics.leader.set_function(self._lead.held)
        async with self._lease_kube, self._kube, Server(health(self._metrics, ready), self._settings.metrics_listen):
            try:
                await run_until(stop, {"lease": self._lead.run(), "work": self._work(stop), **self._badge()})
            finally:
                # Nothing works any more, so another one may begin.
                await self._lead.release()
        logger.info("stopped")

    async def _work(self, stop: asyncio.Event) -> None:
        """All that only one controller may do."""
        await self._lead.acquired.wait()
        await run_until(stop, {"certificates": self._keeper.run(), "configs": self._follow(stop)})

    def _badge(self) -> dict[str, Coroutine[Any, Any, None]]:
        if not self._settings.pod:
            return {}
        opened = self._control.started.wait if self._control is not None else self._lead.acquired.wait
        badge = Badge(self._lease_kube, self._settings.namespace, self._settings.pod, self._lead, opened)
        return {"label": badge.run()}

    def _if_leading(self, check: Callable[[], str]) -> Callable[[], str]:
        """A standby is ready: nothing is missing for what it has to do, which is to wait."""
        return lambda: check() if self._lead.acquired.is_set() else ""

    async def _follow(self, stop: asyncio.Event) -> None:
        """The complete list first, so that no namespace is ever published from half of its configs; then
        kopf.
        """
        await self._first_list()
        logger.info("serving %d TracingConfigs in %d namespaces", len(self._store), len(self._store.namespaces()))
        watch = Watch(self._kube, namespaces.ALL, self._namespaces, self._clock)
        await run_until(stop, {"namespaces": watch.run(), "serve": self._serve(stop)})

    async def _serve(self, stop: asyncio.Event) -> None:
        """What needs to know to whom TracingConfigs are lent."""
        await self._namespaces.listed.wait()
        # Sidecars come back at once when the port opens: they must find their configs.
        for namespace in self._store.namespaces():
            self._book.assessed(namespace)
        control = self._control.tasks() if self._control is not None else {}
        control |= self._budgets.tasks() if self._budgets is not None else {}
        work = {"reconcile": self._reconciler.run(), "events": self._events.run(), "kopf": self._kopf(stop)}
        await run_until(stop, {**work, **control, **self._pods.tasks(), **self._alerts.tasks()})

    def _control_service(self) -> ControlService:
        return ControlService(
            self._kube,
            self._settings.control_listen,
            lambda: self._keeper.material,
            self._index,
            self._store,
            self._clock,
            self._metrics,
            on_news=lambda namespace: self._reconciler.retell(namespace),
        )

    def _budget_service(self, identity: str) -> BudgetService | None:
        if self._control is None:
            return None
        return BudgetService(
            self._kube,
            self._settings.namespace,
            identity,
            self._control,
            self._index,
            self._book,
            self._store,
            self._clock,
            self._metrics,
            on_news=lambda namespace: self._reconciler.retell(namespace),
            notify=self._events.offer,
            pods=self._pods.index.all,
            config_of=self._pods.config_of,
        )

    def _canaries(self) -> Canaries | None:
        """Without the control stream nobody sees how those do that try something."""
        if self._control is None:
            return None
        return Canaries(self._kube, self._pods.index, self._control.sidecars, self._clock)

    def _planned(self, plan: Plan) -> None:
        self._pods.planned(plan)
        self._rollouts.planned(plan)
        self._alerts.planned(plan)
        self._index.take(plan)

    def _sources(self) -> list[Source]:
        """What statuses tell of besides rounds."""
        found: list[Source] = [self._pods.teller, self._rollouts, self._alerts.teller]
        if self._control is not None:
            found.insert(0, Delivering(self._control.sidecars, self._clock))
        if self._budgets is not None:
            found.append(self._budgets.teller)
        return found

    def _would_inject(self, pod: Object, namespace: str, by_namespace: bool, bounds: Bounds) -> bool:
        """What the injector would do with a pod, if it were made now."""
        # Which image it is decides nothing, only whether there is one.
        image = self._pods.image(namespace) or "" if self._settings.pods.image else names.SIDECAR
        options = Options(image, "IfNotPresent", __version__, self._settings.host_paths)
        outcome = inject(pod, self._book.scope(namespace), options, by_namespace=by_namespace, bounds=bounds)
        return isinstance(outcome, Injection)

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
