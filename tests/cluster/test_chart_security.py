"""What the chart lets the operator do, and how large its images are, on a real cluster."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator

import pytest

from cluster import fixtures, images
from cluster.fixtures import RELEASE, SYSTEM
from cluster.node import Cluster
from cluster.workload import Workload, otlp
from tracekeeper_cli.network_policy import need

pytestmark = pytest.mark.cluster

CONTROLLER = f"--as=system:serviceaccount:{SYSTEM}:{RELEASE}-controller"
LARGEST_MB = {"operator": 110, "sidecar": 75}
"""Of an image, unpacked: what it takes, and a fifth more. 150 is what was promised."""


@pytest.fixture
def listed(cluster: Cluster, tracekeeper: str, namespace: str) -> Iterator[str]:
    """A namespace whose Secrets are the only ones that the operator may read."""
    fixtures.install(cluster, "--set", f"rbac.secretNamespaces={{{namespace}}}")
    yield namespace
    fixtures.install(cluster, "--set-json", "rbac.secretNamespaces=[]")


def may_read(cluster: Cluster, namespace: str, secret: str) -> bool:
    said: str = cluster.kubectl("auth", "can-i", CONTROLLER, "get", secret, "-n", namespace, check=False)
    return said.strip() == "yes"


def test_secrets_are_read_in_the_namespaces_that_are_listed_and_elsewhere_the_status_says_why_not(
    cluster: Cluster, listed: str
) -> None:
    assert may_read(cluster, listed, "secret/anything")
    assert not may_read(cluster, "default", "secret/anything")
    assert may_read(cluster, "default", "secret/tracekeeper-policy")
    elsewhere = f"{listed}-not"[-63:]
    cluster.kubectl("create", "namespace", elsewhere)
    try:
        token = {"type": "Bearer", "bearer": {"secretKeyRef": {"name": "tempo", "key": "token"}}}
        for where, status in ((listed, "True"), (elsewhere, "False")):
            cluster.kubectl("create", "secret", "generic", "tempo", "--from-literal=token=t", "-n", where)
            user = Workload(cluster, where, "")
            user.config(otlp("backend-a", auth=token))
            told = user.condition("ResolvedRefs", status)
            assert told["reason"] == ("ResolvedRefs" if status == "True" else "SecretForbidden")
    finally:
        cluster.kubectl("delete", "namespace", elsewhere, "--wait=false")


def test_the_api_server_takes_the_policy_for_a_namespace_where_everything_is_denied(
    cluster: Cluster, namespace: str
) -> None:
    endpoints = (
        "https://traces.example.com",
        "http://192.0.2.7:4317",
        "https://[2001:db8::7]:4317",
        "http://a.b.svc:1",
    )
    config = {"spec": {"backends": [{"otlp": {"endpoint": endpoint}} for endpoint in endpoints]}}
    body = need(namespace, [config], SYSTEM, lambda space, name: None).policy
    options = ("--server-side", "--dry-run=server", "--validate=strict", "-f", "-")
    assert "serverside-applied" in cluster.kubectl("apply", *options, stdin=json.dumps(body))


def test_doctor_prints_the_policy_that_a_namespace_lacks_where_everything_is_denied(
    cluster: Cluster, tracekeeper: str, demo_image: str, namespace: str
) -> None:
    user = Workload(cluster, namespace, demo_image)
    user.configured(otlp("backend-a"))
    idle = ["python3", "-c", "import signal; signal.pause()"]
    cluster.apply(user.pod("app", idle, annotations={"tracekeeper.dev/inject": "true"}))
    kind = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy"}
    deny = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    cluster.apply({**kind, "metadata": {"name": "deny", "namespace": namespace}, "spec": deny})

    def found() -> list[dict[str, str]]:
        command = [sys.executable, "-m", "tracekeeper_cli", "doctor", "-n", namespace, "--json"]
        findings = json.loads(cluster.run(command, check=False).stdout)["findings"]
        return [each for each in findings if each["reason"] == "NetworkPolicy"]

    (finding,) = found()
    assert finding["about"] == f"pod {namespace}/app-0" and "the control stream" in finding["problem"]
    cluster.apply(finding["next"].partition(":\n")[2])
    assert found() == []


@pytest.mark.parametrize("name", ["operator", "sidecar"])
def test_an_image_is_no_larger_than_it_was_promised(project_images: dict[str, str], name: str) -> None:
    (found,) = json.loads(images.buildah("images", "--json", project_images[name]))
    number, unit = re.fullmatch(r"([\d.]+) ([kMG]B)", found["size"]).groups()  # type: ignore[union-attr]
    size = float(number) * {"kB": 1e-3, "MB": 1, "GB": 1e3}[unit]
    print(f"{project_images[name]}: {size:.0f} MB unpacked")
    assert 10 < size <= LARGEST_MB[name]
