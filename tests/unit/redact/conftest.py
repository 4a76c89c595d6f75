"""What tests of redaction share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tracekeeper_sidecar.process.redact import engine


@pytest.fixture(scope="module")
def time_enough() -> Iterator[None]:
    """Requests may take as long as a machine with other work wants: whoever compares two ways does not ask how fast."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "LEAST_SECONDS", 60.0)
        patch.setattr(engine, "MOST_SECONDS", 60.0)
        yield
