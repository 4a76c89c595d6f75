"""An upgrade from a chart whose definition of TracingConfig lacks a field brings it, and moves nothing else."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster import fixtures, paths
from cluster.node import Cluster
from cluster.wait import wait_for
from cluster.workload import SIDECAR, Workload, otlp

pytestmark = pytest.mark.cluster

CHART = paths.REPO / "charts/tracekeeper"
FIELD = re.compile(r"^( +)logLevel:\n(?:\1 +.*\n)+", re.MULTILINE)
IDLE = ["python3", "-c", "import signal; signal.pause()"]


def older(folder: Path) -> Path:
    """The chart as it was before TracingConfigs had a `logLevel`, say."""
    chart = folder / "tracekeeper"
    shutil.copytree(CHART, chart)
    file = chart / "templates/crd.yaml"
    text, count = FIELD.subn("", file.read_text(), count=1)
    assert count == 1
    file.write_text(text)
    return chart


@pytest.fixture
def put_back(cluster: Cluster, tracekeeper: str) -> Iterator[str]:
    """The release's name; all other tests find the chart as it was, however this one ends."""
    yield tracekeeper
    fixtures.install(cluster)


# As long as all of its waits together: cut off amid an upgrade, Helm would refuse the one that puts the chart back.
@pytest.mark.timeout(480, func_only=True)
def test_an_upgrade_brings_the_new_definition_and_restarts_no_application(
    cluster: Cluster, put_back: str, demo_image: str, namespace: str, tmp_path: Path
) -> None:
    user = Workload(cluster, namespace, demo_image)
    user.configured(otlp("nowhere"))
    wish = {"tracekeeper.dev/inject": "true"}
    cluster.apply(user.pod("app", IDLE, annotations=wish, terminationGracePeriodSeconds=1))
    user.running("app-0")

    def upgrade(chart: Path, *options: str) -> None:
        how = ("-n", fixtures.SYSTEM, "--reset-then-reuse-values", "--wait", "--timeout", "90s")
        cluster.helm("upgrade", put_back, str(chart), *how, *options)

    def takes_the_field() -> bool:
        config = cluster.get("tracingconfigs.tracekeeper.dev", "agents", namespace=namespace)
        made = {key: config[key] for key in ("apiVersion", "kind")}
        made |= {"metadata": {"name": "new", "namespace": namespace}, "spec": {**config["spec"], "logLevel": "Debug"}}
        create = ["kubectl", "create", "--dry-run=server", "--validate=strict", "-f", "-"]
        return cluster.run(create, stdin=json.dumps(made), check=False).returncode == 0

    upgrade(older(tmp_path))
    wait_for(lambda: not takes_the_field(), 30, "the older definition is in force", interval=1)
    # The flag has all of the operator's pods replaced, as a new image would.
    upgrade(CHART, "--set", "logLevel=Debug")
    wait_for(takes_the_field, 30, "the new definition is in force", interval=1)
    user.config(otlp("nowhere"), logLevel="Debug")
    user.condition("Ready", "True", deadline=60)
    assert (user.restarts("app", "app-0"), user.restarts(SIDECAR, "app-0")) == (0, 0)
