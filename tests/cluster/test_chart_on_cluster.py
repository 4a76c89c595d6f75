"""The chart on a real API server: what it refuses and lets through, and that its parts work together."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.errors import CommandFailed
from cluster.fixtures import RELEASE, SYSTEM
from cluster.node import Cluster
from cluster.wait import wait_for

pytestmark = pytest.mark.cluster

CHART = Path(__file__).resolve().parents[2] / "charts/tracekeeper"
CI = [*sorted((CHART / "ci").glob("*-values.yaml")), CHART / "values-ha.yaml"]
CONTROLLER = f"--as=system:serviceaccount:{SYSTEM}:{RELEASE}-controller"
INJECTOR = f"--as=system:serviceaccount:{SYSTEM}:{RELEASE}-injector"


def render(cluster: Cluster, *options: str) -> list[dict[str, Any]]:
    text = cluster.helm("template", "rendered", str(CHART), "-n", "default", *options)
    return [found for found in yaml.safe_load_all(text) if found]


@pytest.mark.parametrize("values", CI, ids=lambda path: path.stem)
def test_the_api_server_takes_every_object_as_it_is(cluster: Cluster, values: Path) -> None:
    named = ("--set", "fullnameOverride=rendered", "--set", "image.registry=localhost")
    objects = render(cluster, "-f", str(values), *named, "--no-hooks")
    text = "\n---\n".join(json.dumps(found) for found in objects)
    options = ("--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict")
    # Nothing is created in them, but the API server wants them there.
    there = cluster.kubectl("get", "namespaces", "-o", "jsonpath={.items[*].metadata.name}").split()
    spaces = {found["metadata"].get("namespace", "default") for found in objects}.difference(there)
    for space in spaces:
        cluster.kubectl("create", "namespace", space)
    try:
        printed = cluster.kubectl("apply", *options, "-f", "-", stdin=text)
    finally:
        for space in spaces:
            cluster.kubectl("delete", "namespace", space, "--wait=true", timeout=90)
    assert printed.count("(server dry run)") == len(objects) > 15


def test_helm_test_passes(cluster: Cluster, tracekeeper: str) -> None:
    printed = cluster.helm("test", tracekeeper, "-n", SYSTEM, "--timeout", "100s")
    assert "Phase:          Succeeded" in printed
    ours = ("-l", "app.kubernetes.io/component=test", "-o", "name")
    left = cluster.kubectl("get", "pod,serviceaccount", "-n", SYSTEM, *ours)
    assert left == ""
    assert "-test" not in cluster.kubectl("get", "role,rolebinding", "-n", "default", "-o", "name")


@pytest.mark.parametrize("name", ["tracekeeper-policy", "other"])
def test_the_controller_writes_one_secret_by_server_side_apply_only(
    cluster: Cluster, tracekeeper: str, namespace: str, name: str
) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace}}
    text = json.dumps(secret)
    apply = ("apply", "--server-side", CONTROLLER, "-f", "-")
    if name == "tracekeeper-policy":
        assert "serverside-applied" in cluster.kubectl(*apply, stdin=text)
        cluster.kubectl("delete", CONTROLLER, "secret", name, "-n", namespace)
    else:
        with pytest.raises(CommandFailed, match="cannot patch resource"):
            cluster.kubectl(*apply, stdin=text)
    with pytest.raises(CommandFailed, match="cannot create resource"):
        cluster.kubectl("create", CONTROLLER, "-f", "-", stdin=text)


@pytest.mark.parametrize(
    ("who", "verb", "what"),
    [
        (CONTROLLER, "list", "secrets"),
        (CONTROLLER, "watch", "secrets"),
        (CONTROLLER, "create", "pods"),
        (CONTROLLER, "delete", "pods"),
        (CONTROLLER, "update", "tracingconfigs.tracekeeper.dev"),
        (CONTROLLER, "patch", "events"),
        (CONTROLLER, "list", "events"),
        (INJECTOR, "get", "secrets"),
        (INJECTOR, "list", "secrets"),
        (INJECTOR, "create", "pods"),
        (INJECTOR, "patch", "pods"),
        (INJECTOR, "patch", "mutatingwebhookconfigurations.admissionregistration.k8s.io"),
    ],
)
def test_nobody_may_more_than_is_needed(
    cluster: Cluster, tracekeeper: str, namespace: str, who: str, verb: str, what: str
) -> None:
    assert cluster.kubectl("auth", "can-i", who, verb, what, "-n", namespace, check=False).strip() == "no"


@pytest.mark.parametrize("who", [CONTROLLER, INJECTOR])
def test_the_accounts_that_are_refused_are_those_that_work(
    cluster: Cluster, tracekeeper: str, namespace: str, who: str
) -> None:
    """What keeps the test above from passing for a misspelled name, which may do nothing at all."""
    what = ("list", "tracingconfigs.tracekeeper.dev")
    assert cluster.kubectl("auth", "can-i", who, *what, "-n", namespace, check=False).strip() == "yes"


def pod(annotations: dict[str, str] | None) -> str:
    metadata: dict[str, Any] = {"name": "asks"} | ({"annotations": annotations} if annotations is not None else {})
    container = {"name": "app", "image": "localhost/none:1"}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}})


@pytest.fixture
def unanswered(cluster: Cluster, namespace: str) -> Iterator[str]:
    """A namespace in which every call to our webhook is refused, because nothing is behind it."""
    settings = ["image.registry=localhost", "fullnameOverride=unanswered", "webhook.failurePolicy=Fail"]
    options = [word for setting in settings for word in ("--set", setting)]
    (webhook,) = [o for o in render(cluster, *options) if o["kind"] == "MutatingWebhookConfiguration"]
    here = {"key": "kubernetes.io/metadata.name", "operator": "In", "values": [namespace]}
    webhook["webhooks"] = [entry for entry in webhook["webhooks"] if entry["name"] == "inject.tracekeeper.dev"]
    webhook["webhooks"][0]["namespaceSelector"]["matchExpressions"].append(here)
    cluster.apply(webhook)
    yield namespace
    cluster.kubectl("delete", "mutatingwebhookconfiguration", webhook["metadata"]["name"])


def test_only_opted_in_pods_are_ever_sent_to_the_webhook(cluster: Cluster, unanswered: str) -> None:
    command = ("create", "--dry-run=server", "-n", unanswered, "-f", "-")

    def sent(annotations: dict[str, str] | None) -> bool:
        done = cluster.run(["kubectl", *command], stdin=pod(annotations), check=False)
        assert done.returncode == 0 or 'failed calling webhook "inject.tracekeeper.dev"' in done.stderr, done.stderr
        return done.returncode != 0

    wait_for(lambda: sent({"tracekeeper.dev/inject": "true"}), 30, "the API server uses the new configuration")
    assert sent({"tracekeeper.dev/inject": "maybe"})
    assert not sent(None)
    assert not sent({})
    assert not sent({"example.com/other": "true"})
    assert not sent({"tracekeeper.dev/inject": "false"})


def trust(cluster: Cluster) -> tuple[str, str, int]:
    """The injector's authority in its Secret and in the webhook configuration, and the webhook's timeout."""
    secret = cluster.get("secret", "tracekeeper-webhook-tls", namespace=SYSTEM)
    webhook, *others = cluster.get("mutatingwebhookconfiguration", f"{RELEASE}-injector")["webhooks"]
    assert {other["clientConfig"]["caBundle"] for other in others} <= {webhook["clientConfig"]["caBundle"]}
    return secret["data"]["ca.crt"], webhook["clientConfig"]["caBundle"], webhook["timeoutSeconds"]


def test_an_upgrade_keeps_the_certificate_and_the_trust_in_it(cluster: Cluster, tracekeeper: str) -> None:
    before = trust(cluster)
    options = ("-n", SYSTEM, "--reset-then-reuse-values", "--wait", "--timeout", "90s")
    upgrade = ("upgrade", tracekeeper, str(CHART), *options)
    cluster.helm(*upgrade, "--set", "webhook.timeoutSeconds=7")
    try:
        after = trust(cluster)
    finally:
        cluster.helm(*upgrade, "--set", "webhook.timeoutSeconds=5")
    assert after == (before[0], before[1], 7)
    assert b"BEGIN CERTIFICATE" in base64.b64decode(after[1])
    assert cluster.get("secret", "tracekeeper-webhook-tls", namespace=SYSTEM)["type"] == "Opaque"


def test_nothing_that_runs_differs_from_what_was_rendered(cluster: Cluster, tracekeeper: str) -> None:
    """What Argo CD or Flux would call drift: our controllers write no field that the chart has rendered."""
    wait_for(lambda: trust(cluster)[1] != "", 30, "the controller has written what it writes")
    rendered = cluster.helm("get", "manifest", tracekeeper, "-n", SYSTEM)
    options = ("--server-side", "--force-conflicts", "--field-manager=argocd-controller", "-f", "-")
    assert cluster.kubectl("diff", *options, stdin=rendered) == ""


def test_every_pod_of_ours_is_admitted_where_only_restricted_ones_are(
    cluster: Cluster, tracekeeper: str, namespace: str
) -> None:
    cluster.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    for component in ("controller", "injector"):
        template = cluster.get("deployment", f"{RELEASE}-{component}", namespace=SYSTEM)["spec"]["template"]
        spec = {key: value for key, value in template["spec"].items() if not key.startswith("serviceAccount")}
        text = json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": component}, "spec": spec})
        assert "created" in cluster.kubectl("create", "--dry-run=server", "-n", namespace, "-f", "-", stdin=text)


def test_the_images_hold_no_shell_and_no_package_manager(cluster: Cluster, tracekeeper: str) -> None:
    for program in ("sh", "bash", "/bin/sh", "apt-get", "pip", "perl"):
        with pytest.raises(CommandFailed, match=r"not found|no such file"):
            cluster.kubectl("exec", "-n", SYSTEM, f"deploy/{RELEASE}-injector", "--", program, "-c", "true")
    who = "import os; print(os.getuid(), os.access('/', os.W_OK), os.access('/opt/tracekeeper', os.W_OK))"
    printed = cluster.kubectl("exec", "-n", SYSTEM, f"deploy/{RELEASE}-injector", "--", "python3", "-c", who)
    assert printed.split() == ["65532", "False", "False"]
