"""A default for the whole cluster: it reaches a namespace by its owner's consent, and is taken back by it."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from cluster import fixtures
from cluster.node import Cluster
from cluster.wait import wait_for
from cluster.workload import Workload, otlp

pytestmark = pytest.mark.cluster

DEFAULT = "default-of-all"
TOKEN = "token-of-the-platform"


def policy(cluster: Cluster, namespace: str) -> dict[str, Any] | None:
    secret = cluster.find("secret", "tracekeeper-policy", namespace=namespace)
    return json.loads(base64.b64decode(secret["data"]["policy.json"])) if secret else None


def values(document: dict[str, Any] | None) -> list[str]:
    keys = (document or {}).get("secrets", {}).values()
    return [base64.b64decode(value).decode() for each in keys for value in each.values()]


def test_a_default_of_the_root_namespace_is_lent_and_taken_back(
    cluster: Cluster, tracekeeper: str, demo_image: str, namespace: str
) -> None:
    user, platform = Workload(cluster, namespace, demo_image), Workload(cluster, fixtures.SYSTEM, demo_image)
    user.backends("backend-a")
    headers = [{"name": "x-token", "secretKeyRef": {"name": DEFAULT, "key": "token"}}]
    backend = otlp("backend-a", endpoint=f"http://backend-a.{namespace}:4317", headers=headers)
    chosen = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": DEFAULT}, "stringData": {"token": TOKEN}}
    cluster.apply(secret, namespace=fixtures.SYSTEM)
    try:
        lent = {"allowedNamespaces": {"from": "Selector", "selector": chosen}, "enforced": ["Backends"]}
        platform.config(backend, name=DEFAULT, **lent)
        platform.condition("Ready", "True", name=DEFAULT)
        assert policy(cluster, namespace) is None, "nobody asks for it there"
        cluster.kubectl("label", "namespace", namespace, "tracekeeper.dev/inject=true")
        wait_for(lambda: TOKEN in values(policy(cluster, namespace)), 30, "the default is published for the namespace")
        user.config(otlp("nowhere"), name="own", logLevel="Debug")
        user.condition("Ready", "True", name="own")
        name = user.agent(runs=5)
        pod = cluster.get("pod", name, namespace=namespace)
        sources = pod["metadata"]["annotations"]["tracekeeper.dev/resolved-from"]
        assert sources == f"{namespace}/own@1,{fixtures.SYSTEM}/{DEFAULT}@1"
        user.summary()
        user.settled()
        health = user.health()
        # The backends are the default's, which enforces them; `nowhere` does not exist.
        assert health["config"] == f"{namespace}/own" and "nowhere" not in json.dumps(health)
        platform.config(backend, name=DEFAULT, allowedNamespaces={"from": "Same"})
        wait_for(lambda: TOKEN not in values(policy(cluster, namespace)), 30, "the credentials are taken back")
    finally:
        for kind in ("tracingconfigs.tracekeeper.dev", "secret"):
            cluster.kubectl("delete", kind, DEFAULT, "-n", fixtures.SYSTEM, "--ignore-not-found")
