"""The scanner twice: as it is imported, which is compiled after `make setup`, and as plain Python always."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest

from tracekeeper_sidecar import wire
from tracekeeper_sidecar.wire import scan

SOURCE = Path(wire.__path__[0]) / "scan.py"


def plain_count_spans() -> Callable[[bytes], int]:
    """`count_spans` from the .py file, whatever else was compiled."""
    spec = importlib.util.spec_from_file_location("plain_scan", SOURCE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Callable[[bytes], int] = module.count_spans
    return found


@pytest.fixture(scope="session", params=["imported", "plain"])
def count_spans(request: pytest.FixtureRequest) -> Callable[[bytes], int]:
    return scan.count_spans if request.param == "imported" else plain_count_spans()


@pytest.fixture(scope="session")
def plain() -> Callable[[bytes], int]:
    return plain_count_spans()
