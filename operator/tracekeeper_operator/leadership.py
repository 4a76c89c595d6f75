"""The Lease held: reads and writes what `lease.Elector` decides, and says whether this process leads."""

from __future__ import annotations

import asyncio
import logging
from math import ceil
from typing import Any

from .clock import Clock, microtime
from .errors import KubeError, LeadLost, NotFound
from .kinds import LEASES
from .kube import Kube, Object
from .lease import ABSENT, TERMS, Elector, Lost, Read, Record, Terms, Wait, Write

logger = logging.getLogger(__name__)


class Leadership:
    """One candidate for one Lease. `run` it until it ends; `release` it when everything has stopped."""

    def __init__(
        self, kube: Kube, namespace: str, name: str, identity: str, clock: Clock, terms: Terms = TERMS
    ) -> None:
        """`kube` is its own, without a fence. `identity` is never used again by another process."""
        self._kube, self._namespace, self._name, self._clock = kube, namespace, name, clock
        self._terms = terms
        self._elector = Elector(identity, self._terms)
        self._told, self._settled = "", False
        self.acquired = asyncio.Event()
        """Set when this process leads for the first time; it does until `run` ends."""

    def held(self) -> bool:
        """Whether it may act as the leader at this very moment, even if the event loop stood still before."""
        return self._elector.held(self._clock.monotonic())

    @property
    def problem(self) -> str:
        """Why it does not lead, in words; empty when it does."""
        if self.held():
            return ""
        return f"{self._elector.holder} leads" if self._elector.holder else "nobody leads yet"

    def unknown(self) -> str:
        """Why it is not known yet who leads, in words; empty once somebody did."""
        return "" if self._settled else f"nobody leads yet, as far as lease {self._namespace}/{self._name} was read"

    async def run(self) -> None:
        """Stand by, then lead. Raises LeadLost when that has ended; never returns."""
        while True:
            match self._elector.next(self._clock.monotonic()):
                case Wait(seconds):
                    await asyncio.sleep(seconds)
                case Lost(why):
                    raise LeadLost(f"{self._namespace}/{self._name}", why)
                case Read() | Write() as action:
                    await self._do(action)

    async def release(self) -> None:
        """Give the Lease back if it is held, so that another one need not wait until it runs out."""
        action = self._elector.release(self._clock.monotonic())
        if action is None:
            return
        try:
            async with asyncio.timeout(self._terms.pause * 2):
                await self._write(action)
            logger.info("gave the lease back")
        except (KubeError, TimeoutError) as error:
            logger.warning("the lease is not given back, and runs out instead: %s", error or "no answer in time")

    async def _do(self, action: Read | Write) -> None:
        sent = self._clock.monotonic()
        try:
            async with asyncio.timeout(self._elector.left(sent)):
                if isinstance(action, Read):
                    self._elector.read(await self._read(), self._clock.monotonic())
                else:
                    self._elector.written(await self._write(action), sent, self._clock.monotonic())
        except (KubeError, TimeoutError) as error:
            self._elector.failed(self._clock.monotonic())
            doing = "leading until the lease runs out" if self.acquired.is_set() else "standing by"
            logger.warning("lease: %s; %s", str(error) or "no answer in time", doing)
        self._tell()

    def _tell(self) -> None:
        """Say it once for each that leads."""
        if self.held() and not self.acquired.is_set():
            logger.info("this controller leads: it holds the lease %s/%s", self._namespace, self._name)
            self.acquired.set()
        elif not self.acquired.is_set() and self._told != self._elector.holder:
            logger.info("standing by: %s", self.problem)
        self._told = self._elector.holder
        self._settled = self._settled or bool(self._told)

    async def _read(self) -> Record:
        try:
            return Record.of(await self._kube.get(LEASES, self._namespace, self._name))
        except NotFound:
            return ABSENT

    async def _write(self, action: Write) -> Record:
        """Raises KubeError, also when it is not any more as it was."""
        spec = self._spec(action)
        if not action.seen.version:
            meta = {"name": self._name, "namespace": self._namespace}
            body = {"apiVersion": LEASES.api_version, "kind": LEASES.kind, "metadata": meta, "spec": spec}
            return Record.of(await self._kube.create(LEASES, self._namespace, body))
        operations: list[dict[str, Any]] = [
            {"op": "test", "path": "/metadata/resourceVersion", "value": action.seen.version},
            {"op": "add", "path": "/spec", "value": spec},
        ]
        return Record.of(await self._kube.json_patch(LEASES, self._namespace, self._name, operations))

    def _spec(self, action: Write) -> Object:
        """As other Leases are; the times are for people, nothing depends on them."""
        now = microtime(self._clock.now())
        return {
            "holderIdentity": action.holder,
            "leaseDurationSeconds": ceil(self._terms.duration),
            "acquireTime": now if action.taken else action.seen.acquired or now,
            "renewTime": now,
            "leaseTransitions": action.seen.transitions + (action.taken and bool(action.holder)),
        }
