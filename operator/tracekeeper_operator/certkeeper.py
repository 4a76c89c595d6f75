"""Keeps the operator's certificates: one Secret, the `caBundle` of the webhook configurations, and one ConfigMap that
tells people whom to trust at the control stream.

Level-based: each round reads what is there, decides with `certs.renew`, and writes only differences. So a
Secret that was deleted, or a configuration that an upgrade of the chart wrote anew, is mended within one
period.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from . import certs, names
from .backoff import Backoff
from .certs import LIVES, Lives, Material
from .clock import Clock, timestamp
from .errors import CertificateError, KubeError, NotFound
from .kinds import CONFIG_MAPS, MUTATING, SECRETS, VALIDATING, Kind
from .kube import Kube, Object

logger = logging.getLogger(__name__)

SHORTEST = 0.2
"""Seconds between two rounds, at least, however short certificates live."""
ROUNDS = 30
"""Rounds in the life of a serving certificate, at least: a third of it is left when it is renewed."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the certificate is kept, whom it names, and who must trust it."""

    namespace: str
    service: str
    mutating: str
    validating: str
    control: str = ""
    """The control stream's Service; empty where there is none."""

    @property
    def hosts(self) -> list[str]:
        """The names by which the API server, sidecars and people may call the injector and the control stream."""
        return [host for service in (self.service, self.control) if service for host in self._names(service)]

    @property
    def endpoint(self) -> str:
        """Where sidecars find the control stream; only where there is one."""
        return f"{self.control}.{self.namespace}.svc:{names.CONTROL_PORT}"

    def _names(self, service: str) -> list[str]:
        base = f"{service}.{self.namespace}"
        return [f"{base}.svc", f"{base}.svc.cluster.local", base, service]

    @property
    def configurations(self) -> Sequence[tuple[Kind, str]]:
        return ((MUTATING, self.mutating), (VALIDATING, self.validating))


class CertKeeper:
    """One task: `run` until cancelled."""

    def __init__(
        self,
        kube: Kube,
        place: Place,
        clock: Clock,
        *,
        period: float = 60.0,
        lives: Lives = LIVES,
        on_expiry: Callable[[float], None] | None = None,
        on_change: Callable[[], None] | None = None,
    ) -> None:
        self._kube, self._place, self._clock = kube, place, clock
        self._lives = lives
        self._period = period
        self._on_expiry, self._on_change = on_expiry, on_change
        self._trusted = False
        self.material: Material | None = None
        """What the Secret holds; None until it was read or written for the first time."""
        self.known = asyncio.Event()
        """Set with the first material, whether or not anybody trusts it yet."""
        self.ready = asyncio.Event()
        """Set once the Secret holds a certificate and the API server trusts it."""

    async def run(self) -> None:
        """Look after the certificates until cancelled."""
        backoff = Backoff()
        while True:
            try:
                settled = await self.once()
                backoff.reset()
                # After a change, look again soon: a new serving certificate waits for the authority to be
                # trusted.
                wait = self.pause if settled else min(1.0, self.pause)
            except KubeError as error:
                wait = backoff.next(error.retry_after)
                logger.warning("certificates: %s; trying again in %.1f s", error, wait)
            await asyncio.sleep(wait)

    @property
    def pause(self) -> float:
        """Seconds between two rounds: by the life that is to be, and by that of what is there, if it is shorter."""
        life = certs.life(self.material) if self.material is not None else self._lives.serving
        return min(self._period, max(SHORTEST, min(life, self._lives.serving) / ROUNDS))

    async def once(self) -> bool:
        """One round; True when nothing had to be changed. Raises KubeError."""
        old = await self._read()
        material = self._renewed(old)
        if material != old:
            await self._write(material)
            logger.info("certificates: wrote secret %s/%s", self._place.namespace, names.TLS_SECRET)
        self._take(material)
        if self._on_expiry is not None:
            self._on_expiry(certs.expires(material))
        patched = [await self._trust(kind, name, material.ca) for kind, name in self._place.configurations]
        self._trusted = True
        self.ready.set()
        shown = await self._show(material) if self._place.control else False
        return material == old and not shown and not any(patched)

    def _take(self, material: Material) -> None:
        if material != self.material:
            self.material = material
            self.known.set()
            if self._on_change is not None:
                self._on_change()

    def _renewed(self, old: Material | None) -> Material:
        hosts, now = self._place.hosts, self._clock.now()
        try:
            return certs.renew(old, now, hosts, trusted=self._trusted, lives=self._lives)
        except CertificateError as error:
            logger.warning("certificates: secret %s is unusable (%s); making new ones", names.TLS_SECRET, error)
            return certs.make(now, hosts, self._lives)

    async def _read(self) -> Material | None:
        where = f"secret {self._place.namespace}/{names.TLS_SECRET}"
        try:
            secret = await self._kube.get(SECRETS, self._place.namespace, names.TLS_SECRET)
            return Material.from_secret(secret.get("data") or {}, where)
        except NotFound:
            return None
        except CertificateError as error:
            logger.warning("certificates: %s; making new ones", error)
            return None

    async def _write(self, material: Material) -> None:
        """Only the data: the chart owns the Secret's type and labels, so that uninstalling it removes the
        Secret.
        """
        self._trusted = False
        body: Object = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"namespace": self._place.namespace, "name": names.TLS_SECRET},
            "data": material.to_secret(),
        }
        await self._kube.apply(SECRETS, body)

    async def _show(self, material: Material) -> bool:
        """Tell people where the control stream is, which authorities to trust there, and until when its certificate is
        good; False when they were told. Raises KubeError.
        """
        begin, end = map(timestamp, certs.validity(material))
        told = {
            names.CA_KEY: material.ca,
            names.ENDPOINT_KEY: self._place.endpoint,
            names.BEGIN_KEY: begin,
            names.END_KEY: end,
        }
        meta = {"namespace": self._place.namespace, "name": names.CA_CONFIG_MAP}
        try:
            found = await self._kube.get(CONFIG_MAPS, meta["namespace"], meta["name"])
        except NotFound:
            found = {}
        if found.get("data") == told:
            return False
        body: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": told}
        await self._kube.apply(CONFIG_MAPS, body)
        return True

    async def _trust(self, kind: Kind, name: str, ca: str) -> bool:
        """Put the authorities into one webhook configuration; False when they were there, or nobody asks."""
        try:
            found = await self._kube.get(kind, None, name)
        except NotFound:
            logger.warning("certificates: there is no %s; install the chart, or switch it on", kind.target(None, name))
            return False
        operations = bundle_patch(found, base64.b64encode(ca.encode()).decode())
        if not operations:
            return False
        await self._kube.json_patch(kind, None, name, operations)
        logger.info("certificates: %s trusts the current authority", kind.target(None, name))
        return True


def bundle_patch(configuration: Object, bundle: str) -> list[dict[str, Any]]:
    """The JSON patch that gives every webhook of a configuration this `caBundle`; empty when all have it.

    It tests the resourceVersion, because it names webhooks by their place in the list. It can never create
    anything, which server-side apply would.
    """
    operations: list[dict[str, Any]] = []
    for index, webhook in enumerate(configuration.get("webhooks") or []):
        if webhook.get("clientConfig", {}).get("caBundle") != bundle:
            path = f"/webhooks/{index}/clientConfig/caBundle"
            operations.append({"op": "add", "path": path, "value": bundle})
    if operations:
        version = configuration["metadata"]["resourceVersion"]
        operations.insert(0, {"op": "test", "path": "/metadata/resourceVersion", "value": version})
    return operations
