"""Refusals are logged at once, and then in summaries."""

from __future__ import annotations

import logging

import pytest

from tracekeeper_sidecar.receive import media
from tracekeeper_sidecar.receive.notices import INTERVAL, Notices
from tracekeeper_sidecar.receive.outcome import overloaded


def test_first_at_once_then_a_summary_for_each_reason(caplog: pytest.LogCaptureFixture) -> None:
    now = 100.0
    notices = Notices(lambda: now)
    with caplog.at_level(logging.WARNING):
        for _ in range(50):
            notices.note(overloaded(1000), 4)
        notices.note(media.wrong_path("/v1/logs"), 0)
        now += INTERVAL
        notices.note(overloaded(1000), 4)
    lines = [(vars(one)["reason"], vars(one)["requests"], vars(one)["spans"]) for one in caplog.records]
    assert lines == [("overloaded", 1, 4), ("path", 1, 0), ("overloaded", 50, 200)]
    assert "1000 bytes of requests are already waiting for the disk" in caplog.records[0].getMessage()
    assert "nothing is served at '/v1/logs'" in caplog.records[1].getMessage()
