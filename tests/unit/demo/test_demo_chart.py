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


def test_prometheus_finds_the_operator_whose_rules_it_has() -> None:
    """Without the controllers' metrics one of these rules says that nobody leads."""
    manifests = ROOT / "examples/demo/manifests"
    (service,) = yaml.safe_load_all((manifests / "50-operator-metrics.yaml").read_text())
    objects = yaml.safe_load_all((manifests / "40-monitoring.yaml").read_text())
    (config,) = [each for each in objects if each["kind"] == "ConfigMap" and "prometheus.yml" in each["data"]]
    jobs = {job["job_name"]: job for job in yaml.safe_load(config["data"]["prometheus.yml"])["scrape_configs"]}
    (found,) = jobs["tracekeeper-operator"]["dns_sd_configs"]
    meta = service["metadata"]
    assert found["names"] == [f"{meta['name']}.{meta['namespace']}.svc.cluster.local"]
    rendered = yaml.safe_load_all((ROOT / "charts/tracekeeper/examples/default.yaml").read_text())
    pods = [each["spec"]["template"] for each in rendered if each["kind"] == "Deployment"]
    selected = [pod for pod in pods if service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()]
    (container,) = [container for pod in selected for container in pod["spec"]["containers"]]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert found["port"] == ports["metrics"] == service["spec"]["ports"][0]["port"]
