"""A forwarder and servers that are stopped at the end of a test. A pytest plugin, for all tests of forwarding."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from forward_support.rig import Rig, running
from forward_support.servers import Serve, serving


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    """A forwarder over a log in the test's own folder."""
    async with running(tmp_path) as made:
        yield made


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Starts servers."""
    async with serving() as start:
        yield start
