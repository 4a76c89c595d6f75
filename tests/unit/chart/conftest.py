"""Helm, and what it renders of the chart."""

from __future__ import annotations

import pytest

from chart_render import DEFAULT, Helm, Object, helm_program, render


@pytest.fixture(scope="session")
def helm() -> Helm:
    return helm_program()


@pytest.fixture(scope="session")
def default(helm: Helm) -> list[Object]:
    """What the chart renders with nothing but a registry."""
    return render(helm, "-f", DEFAULT)
