"""Which tools are there to wait for something, by their names: these are called again and again, and meant so."""

from __future__ import annotations

import re

_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_OF_WAITING = frozenset("await heartbeat job jobs ping poll polling progress sleep state status wait".split())


def is_to_wait(tool: str) -> bool:
    """Whether the name of the tool has a word of waiting in it: `get_job`, `check-status`, `waitForBuild`."""
    return any(word.lower() in _OF_WAITING for word in _WORDS.findall(tool))
