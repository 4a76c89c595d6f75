"""What commands talk to in their tests: an API server, with the chart in it or without, and a control server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cli_world import install, kubeconfig
from control_api import Api, serve
from people_world import World, world
from screen import Screen


@pytest.fixture
async def empty_api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Api]:
    """Nothing is installed there."""
    async with serve() as api:
        monkeypatch.setenv("KUBECONFIG", kubeconfig(tmp_path / "kubeconfig", api.url))
        yield api


@pytest.fixture
def api(empty_api: Api) -> Api:
    """The chart is installed there."""
    install(empty_api)
    return empty_api


@pytest.fixture
async def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """A control server, and the API server that says who people are."""
    async with world(tmp_path) as made:
        monkeypatch.setenv("KUBECONFIG", made.kubeconfig())
        (tmp_path / "ca.crt").write_text(made.authority)
        yield made


@pytest.fixture
def screen(capsys: pytest.CaptureFixture[str]) -> Screen:
    return Screen(capsys)
