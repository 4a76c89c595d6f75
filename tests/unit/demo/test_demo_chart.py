"""What the demo tells the chart: values that there are, and where traces are looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from demo_journey import ALERTS

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("name", ALERTS)
def test_the_chart_knows_each_value(name: str) -> None:
    value: Any = yaml.safe_load((ROOT / "charts/tracekeeper/values.yaml").read_text())
    for part in name.split("."):
        value = value[part]
    assert isinstance(value, str)
    assert not set(ALERTS[name]) & set(",{}"), "Helm would take it for several values"


def test_alerts_link_to_what_a_backend_of_the_demo_has() -> None:
    objects = list(yaml.safe_load_all((ROOT / "examples/demo/manifests/10-backends.yaml").read_text()))
    host, _, port = ALERTS["alerts.traceURL"].removeprefix("http://").partition("/")[0].partition(":")
    name, namespace, _ = host.split(".")
    (service,) = (each for each in objects if each["kind"] == "Service" and each["metadata"]["name"] == name)
    assert service["metadata"]["namespace"] == namespace
    assert int(port) in [each["port"] for each in service["spec"]["ports"]]
