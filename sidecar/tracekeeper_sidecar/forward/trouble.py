"""Is a backend in trouble although none of its calls has failed yet? Pure.

A call that hangs is an error only when its time is up, and a breaker wants several; a backend that takes every request,
but slower than they come, never fails at all. Both show in what waits: in how long the oldest send has been on its way,
and in how old the spans behind it are.
"""

from __future__ import annotations

STUCK = 0.5
"""Share of the timeout after which a send on its way counts as stuck."""
LATE = 30.0
"""Seconds; spans that have waited so long are late."""
SLOW = 1.0
"""Seconds; a backend whose sends take so long is too slow for late spans."""


def in_trouble(longest_send: float, timeout: float, waited: float) -> bool:
    """Whether another backend should be preferred. `longest_send`: seconds that the oldest send has been on its way;
    `waited`: seconds since the spans to be sent were acknowledged."""
    return longest_send > STUCK * timeout or (waited > LATE and longest_send > SLOW)
