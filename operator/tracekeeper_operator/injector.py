"""`tracekeeper-operator injector`: puts the pieces together."""

from __future__ import annotations

import asyncio
import gc
import logging
from functools import partial

from . import __version__, namespaces
from .access import Access
from .admission import Admission
from .alerts.scraping import Scraping
from .bounds import Limits
from .catalog import Catalog
from .clock import Clock
from .events import Events
from .identity import Identity
from .images import ImageMemory, scope
from .kinds import LIMIT_RANGES, NAMESPACES, RESOURCE_QUOTAS, TRACING_CONFIGS, Kind
from .kube import Kube
from .metrics import InjectorMetrics
from .namespaces import Namespaces
from .settings import InjectorSettings
from .sidecar import Options
from .store import lean
from .tasks import run_until
from .watch import Memory, Scope, Watch
from .web import Check, Server, health

logger = logging.getLogger(__name__)


class Injector:
    """One process: `run` until `stop` is set."""

    def __init__(self, settings: InjectorSettings, access: Access, clock: Clock) -> None:
        self._settings, self._clock = settings, clock
        self._kube = Kube(access)
        self._metrics = InjectorMetrics()
        self._namespaces, self._limits = Namespaces(), Limits()
        self._catalog = Catalog(self._namespaces, settings.root_namespace)
        self._images = ImageMemory()
        self._scraping = Scraping(self._kube, settings.scrape_annotations)
        self._identity = Identity(self._kube, settings.namespace, self._metrics)
        self._serving = asyncio.Event()
        self._listed: set[Kind] = set()
        """What has been heard of completely at least once."""

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop`. Raises ListenError, AccessError."""
        checks: dict[str, Check] = {
            "certificate": self._certificate,
            "tracingconfigs": self._configs,
            "images": lambda: "" if self._images.synced else "not heard of yet: is the API server reachable?",
            # Without these, a sidecar could break what its namespace asks for, and cost the pod.
            **{kind.plural: partial(self._unlisted, kind) for kind in (NAMESPACES, LIMIT_RANGES, RESOURCE_QUOTAS)},
        }
        async with self._kube, Server(health(self._metrics, checks), self._settings.metrics_listen):
            events = Events(self._kube, self._clock, self._metrics.events, "injector")
            watch = Watch(self._kube, Scope(TRACING_CONFIGS, lean=lean), self._catalog, self._clock, self._heard)
            await run_until(
                stop,
                {
                    "certificate": self._identity.run(),
                    "watch": watch.run(),
                    "namespaces": self._watch(namespaces.ALL, self._namespaces).run(),
                    "ranges": self._watch(Scope(LIMIT_RANGES), self._limits.ranges).run(),
                    "quotas": self._watch(Scope(RESOURCE_QUOTAS), self._limits.quotas).run(),
                    "images": Watch(self._kube, scope(self._settings.namespace), self._images, self._clock).run(),
                    "scraping": self._scraping.run(),
                    "events": events.run(),
                    "admission": self._serve(events),
                },
            )
        logger.info("stopped")

    async def _serve(self, events: Events) -> None:
        """The HTTPS port opens with the first certificate: before that, there is nothing to answer with."""
        options = Options(
            image=self._settings.sidecar_image,
            pull_policy=self._settings.sidecar_pull_policy,
            version=__version__,
            host_paths=self._settings.host_paths,
            registries=self._settings.image_registries,
            pull_secrets=self._settings.pull_secrets,
        )
        admission = Admission(
            self._catalog,
            options,
            self._metrics,
            self._clock,
            events.offer,
            self._limits,
            self._images,
            lambda: self._scraping.annotated,
        )
        await self._identity.ready.wait()
        # What is here by now stays. To look through it for garbage again takes some 20 ms, and an answer would wait.
        gc.collect()
        gc.freeze()
        async with Server(admission.application(), self._settings.listen, tls=self._identity.context):
            logger.info("answering admission requests on %s", self._settings.listen)
            self._serving.set()
            await asyncio.Event().wait()

    def _watch(self, scope: Scope, memory: Memory) -> Watch:
        return Watch(self._kube, scope, memory, self._clock, lambda: self._listed.add(scope.kind))

    def _unlisted(self, kind: Kind) -> str:
        return "" if kind in self._listed else "not listed yet: is the API server reachable?"

    def _heard(self) -> None:
        self._catalog.synced_at = self._clock.now()
        self._metrics.synced.set(self._catalog.synced_at)
        self._metrics.configs.set(len(self._catalog))

    def _certificate(self) -> str:
        return "" if self._serving.is_set() else "none yet: is the controller running?"

    def _configs(self) -> str:
        return "" if self._catalog.synced_at else "not listed yet: is the API server reachable, and the CRD there?"
