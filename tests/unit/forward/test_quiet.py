"""Repeated log lines are left out, and counted."""

from __future__ import annotations

from tracekeeper_sidecar.clock import SystemClock
from tracekeeper_sidecar.forward.quiet import INTERVAL, MOST_KEYS, Quiet


class Held(SystemClock):
    """Time that stands still until it is moved."""

    now_is = 100.0

    def monotonic(self) -> float:
        return self.now_is


def test_one_line_per_key_and_interval() -> None:
    clock = Held()
    quiet = Quiet(clock)
    assert quiet.allow("a") == 0
    assert quiet.allow("b") == 0
    assert quiet.allow("a") is None
    assert quiet.allow("a") is None
    clock.now_is += INTERVAL
    assert quiet.allow("a") == 2
    assert quiet.allow("a") is None


def test_keys_are_bounded() -> None:
    quiet = Quiet(Held())
    for number in range(3 * MOST_KEYS):
        assert quiet.allow(number) == 0
    assert len(quiet._written) <= MOST_KEYS
