"""When the demo believes that a Deployment runs what it should."""

from __future__ import annotations

import pytest
from demo_journey import rolled_out


@pytest.mark.parametrize(
    ("generation", "updated", "available", "replicas", "over"),
    [
        (2, 2, 2, 2, True),
        (1, 2, 2, 2, False),  # the controller has not seen the newest template yet
        (2, 1, 2, 2, False),  # one pod is of an older template
        (2, 2, 1, 2, False),  # one is not ready, or not for long enough to be reached from everywhere
        (2, 2, 2, 3, False),  # an older one is still there
    ],
)
def test_a_rollout_is_over_when_only_the_newest_is_left(
    generation: int, updated: int, available: int, replicas: int, over: bool
) -> None:
    counts = {"updatedReplicas": updated, "availableReplicas": available, "replicas": replicas, "readyReplicas": 2}
    deployment = {
        "metadata": {"generation": 2},
        "spec": {"replicas": 2},
        "status": {"observedGeneration": generation, **counts},
    }
    assert rolled_out(deployment) is over


def test_a_deployment_that_nobody_has_looked_at_yet_is_not_rolled_out() -> None:
    assert not rolled_out({"metadata": {"generation": 1}, "spec": {}})
