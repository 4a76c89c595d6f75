"""A real API server with our CRD and no webhook: it refuses what the parser refuses, as far as schema and CEL reach."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator

import pytest

from cluster.client import Client
from cluster.wait import wait_for
from spec_cases import FULL, manifest
from spec_crd import crd
from spec_faults import FAULTY

pytestmark = pytest.mark.cluster

# Under a group of its own, the definition is judged alone: no webhook of an installed chart looks at its objects.
GROUP = "judged.tracekeeper.dev"


@pytest.fixture
def judge(cluster: Client) -> Iterator[Client]:
    """A cluster that has our definition, but for its group."""
    definition = copy.deepcopy(crd())
    definition["metadata"] = {"name": f"tracingconfigs.{GROUP}"}
    definition["spec"]["group"] = GROUP
    definition["spec"]["names"] |= {"shortNames": [], "categories": []}
    cluster.apply(definition)
    cluster.kubectl("wait", "--for=condition=Established", f"crd/tracingconfigs.{GROUP}", "--timeout=30s")
    yield cluster
    cluster.kubectl("delete", "crd", f"tracingconfigs.{GROUP}")


def taken(cluster: Client, specs: dict[str, object]) -> set[str]:
    """Names of those of `specs` that the API server would create."""
    items = [manifest(spec, name) | {"apiVersion": f"{GROUP}/v1alpha1"} for name, spec in specs.items()]
    for item in items:
        item["metadata"]["namespace"] = "default"
    # Not as a List: kubectl would check its items itself, as a whole.
    text = "\n".join(json.dumps(item) for item in items)
    command = ("create", "--dry-run=server", "--validate=strict", "-f", "-")
    printed = cluster.kubectl(*command, stdin=text, check=False, timeout=50)
    return set(re.findall(r"/(\S+) created \(server dry run\)", printed))


def sayable(spec: object) -> bool:
    """Whether JSON has words for it: it has none for a number that is not one, which YAML can write."""
    try:
        json.dumps(spec, allow_nan=False)
    except ValueError:
        return False
    return True


def test_the_api_server_agrees_with_the_parser(judge: Client) -> None:
    cases = {f"case-{number}": case for number, case in enumerate(FAULTY) if sayable(case.spec)}
    got = taken(judge, {"full": FULL, **{name: case.spec for name, case in cases.items()}})
    assert "full" in got
    wrong = [str(case) for name, case in cases.items() if (name in got) == case.server]
    assert wrong == [], "taken although the table says refused, or the other way round"


def test_explain_tells_what_a_field_is_for(judge: Client) -> None:
    command = ("explain", f"--api-version={GROUP}/v1alpha1", "tracingconfigs.spec.backends.timeout")

    def told() -> bool:  # the API server publishes descriptions a little after the definition
        return "How long one request may take. Default: 10s." in judge.kubectl(*command, check=False)

    assert wait_for(told, 40, "kubectl explain describes the field")
