"""A linter's opinion of what the chart renders: kube-score over the committed examples, which are kept current."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from chart_render import CHART
from foreign_clients import KUBE_SCORE

EXAMPLES = sorted((CHART / "examples").glob("*.yaml"))
OPTIONS = (
    "--kubernetes-version=v1.30",
    "--output-format=json",
    # A CPU limit throttles what is late already; requests and memory limits are set.
    "--ignore-container-cpu-limit",
    # Our tags are versions, never moved; `image.pullPolicy` is there for those who do.
    "--ignore-test=container-image-pull-policy",
)
MINDED = 5
"""kube-score's grades are 1 (critical), 5 (warning), 7 (almost) and 10 (well)."""

OF_ONE = "a small cluster that runs one of it says so by its values"
AT_RUN_TIME = "the control Service selects the pod that leads, by a label that is set at run time"
LATER = "the controller makes this pod when there is a new image to try"
ACCEPTED = {
    **{
        (example, "controller", "service-targets-pod"): AT_RUN_TIME
        for example in ("default", "ha", "isolated", "single")
    },
    ("single", "injector", "deployment-replicas"): OF_ONE,
    ("default", "controller", "deployment-replicas"): "sidecars and injectors work without it; values-ha.yaml has two",
    ("isolated", "controller", "deployment-replicas"): "likewise",
    ("single", "controller", "deployment-replicas"): OF_ONE,
    **{
        (example, "preflight", "networkpolicy-targets-pod"): LATER
        for example in ("default", "ha", "isolated", "single")
    },
    ("full", "controller", "pod-networkpolicy"): "this example leaves them out",
    ("full", "injector", "pod-networkpolicy"): "likewise",
    ("full", "test", "pod-networkpolicy"): "likewise",
    ("full", "node-folder", "pod-networkpolicy"): "likewise",
    ("full", "injector", "deployment-has-host-podantiaffinity"): "this example brings an affinity of its own",
    ("full", "controller", "deployment-has-host-podantiaffinity"): "likewise",
    ("full", "node-folder", "container-security-context-user-group-id"): "root, because the node's folder is root's",
}
"""What it minds and we do not, each with the reason: example, component, check."""


def component_of(item: dict[str, Any]) -> str:
    return str(item["object_meta"]["labels"]["app.kubernetes.io/component"])


async def findings(example: Path) -> set[tuple[str, str, str]]:
    program = KUBE_SCORE.start(await asyncio.to_thread(KUBE_SCORE.ensure))
    done = await asyncio.to_thread(
        subprocess.run, [*program, *OPTIONS, str(example)], capture_output=True, text=True, check=False, timeout=50
    )
    judged: list[dict[str, Any]] = json.loads(done.stdout)
    assert {component_of(item) for item in judged} >= {"controller", "injector", "test"}, done.stderr
    return {
        (example.stem, component_of(item), check["check"]["id"])
        for item in judged
        for check in item["checks"]
        if not check["skipped"] and check["grade"] <= MINDED
    }


@pytest.mark.timeout(600)  # The first run on a machine that was not set up builds the program.
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
async def test_the_linter_minds_nothing_but_what_has_a_reason(example: Path) -> None:
    found = await findings(example)
    assert found - ACCEPTED.keys() == set()


@pytest.mark.timeout(600)
async def test_the_linter_sees_what_is_wrong(tmp_path: Path) -> None:
    """What keeps the test above from passing for a linter that looks at nothing."""
    text = (CHART / "examples/default.yaml").read_text()
    wrong = tmp_path / "default.yaml"
    wrong.write_text(text.replace("readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false"))
    checks = {check for _, _, check in await findings(wrong)}
    assert "container-security-context-readonlyrootfilesystem" in checks
