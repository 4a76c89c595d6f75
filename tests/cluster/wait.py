"""Waiting for a condition with a deadline: what the tests do instead of sleeping."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from cluster.errors import DeadlinePassed

T = TypeVar("T")


def wait_for(
    condition: Callable[[], T | None],
    deadline: float,
    describe: str | Callable[[], str],
    interval: float = 0.1,
) -> T:
    """Call `condition` until it returns something true, and return that.

    `deadline` is in seconds from now. The condition is tried at least once, and once more when time is up.
    `describe` completes "did not happen within N s: …"; a callable is asked only then, and can show the state.
    Raises DeadlinePassed. Exceptions of the condition pass through.
    """
    end = time.monotonic() + deadline
    while True:
        late = time.monotonic() >= end
        if result := condition():
            return result
        if late:
            what = describe if isinstance(describe, str) else describe()
            raise DeadlinePassed(f"did not happen within {deadline:g} s: {what}")
        time.sleep(min(interval, max(0.0, end - time.monotonic())))
