"""Whether anybody collects the metrics, and who."""

from __future__ import annotations

from tracekeeper_sidecar.admin.newborn import Newborns
from tracekeeper_sidecar.clock import Clock
from tracekeeper_sidecar.http.head import Head

PATIENCE = 600.0
"""Seconds: several times what is usual between two scrapes."""


class Scrapes:
    """Owned by the event loop. The start counts as a scrape, so that there is time for the first one."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._last = clock, clock.monotonic()
        self.newborns = Newborns(clock)

    def note(self, peer: str) -> None:
        """Somebody at that address has asked just now. From inside the pod it is a person, by kubectl, or the
        application."""
        if not is_loopback(peer):
            self._last = self._clock.monotonic()

    @property
    def missing(self) -> bool:
        """Whether nobody has for long."""
        return self._clock.monotonic() - self._last >= PATIENCE


def is_loopback(peer: str) -> bool:
    """`peer` is an address as the kernel has it; a socket for both families gives IPv4's within IPv6's."""
    return peer == "::1" or peer.removeprefix("::ffff:").startswith("127.")


def scraper_of(peer: str, head: Head) -> str:
    """Who scrapes, as an address; empty for a person, who asks from inside the pod and does not say how long a scrape
    may take, as Prometheus and what is built on it do."""
    return "" if is_loopback(peer) and not head.field(b"x-prometheus-scrape-timeout-seconds") else peer
