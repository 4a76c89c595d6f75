"""Keeps what is known of the sidecar's images, and writes it where the injectors read it.

That a pod cannot pull an image counts in its namespace at once: a missing pull secret, or a tenant's image of the same
name in a registry of its own, must not take tracing away from others. Whether it counts everywhere, the pre-flight
pod (`preflight`) says, which is run again then.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from .. import names
from ..backoff import Backoff
from ..clock import Clock
from ..errors import KubeError, NotFound
from ..images import Images, from_json, manifest, read
from ..kinds import CONFIG_MAPS
from ..kube import Kube
from ..metrics import ControllerMetrics
from .findings import Key
from .health import Health

logger = logging.getLogger(__name__)

AGAIN_AFTER = 3600.0
"""Seconds after which an image that could not be pulled in one namespace is tried there again."""
LOOK_EVERY = 60.0


class ImageKeeper:
    """One task: `run` until cancelled. Everything else may be called from the same loop."""

    def __init__(self, kube: Kube, namespace: str, wanted: str, clock: Clock, metrics: ControllerMetrics) -> None:
        self._kube, self._namespace, self._clock, self._metrics = kube, namespace, clock, metrics
        self.wanted = wanted
        """The image of this release."""
        self._images = Images()
        self._written: Images | None = None
        self._dirty = asyncio.Event()
        self._listeners: list[Callable[[str | None], None]] = []
        self.loaded = asyncio.Event()
        """Set once what was known before is known again."""

    @property
    def images(self) -> Images:
        return self._images

    def choose(self, namespace: str) -> str | None:
        """The image that a pod there would get now; None for none, and where nothing is done about images."""
        return self._images.choose(self.wanted, namespace) if self.wanted else None

    def on_change(self, callback: Callable[[str | None], None]) -> None:
        """Also call this when another image is to be used: in a namespace, or everywhere (None)."""
        self._listeners.append(callback)

    def proved(self, image: str) -> None:
        """It was seen to start."""
        if image == self.wanted:
            self._take(self._images.proved(image), None)

    def failed(self, image: str, message: str) -> None:
        """The pre-flight pod could not start it."""
        if image not in self._images.broken:
            logger.error("the sidecar's image %s cannot be used: %s; %s", image, message, self._instead(image))
        self._take(self._images.failed(image, message, self._clock.now()), None)

    def unknown(self, image: str) -> None:
        """The pre-flight pod could not be run."""
        self._take(self._images.unknown(image), None)

    def seen(self, key: Key, health: Health | None, *, own_image: bool) -> None:
        """How the sidecar of one pod fares."""
        if health is None or own_image:
            return
        if health.running and health.image == health.shown == self.wanted:
            # One that runs where the image was there already says nothing against what the pre-flight pod found.
            if self.wanted not in self._images.broken:
                self.proved(self.wanted)
        elif health.unpullable and health.image in (self.wanted, *self._images.good):
            namespace = key[0]
            before = self._images
            message = f"{health.reason}: {health.message}"
            self._take(before.refuse(namespace, health.image, message, self._clock.now()), namespace)
            if self._images is not before:
                logger.error(
                    "pod %s/%s cannot pull the sidecar's image %s: %s; new pods of its namespace get %s",
                    *key,
                    health.image,
                    message,
                    self.choose(namespace) or "no sidecar",
                )

    async def run(self) -> None:
        """Read what is known, then write what changes."""
        backoff = Backoff()
        while True:
            try:
                if not self.loaded.is_set():
                    await self.load()
                now = self._clock.now()
                self._take(self._images.forget(self.wanted, now - AGAIN_AFTER, now), None)
                await self._write()
                backoff.reset()
                wait = LOOK_EVERY
            except KubeError as error:
                wait = backoff.next(error.retry_after)
                logger.warning("%s; injectors go by what they know; trying again in %.1f s", error, wait)
                await asyncio.sleep(wait)
                continue
            try:
                async with asyncio.timeout(wait):
                    await self._dirty.wait()
            except TimeoutError:
                continue

    async def load(self) -> None:
        """Read what was known before. Raises KubeError."""
        try:
            found = await self._kube.get(CONFIG_MAPS, self._namespace, names.IMAGES_CONFIG_MAP)
        except NotFound:
            known = Images()
        else:
            known = from_json(read(found))
            self._written = known
        self._images = known
        self.loaded.set()
        self._measure()

    async def _write(self) -> None:
        """Raises KubeError."""
        self._dirty.clear()
        images = self._images
        if images == self._written or (images == Images() and self._written is None):
            return
        await self._kube.apply(CONFIG_MAPS, manifest(self._namespace, images))
        self._written = images

    def _take(self, images: Images, namespace: str | None) -> None:
        # Before what was known is known again, nothing new is taken over: it would be lost, and is seen once more.
        if images == self._images or not self.loaded.is_set():
            return
        self._images = images
        self._dirty.set()
        self._measure()
        for listener in self._listeners:
            listener(namespace)

    def _measure(self) -> None:
        self._metrics.image_broken.set(int(self.wanted in self._images.broken))
        self._metrics.image_refused.set(len(self._images.refused))

    def _instead(self, image: str) -> str:
        others = [each for each in self._images.good if each != image and each not in self._images.broken]
        return f"new pods get {others[0]}" if others else "new pods get no sidecar"
