"""The injector's certificate: read from the Secret, loaded into the TLS context, again whenever it
changes.
"""

from __future__ import annotations

import asyncio
import logging
import ssl

from . import certs, names
from .access import load_chain
from .backoff import Backoff
from .certs import Material
from .errors import CertificateError, KubeError
from .kinds import SECRETS
from .kube import Kube
from .metrics import Metrics

logger = logging.getLogger(__name__)


class Identity:
    """Owns a server-side TLS context. New connections use what was loaded last; open ones go on."""

    def __init__(self, kube: Kube, namespace: str, metrics: Metrics, *, period: float = 30.0) -> None:
        self._kube, self._namespace, self._metrics, self._period = kube, namespace, metrics, period
        self._loaded: Material | None = None
        self._life = float("inf")
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.ready = asyncio.Event()
        """Set once a certificate is loaded."""

    async def run(self) -> None:
        """Look for a new certificate until cancelled; soon while there is none, then once in a period, and 30 times in
        the life of the one that is loaded.
        """
        backoff = Backoff(most=5.0)
        while True:
            try:
                await self.once()
                backoff.reset()
                wait = min(self._period, max(0.2, self._life / 30))
            except (KubeError, CertificateError) as error:
                wait = backoff.next(getattr(error, "retry_after", None))
                kept = "the loaded one stays in use" if self._loaded is not None else "the injector is not ready"
                logger.warning("certificate: %s; %s; trying again in %.1f s", error, kept, wait)
            await asyncio.sleep(wait)

    async def once(self) -> None:
        """Read the Secret, and load it if it is new. Raises KubeError, CertificateError."""
        where = f"secret {self._namespace}/{names.TLS_SECRET}"
        secret = await self._kube.get(SECRETS, self._namespace, names.TLS_SECRET)
        material = Material.from_secret(secret.get("data") or {}, where)
        if material is None:
            raise CertificateError(where, "the controller has not written a certificate yet")
        if material == self._loaded:
            return
        self.load(material)
        logger.info("certificate: loaded from %s", where)

    def load(self, material: Material) -> None:
        """Use this certificate from the next connection on. Raises CertificateError."""
        expiry = certs.expires(material)
        try:
            load_chain(self.context, material.certificate, material.key)
        except ssl.SSLError as error:
            raise CertificateError("tls.crt, tls.key", f"they cannot be used: {error}") from error
        self._loaded, self._life = material, certs.life(material)
        self._metrics.certificate_expiry.set(expiry)
        self.ready.set()
