"""A default for the whole cluster: it reaches a namespace by its owner's consent, and is taken back by it."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from cluster import fixtures
from cluster.node import Cluster
from cluster.wait import wait_for
from cluster.workload import SIDECAR, Workload, otlp

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


IDLE = ["python3", "-c", "import signal; signal.pause()"]
LENT, KEPT = "token-that-is-lent", "token-that-is-kept"


@pytest.fixture
def lender(cluster: Cluster, namespace: str) -> Iterator[Workload]:
    """Another namespace, with a config that it lends to everybody and one that it keeps; each has a credential."""
    other = Workload(cluster, f"{namespace}-lends"[-63:].lstrip("-"), "")
    cluster.kubectl("create", "namespace", other.namespace)
    for name, token, consent in (("lent", LENT, "All"), ("kept", KEPT, "Same")):
        cluster.kubectl("create", "secret", "generic", name, f"--from-literal=token={token}", "-n", other.namespace)
        headers = [{"name": "x-token", "secretKeyRef": {"name": name, "key": "token"}}]
        # With a selector neither stands behind the other; which of two that select every pod is older is chance.
        alone = {"matchLabels": {"app": name}}
        other.config(otlp("nowhere", headers=headers), name=name, selector=alone, allowedNamespaces={"from": consent})
    yield other
    cluster.kubectl("delete", "namespace", other.namespace, "--wait=false")


def resolved(user: Workload, inject: str, app: str = "app") -> str:
    """What such a pod would be resolved from, as the API server would make it."""
    made = user.pod(app, IDLE, annotations={"tracekeeper.dev/inject": inject})
    printed = user.cluster.kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", stdin=json.dumps(made))
    return str(json.loads(printed)["metadata"]["annotations"].get("tracekeeper.dev/resolved-from", "not injected"))


def test_a_pod_gets_the_config_that_it_names_if_it_may_and_else_the_most_specific_and_oldest(
    cluster: Cluster, tracekeeper: str, demo_image: str, namespace: str, lender: Workload
) -> None:
    assert tracekeeper
    user = Workload(cluster, namespace, demo_image)
    user.config(otlp("nowhere"), name="base")
    user.config(otlp("nowhere"), name="picky", selector={"matchLabels": {"app": "picky"}})
    user.config(otlp("nowhere"), name="chosen", selector={"matchLabels": {"app": "nobody"}})
    base = cluster.get("tracingconfigs.tracekeeper.dev", "base", namespace=namespace)
    made = datetime.fromisoformat(base["metadata"]["creationTimestamp"]).timestamp()
    wait_for(lambda: time.time() > made + 1.5, 10, "the next one is younger")
    # By its name it would come first.
    user.config(otlp("nowhere"), name="afterwards")
    user.condition("Ready", "False", name="afterwards")
    for name in ("lent", "kept"):
        lender.condition("Ready", "True", name=name)
    below, there = f"{namespace}/base@1", lender.namespace
    expected = {
        ("true", "app"): below,
        ("true", "picky"): f"{namespace}/picky@1,{below}",
        ("chosen", "picky"): f"{namespace}/chosen@1,{below}",
        (f"{there}/lent", "app"): f"{there}/lent@1,{below}",
        (f"{there}/kept", "app"): "none",
        ("missing", "app"): "none",
        ("false", "app"): "not injected",
        ("maybe not", "app"): "not injected",
    }

    def found() -> dict[tuple[str, str], str]:
        return {(inject, app): resolved(user, inject, app) for inject, app in expected}

    wait_for(lambda: found() == expected, 30, lambda: f"{found()} in place of {expected}")
    assert values(policy(cluster, namespace)) == [], "no pod names the one that is lent"
    for name in ("kept", "lent"):
        wish = {"tracekeeper.dev/inject": f"{there}/{name}"}
        cluster.apply(user.pod(name, IDLE, annotations=wish, terminationGracePeriodSeconds=1))
    _, about, message = user.event("InjectedWithoutPolicy")
    assert about == "kept-0" and "may not be used in namespace" in message and "allowedNamespaces" in message
    wait_for(lambda: values(policy(cluster, namespace)) == [LENT], 30, lambda: f"{policy(cluster, namespace)}")
    user.running("lent-0")
    wait_for(lambda: user.health("lent-0")["config"] == f"{there}/lent", 90, lambda: f"{user.health('lent-0')}")
    assert user.health("kept-0")["config"] in ("", None) and user.restarts(SIDECAR, "kept-0") == 0
    lender.config(otlp("nowhere"), name="lent", allowedNamespaces={"from": "All"}, suspend=True)
    wait_for(lambda: not user.health("lent-0")["enabled"], 120, lambda: f"{user.health('lent-0')}", interval=1)
