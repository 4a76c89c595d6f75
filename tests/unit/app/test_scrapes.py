"""Whether anybody collects a sidecar's metrics."""

from __future__ import annotations

import pytest

from log_harness import ManualClock
from tracekeeper_sidecar.admin.scrapes import PATIENCE, Scrapes


@pytest.mark.parametrize("peer", ["10.0.0.7", "::ffff:10.0.0.7", "fd00::7"])
def test_scrapes_are_missed_when_the_last_one_is_long_ago(peer: str) -> None:
    clock = ManualClock()
    scrapes = Scrapes(clock)

    def missing_after(seconds: float) -> bool:
        clock.advance(seconds)
        return scrapes.missing

    assert not missing_after(PATIENCE - 1), "the first one has as much time as any other"
    scrapes.note(peer)
    assert not missing_after(PATIENCE - 1)
    assert missing_after(1)
    scrapes.note(peer)
    assert not missing_after(0)


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_whoever_asks_inside_the_pod_is_no_scraper(peer: str) -> None:
    clock = ManualClock()
    scrapes = Scrapes(clock)
    clock.advance(PATIENCE)
    scrapes.note(peer)
    assert scrapes.missing
