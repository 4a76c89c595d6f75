"""The reference names every flag and metric that there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tracekeeper_operator.metrics import ControllerMetrics, InjectorMetrics, Metrics
from tracekeeper_operator.settings import _parser

REFERENCE = Path(__file__).parents[3] / "docs" / "reference"
PAGE = (REFERENCE / "operator.md").read_text()
METRICS = (REFERENCE / "metrics.md").read_text()


@pytest.mark.parametrize("metrics", [ControllerMetrics(), InjectorMetrics()], ids=["controller", "injector"])
def test_every_metric_is_on_the_page(metrics: Metrics) -> None:
    families = list(metrics.registry.collect())
    assert len(families) > 4
    for family in families:
        suffix = "_total" if family.type == "counter" else ""
        assert re.search(rf"`{family.name}{suffix}[`{{]", METRICS), family.name
        assert family.documentation


@pytest.mark.parametrize("command", ["controller", "injector"])
def test_every_flag_is_on_the_page(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        _parser({}).parse_args([command, "--help"])
    flags = set(re.findall(r"--[a-z-]+", capsys.readouterr().out)) - {"--help"}
    section = PAGE.split(f"## `tracekeeper-operator {command}`")[1].split("## ")[0]
    assert len(flags) >= 6
    for flag in flags:
        assert f"`{flag}`" in section, flag
