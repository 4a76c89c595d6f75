"""The command `tracekeeper-sidecar dump`: asks the running sidecar to send what sampling has left out, and waits."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from tracekeeper_sidecar.admin import client

DONE, FAILED = 0, 1
ASK = 10.0
"""Seconds that the sidecar may take for an answer."""
LOOK, SAY = 0.25, 2.0
"""Seconds between looks at how far it is, and between lines about it."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What is to be sent; times in seconds."""

    since: float
    where: str
    to: str
    forgotten: bool
    timeout: float


def dump(admin: str, asked: Ask, sleep: Callable[[float], None] = time.sleep) -> int:
    """Begin it, follow it, say what became of it; returns the exit code. An interrupt stops it."""
    query = {"since": f"{asked.since:g}", "where": asked.where, "to": asked.to, "timeout": f"{asked.timeout:g}"}
    try:
        progress = client.request(admin, "POST", f"/dump?{urlencode(query)}&forgotten={asked.forgotten:d}", ASK)
        try:
            said = time.monotonic()
            while progress["running"]:
                sleep(LOOK)
                progress = client.request(admin, "GET", "/dump", ASK)
                if time.monotonic() - said >= SAY:
                    said = time.monotonic()
                    print(f"{progress['sent']} spans sent, {progress['left']} to look at", file=sys.stderr)
        except KeyboardInterrupt:
            progress = client.request(admin, "POST", "/dump/stop", ASK)
    except (OSError, ValueError) as error:
        print(f"not dumped: {error}", file=sys.stderr)
        return FAILED
    return _told(progress, asked)


def _told(progress: dict[str, Any], asked: Ask) -> int:
    print(f"{progress['sent']} spans were sent to {asked.to!r}, of {progress['looked_at']} that were looked at")
    if progress["sent_before"]:
        print(f"{progress['sent_before']} match, and sampling has kept them: they were not sent again")
    if progress["not_known"]:
        print(
            f"{progress['not_known']} match, and what was decided about their traces is not known (any more): they "
            "may have been delivered; --forgotten sends them, too"
        )
    if progress["not_taken"]:
        print(f"{progress['not_taken']} were refused by the backend; /health says why", file=sys.stderr)
    if progress["problem"]:
        print(f"it ended early: {progress['problem']}", file=sys.stderr)
    return FAILED if progress["problem"] or progress["not_taken"] else DONE
