"""Is an injector there to answer? Told by the endpoints of its Service: one that is ready has its certificate, and
knows every TracingConfig.

The API server is asked rather than the injector, because that is how pods are admitted: by what the Service leads to.
Should the way from there be closed all the same, `repair` notices by the pods that come without a sidecar.
"""

from __future__ import annotations

from ..errors import KubeError
from ..kinds import ENDPOINT_SLICES
from ..kube import Kube, Only

SERVICE_NAME = "kubernetes.io/service-name"


class Probe:
    """Of the injector's Service in the operator's own namespace."""

    def __init__(self, kube: Kube, namespace: str, service: str) -> None:
        self._kube, self._namespace = kube, namespace
        self._only = Only(labels=f"{SERVICE_NAME}={service}")

    async def answers(self) -> bool:
        """Whether one is ready; False as well when that is not to be found out."""
        try:
            listing = await self._kube.list(ENDPOINT_SLICES, self._namespace, self._only)
        except KubeError:
            return False
        return any(
            (endpoint.get("conditions") or {}).get("ready") is True
            for item in listing.items
            for endpoint in item.get("endpoints") or []
        )
