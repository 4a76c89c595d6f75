"""Log lines about refusals: the first of each reason at once, then a summary now and then, never one per request."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tracekeeper_sidecar.receive.outcome import Refused

logger = logging.getLogger(__name__)

INTERVAL: Final = 10.0
"""Seconds between two lines about one reason."""


@dataclass(slots=True)
class _Since:
    """What was refused for one reason since the last line about it."""

    next_line: float
    requests: int = 0
    spans: int = 0


class Notices:
    """Owned by the receivers' event loop."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._since: dict[str, _Since] = {}

    def note(self, refusal: Refused, spans: int) -> None:
        """Log this refusal, or count it for the next line about its reason."""
        now = self._monotonic()
        since = self._since.get(refusal.reason)
        if since is None:
            since = self._since[refusal.reason] = _Since(now)
        since.requests += 1
        since.spans += spans
        if now < since.next_line:
            return
        counts = {"reason": refusal.reason, "requests": since.requests, "spans": since.spans}
        # Applications that stop hang up on us; that is no cause for concern.
        level = logging.DEBUG if refusal.reason == "disconnected" else logging.WARNING
        logger.log(level, "refused what an application sent: %s", refusal.message, extra=counts)
        since.next_line, since.requests, since.spans = now + INTERVAL, 0, 0
