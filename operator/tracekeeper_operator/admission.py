"""The injector's HTTPS side: /mutate, /mutate/namespace and /validate. Answers from memory, and never asks
the API.

Whatever goes wrong here, the pod starts: a fault of ours is logged and counted, and answered with yes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from aiohttp import web

from . import review
from .bounds import Limits
from .catalog import Catalog
from .clock import Clock
from .events import Notice, subject
from .images import ImageMemory
from .inject import Injection, Skip, inject
from .metrics import InjectorMetrics
from .review import Request, ReviewError
from .sidecar import Options
from .validate import shorten, validate

logger = logging.getLogger(__name__)

MAX_BODY = 8 * 1024 * 1024
"""Bytes of a request; the API server sends an object and its predecessor, each at most 1.5 MiB in etcd."""


class Admission:
    """Judges reviews; holds nothing but what it was given."""

    def __init__(
        self,
        catalog: Catalog,
        options: Options,
        metrics: InjectorMetrics,
        clock: Clock,
        announce: Callable[[Notice], None],
        limits: Limits,
        images: ImageMemory | None = None,
        annotated: Callable[[], bool] = lambda: False,
    ) -> None:
        """`annotated` says whether pods are to say by annotations where they are scraped."""
        self._catalog, self._options, self._limits = catalog, options, limits
        self._metrics, self._clock, self._announce = metrics, clock, announce
        self._images = images if images is not None else ImageMemory()
        self._annotated = annotated

    def application(self) -> web.Application:
        """The routes, for `web.Server`."""
        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_post("/mutate", self._mutate_pod)
        app.router.add_post("/mutate/namespace", self._mutate_by_namespace)
        app.router.add_post("/validate", self._validate)
        return app

    async def _mutate_pod(self, request: web.Request) -> web.StreamResponse:
        return await self._mutate(request, by_namespace=False)

    async def _mutate_by_namespace(self, request: web.Request) -> web.StreamResponse:
        return await self._mutate(request, by_namespace=True)

    async def _mutate(self, http: web.Request, *, by_namespace: bool) -> web.StreamResponse:
        body = await http.read()
        begin = self._clock.monotonic()
        try:
            request = review.parse(body)
        except ReviewError as error:
            return self._malformed("mutate", error)
        answer, notice = self.judge_pod(request, by_namespace=by_namespace)
        self._metrics.admission_seconds.observe(self._clock.monotonic() - begin)
        response = await _send(http, answer)
        if notice is not None and not request.dry_run:
            self._announce(notice)
        return response

    def judge_pod(self, request: Request, *, by_namespace: bool) -> tuple[bytes, Notice | None]:
        """The answer about one pod, and what its owner should hear."""
        count = self._metrics.admissions.labels
        try:
            outcome = inject(
                request.object,
                self._catalog.scope(request.namespace),
                self._options_of(request.namespace),
                by_namespace=by_namespace,
                bounds=self._limits.of(request.namespace),
            )
        except Exception:
            count("mutate", "failed").inc()
            logger.exception("a pod in namespace %s was not understood; it starts untraced", request.namespace)
            return review.allow(request.uid), None
        if isinstance(outcome, Skip):
            count("mutate", "skipped").inc()
            self._metrics.skipped.labels(outcome.reason).inc()
            if outcome.silent:
                return review.allow(request.uid), None
            text = f"{outcome.reason}: {outcome.message}"
            notice = _notice(request, "InjectionSkipped", text, warning=True)
            return review.allow(request.uid, warnings=[shorten(f"tracekeeper: {text}")]), notice
        count("mutate", "completed" if outcome.again else "injected").inc()
        return review.allow(request.uid, patch=outcome.patch), _injected(request, outcome)

    def _options_of(self, namespace: str) -> Options:
        image = self._images.images.choose(self._options.image, namespace) or ""
        scrape = self._annotated()
        if (image, scrape) == (self._options.image, self._options.scrape):
            return self._options
        return replace(self._options, image=image, scrape=scrape)

    async def _validate(self, http: web.Request) -> web.StreamResponse:
        body = await http.read()
        begin = self._clock.monotonic()
        try:
            request = review.parse(body)
        except ReviewError as error:
            return self._malformed("validate", error)
        answer = self.judge_config(request)
        self._metrics.admission_seconds.observe(self._clock.monotonic() - begin)
        return await _send(http, answer)

    def judge_config(self, request: Request) -> bytes:
        """The answer about one TracingConfig."""
        count = self._metrics.admissions.labels
        try:
            scope = self._catalog.scope(request.namespace)
            verdict = validate(request.object, request.old, scope, self._options.host_paths)
        except Exception:
            count("validate", "failed").inc()
            logger.exception("a TracingConfig in namespace %s was not understood", request.namespace)
            return review.allow(request.uid, warnings=["tracekeeper could not check this: see the injector's log"])
        count("validate", "allowed" if verdict.allowed else "denied").inc()
        if verdict.allowed:
            return review.allow(request.uid, warnings=verdict.warnings)
        return review.deny(request.uid, verdict.message, warnings=verdict.warnings)

    def _malformed(self, webhook: str, error: ReviewError) -> web.Response:
        self._metrics.admissions.labels(webhook, "malformed").inc()
        return web.json_response({"error": str(error)}, status=400)


def _injected(request: Request, outcome: Injection) -> Notice | None:
    if not outcome.message:
        return None
    reason = "InjectedWithoutPolicy" if outcome.resolved_from == "none" else "Injected"
    return _notice(request, reason, outcome.message, warning=outcome.warning)


def _notice(request: Request, reason: str, message: str, *, warning: bool) -> Notice | None:
    owner = subject(request.object, request.namespace)
    return Notice(owner, reason, message, warning) if owner is not None else None


async def _send(http: web.Request, answer: bytes) -> web.StreamResponse:
    """Write the whole answer now, so that what comes after it really does."""
    response = web.Response(body=answer, content_type="application/json")
    await response.prepare(http)
    await response.write_eof()
    return response
