"""Where the test cluster keeps things: nothing of it inside the checkout."""

from __future__ import annotations

import os
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent


def cache() -> Path:
    """The cache of what is expensive to make: built tools, images. $TRACEKEEPER_CACHE overrides it."""
    if chosen := os.environ.get("TRACEKEEPER_CACHE"):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "tracekeeper"


def states() -> Path:
    """The folder with one folder of state for each running cluster. $TRACEKEEPER_STATE overrides it."""
    return Path(os.environ.get("TRACEKEEPER_STATE", "/var/lib/tracekeeper"))
