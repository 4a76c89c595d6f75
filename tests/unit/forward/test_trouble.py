"""When a backend is passed over although no call has failed."""

from __future__ import annotations

import pytest

from tracekeeper_sidecar.forward.trouble import in_trouble


@pytest.mark.parametrize(
    ("longest_send", "timeout", "waited", "trouble"),
    [
        (0.0, 10.0, 3600.0, False),  # a backlog, and a backend that is quick
        (4.9, 10.0, 5.0, False),  # slow, but nothing is late
        (5.1, 10.0, 0.0, True),  # stuck
        (1.1, 10.0, 31.0, True),  # too slow for what is late
        (1.1, 10.0, 29.0, False),
        (0.9, 10.0, 31.0, False),
        (0.6, 1.0, 0.0, True),
    ],
)
def test_trouble(longest_send: float, timeout: float, waited: float, trouble: bool) -> None:
    assert in_trouble(longest_send, timeout, waited) is trouble
