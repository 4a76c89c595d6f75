"""`tracekeeper doctor` and `uninstall --dry-run`, against an API server over HTTP."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from cli_world import INJECT, SYSTEM, pod, told, webhook, well, workload
from control_api import Api
from control_objects import config
from tracekeeper_cli.__main__ import main

Run = Callable[..., Any]
SOURCE = "shop/agents@1"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    async def command(*arguments: str) -> tuple[int, str]:
        status = await asyncio.to_thread(main, arguments)
        out, err = capsys.readouterr()
        assert err == ""
        return status, out

    return command


@pytest.fixture
def found(run: Run) -> Callable[..., Any]:
    """Reason and what it is about of every finding."""

    async def doctor(*arguments: str) -> dict[str, str]:
        status, out = await run("doctor", "--json", *arguments)
        body = json.loads(out)
        wrong = [each for each in body["findings"] if each["severity"] != "Note"]
        assert (status == 1) is bool(wrong) is body["wrong"]
        assert all(each["problem"] and each["next"] for each in body["findings"])
        return {each["reason"]: each["about"] for each in body["findings"]}

    return doctor


Found = Callable[..., Any]


async def test_where_all_is_well_nothing_is_found(api: Api, run: Run, found: Found) -> None:
    maker = workload(api, on_template="true")
    api.put("pods", pod(injected=SOURCE, owner=maker))
    api.put("pods", pod("bystander", wish=None))
    api.put("pods", {**pod("done"), "status": {"phase": "Succeeded"}})
    assert await found() == await found("-A") == {}
    status, out = await run("doctor")
    assert status == 0 and out.endswith("3 pods, 1 TracingConfigs; nothing is wrong.\n")


async def test_no_value_of_a_secret_is_asked_for(api: Api, found: Found) -> None:
    api.put("pods", pod(injected=SOURCE))
    await found("-A")
    asked = [seen for seen in api.seen if "secrets" in seen.path]
    assert asked and all("PartialObjectMetadata" in seen.headers["Accept"] for seen in asked)
    assert {seen.method for seen in api.seen} == {"GET"}


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob"])
async def test_an_annotation_on_the_workload_in_place_of_its_template(api: Api, found: Found, kind: str) -> None:
    maker = workload(api, kind, on_itself="true")
    api.put("pods", pod(wish=None, owner=maker))
    assert await found() == {f"AnnotationOn{kind}": f"{kind} shop/care"}
    workload(api, kind, on_itself="true", on_template="true")
    assert await found() == {}


async def test_an_annotation_on_a_running_pod(api: Api, found: Found) -> None:
    api.put("pods", pod(owner=workload(api)))
    assert await found() == {"AnnotationOnRunningPod": "pod shop/care"}


async def test_an_annotation_on_the_namespace_and_a_namespace_that_is_left_out(api: Api, found: Found) -> None:
    api.put("namespaces", {"metadata": {"name": "shop", "annotations": {INJECT: "true"}}})
    assert await found() == {"AnnotationOnNamespace": "namespace shop"}
    api.put("namespaces", {"metadata": {"name": SYSTEM, "labels": {INJECT: "true"}}})
    api.put("pods", pod(namespace=SYSTEM, wish=None))
    assert (await found("-n", SYSTEM)) == {"ExcludedNamespace": f"pod {SYSTEM}/care"}
    api.remove("pods", SYSTEM, "care")
    assert (await found("-n", SYSTEM)) == {"ExcludedNamespace": f"namespace {SYSTEM}"}


async def test_labels_where_nobody_looks(api: Api, run: Run, found: Found) -> None:
    api.put("namespaces", {"metadata": {"name": "shop", "labels": {INJECT: "agents"}}})
    assert await found() == {"InvalidLabel": "namespace shop"}
    api.put("namespaces", {"metadata": {"name": "shop"}})
    maker = workload(api, on_template=None)
    for number in range(2):
        labelled = pod(f"care-{number}", wish=None, owner=maker)
        labelled["metadata"]["labels"] = {INJECT: "true"}
        api.put("pods", labelled)
    assert await found() == {"LabelOnPod": "pod shop/care-0 and 1 more"}
    assert "write it into spec.template.metadata.annotations" in (await run("doctor"))[1]
    maker["metadata"]["labels"] = {INJECT: "true"}
    assert await found() == {
        "LabelOnPod": "pod shop/care-0 and 1 more",
        "AnnotationOnDeployment": "Deployment shop/care",
    }


async def test_pods_of_a_labelled_namespace_that_are_older_are_one_finding(api: Api, found: Found) -> None:
    api.put("namespaces", {"metadata": {"name": "shop", "labels": {INJECT: "true"}}})
    maker = workload(api)
    for number in range(3):
        api.put("pods", pod(f"care-{number}", wish=None, owner=maker))
    api.put("pods", pod("not-me", wish="false"))
    assert await found() == {"CreatedBefore": "pod shop/care-0 and 2 more"}


@pytest.mark.parametrize(
    ("reason", "wish", "spec"),
    [
        ("InvalidAnnotation", "Yes please", {}),
        ("HostNetwork", "true", {"hostNetwork": True}),
        ("UnsupportedOS", "true", {"os": {"name": "windows"}}),
        ("PortConflict", "true", {"containers": [{"name": "app", "ports": [{"containerPort": 4317}]}]}),
    ],
)
async def test_what_the_pod_itself_makes_impossible(
    api: Api, found: Found, reason: str, wish: str, spec: dict[str, Any]
) -> None:
    api.put("pods", pod(wish=wish, **spec))
    assert await found() == {reason: "pod shop/care"}


async def test_what_the_injector_has_said_is_told(api: Api, run: Run, found: Found) -> None:
    maker = workload(api, on_template="true")
    api.put("pods", pod(owner=maker))
    event: dict[str, Any] = {
        "metadata": {"name": "e", "namespace": "shop"},
        "involvedObject": {"kind": "Deployment", "namespace": "shop", "name": "care"},
        "reason": "InjectionSkipped",
        "message": "NoRoom: the LimitRange leaves 10m",
    }
    api.put("events", event)
    assert await found() == {"NoRoom": "pod shop/care"}
    assert "the LimitRange leaves 10m" in (await run("doctor"))[1]
    api.put("events", {**event, "involvedObject": {**event["involvedObject"], "name": "other"}})
    assert "NoRoom" not in await found()


async def test_injected_pods_without_a_policy(api: Api, found: Found) -> None:
    api.put("pods", pod(injected=SOURCE))
    api.remove("secrets", "shop", "tracekeeper-policy")
    assert await found() == {"NoPolicySecret": "namespace shop"}
    api.remove("tracingconfigs", "shop", "agents")
    assert await found() == {"NoPolicySecret": "namespace shop", "NoPolicy": "pod shop/care"}


async def test_a_default_of_the_root_namespace_is_a_policy(api: Api, found: Found) -> None:
    api.put("pods", pod(injected="tracekeeper-system/all@1"))
    api.remove("tracingconfigs", "shop", "agents")
    api.put("tracingconfigs", well(config("all", SYSTEM, allowedNamespaces={"from": "All"})))
    assert await found() == {}
    api.put("tracingconfigs", well(config("all", SYSTEM)))
    assert await found() == {"NoPolicy": "pod shop/care"}


async def test_sidecars_that_do_not_run_or_restart_and_applications_that_send_elsewhere(api: Api, found: Found) -> None:
    body = pod(injected=SOURCE)
    state = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
    body["status"]["initContainerStatuses"] = [{"name": "tracekeeper-sidecar", "state": state}]
    api.put("pods", body)
    assert await found() == {"SidecarDoesNotRun": "pod shop/care"}
    entry = {"name": "tracekeeper-sidecar", "restartCount": 1, "lastState": {"terminated": {"reason": "OOMKilled"}}}
    body["status"]["initContainerStatuses"] = [entry]
    assert await found() == {"SidecarRestarts": "pod shop/care"}
    entry["lastState"] = {}
    variable = {"name": "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "value": "http://tempo.obs:4318/v1/traces"}
    body["spec"]["containers"][0]["env"] = [variable]
    assert await found() == {"OwnExporter": "pod shop/care"}
    variable["value"] = "http://127.0.0.1:4318/v1/traces"
    assert await found() == {}
    variable |= {"name": "OTEL_SDK_DISABLED", "value": "True"}
    assert await found() == {"OwnExporter": "pod shop/care"}


async def test_what_the_status_of_a_config_says(api: Api, run: Run, found: Found) -> None:
    backends = [
        {"name": "a", "circuit": "Open", "message": "connection refused", "sidecars": 2},
        {"name": "b", "circuit": "Closed", "message": "was down"},
    ]
    pods = {"matched": 9, "silent": 1, "stale": 2, "outdatedImage": 3, "failed": 0}
    api.put("tracingconfigs", well(config(), backends=backends, pods=pods))
    about = "TracingConfig shop/agents"
    assert await found() == {
        "CircuitOpen": f"{about}, backend a",
        "Silent": about,
        "Stale": about,
        "OutdatedImage": about,
    }
    out = (await run("doctor"))[1]
    assert "Open at 2 sidecars: connection refused" in out and "2 of 9 pods" in out and "3 things are wrong" in out
    faulty = [{"type": kind, "status": "False", "reason": "Invalid", "message": "m"} for kind in ("Accepted", "Ready")]
    api.put("tracingconfigs", well(config(), conditions=faulty))
    assert await found() == {"Invalid": about}
    api.put("tracingconfigs", {**config(), "status": {}})
    assert await found() == {"NoStatus": about}
    api.put("tracingconfigs", well(config(), observedGeneration=0))
    assert await found() == {"NotObserved": about}


@pytest.mark.parametrize(("seconds", "late"), [(0, False), (100, False), (-30, False), (300, True)])
async def test_a_policy_that_is_on_its_way_to_the_pods_is_nothing_wrong(
    api: Api, found: Found, seconds: int, late: bool
) -> None:
    """The kubelet takes a minute, and the count that the status has may be half a minute old."""
    policy = {"revision": int(time.time()) - seconds}
    api.put("tracingconfigs", well(config(), policy=policy, pods={"matched": 1, "stale": 1}))
    assert await found() == ({"Stale": "TracingConfig shop/agents"} if late else {})


async def test_a_rule_that_is_left_out_is_a_warning(api: Api, run: Run, found: Found) -> None:
    said = "1 fault in alerts: spec.alerts.rules[2]: rule Broken, character 1: there is no metric eror_rate"
    conditions = [
        {"type": "Accepted", "status": "True", "reason": "AcceptedWithFaults", "message": said},
        {"type": "RulesLoaded", "status": "True", "reason": "Loaded", "message": "5 rules"},
    ]
    api.put("tracingconfigs", well(config(), conditions=conditions))
    assert await found() == {"AcceptedWithFaults": "TracingConfig shop/agents"}
    assert said in (await run("doctor"))[1]


async def test_rules_that_do_not_come_to_prometheus_have_a_way_out(api: Api, run: Run, found: Found) -> None:
    for reason in ("NotWritten", "NotSelected", "NamespaceEnforced", "RulesNotLoaded", "RuleFailing"):
        told = [{"type": "RulesLoaded", "status": "False", "reason": reason, "message": "m"}]
        api.put("tracingconfigs", well(config(), conditions=told))
        assert await found() == {reason: "TracingConfig shop/agents"}
        assert "docs/reference/conditions.md" not in (await run("doctor"))[1]


async def test_a_note_alone_is_not_wrong(api: Api, found: Found) -> None:
    api.put("tracingconfigs", well(config(), pods={"outdatedImage": 1}))
    assert await found() == {"OutdatedImage": "TracingConfig shop/agents"}


async def test_parts_of_tracekeeper_that_are_not_ready(api: Api, found: Found) -> None:
    injector = api.get("deployments", SYSTEM, "tracekeeper-injector")
    injector["status"] = {}
    api.put("pods", pod())
    told = await found()
    assert told.pop("InjectorNotReady") == f"Deployment {SYSTEM}/tracekeeper-injector"
    injector["status"] = {"readyReplicas": 1}
    api.get("deployments", SYSTEM, "tracekeeper-controller")["spec"]["replicas"] = 2
    assert "ControllerNotReady" in await found() and "InjectorNotReady" not in await found()


@pytest.mark.parametrize(
    ("days", "reason"), [(700, None), (15, None), (5, "CertificateExpiry"), (-1, "CertificateExpiry")]
)
async def test_an_authority_that_is_about_to_end(api: Api, found: Found, days: float, reason: str | None) -> None:
    api.get("mutatingwebhookconfigurations", "", "tracekeeper")["webhooks"] = [webhook("inject.tracekeeper.dev", days)]
    assert await found() == ({reason: "MutatingWebhookConfiguration tracekeeper"} if reason else {})


@pytest.mark.parametrize(
    ("days", "life", "reason"),
    [(89, 90, None), (20, 90, None), (13, 90, "CertificateExpiry"), (-1, 90, "CertificateExpiry"), (0.02, 0.05, None)],
)
async def test_a_serving_certificate_that_is_about_to_end(
    api: Api, found: Found, days: float, life: float, reason: str | None
) -> None:
    api.put("configmaps", told(days, life))
    assert await found() == ({reason: f"Secret {SYSTEM}/tracekeeper-webhook-tls"} if reason else {})


async def test_an_operator_that_does_not_say_until_when_its_certificate_is_good_is_not_wrong(
    api: Api, found: Found
) -> None:
    api.get("configmaps", SYSTEM, "tracekeeper-ca")["data"] = {"ca.crt": "PEM"}
    assert await found() == {}


async def test_without_the_control_stream_it_says_what_it_knows_nothing_of(api: Api, run: Run) -> None:
    api.remove("configmaps", SYSTEM, "tracekeeper-ca")
    status, out = await run("doctor")
    assert status == 0 and "the control stream is off, by the chart's value control.enabled" in " ".join(out.split())


@pytest.mark.parametrize("bundle", [None, "", "bm9uZQ==", "%"])
async def test_no_authority_at_all(api: Api, found: Found, bundle: str | None) -> None:
    api.get("validatingwebhookconfigurations", "", "tracekeeper")["webhooks"][0]["clientConfig"]["caBundle"] = bundle
    assert await found() == {"NoAuthority": "ValidatingWebhookConfiguration tracekeeper"}


async def test_where_tracekeeper_is_not_it_says_so(api: Api, found: Found) -> None:
    assert await found("--operator-namespace", "elsewhere") == {"NotInstalled": "namespace elsewhere"}
    api.remove("mutatingwebhookconfigurations", "", "tracekeeper")
    assert await found() == {"NoWebhook": "the API server"}


async def test_what_may_not_be_read_is_told_and_is_not_wrong(api: Api, run: Run) -> None:
    for path in ("/mutatingwebhookconfigurations", "/validatingwebhookconfigurations", "/deployments"):
        api.fail("GET", path, 403, '{"message": "it is forbidden"}')
    status, out = await run("doctor")
    assert status == 0 and out.count("it is forbidden") == 3 and "nothing is wrong" in out


async def test_long_lists_are_read_to_their_end(api: Api, found: Found) -> None:
    api.page = 2
    for number in range(5):
        api.put("pods", pod(f"p{number}", hostNetwork=number == 4))
    assert set(await found()) == {"CreatedBefore", "HostNetwork"}


async def test_uninstall_says_what_is_still_injected_and_what_stays(api: Api, run: Run) -> None:
    definition = {
        "metadata": {"name": "tracingconfigs.tracekeeper.dev", "labels": {"app.kubernetes.io/part-of": "tracekeeper"}}
    }
    definition["metadata"]["annotations"] = {"helm.sh/resource-policy": "keep"}
    api.put("customresourcedefinitions", definition)
    maker = workload(api, on_template="true")
    for number in range(2):
        api.put("pods", pod(f"care-{number}", injected=SOURCE, owner=maker))
    status, out = await run("uninstall", "--dry-run")
    assert status == 0 and "2 pods still have a sidecar" in out and "shop       Deployment care  2" in out
    removed, kept = out.split("Kept:")
    assert f"Deployment {SYSTEM}/tracekeeper-injector" in removed and "TracingConfig shop/agents" not in removed
    assert "tracingconfigs.tracekeeper.dev (crds.keep)" in kept and "TracingConfig shop/agents" in kept
    assert "kubectl delete secret tracekeeper-policy -n shop" in kept
    definition["metadata"]["annotations"] = {}
    removed, kept = (await run("uninstall", "--dry-run"))[1].split("Kept:")
    assert "tracingconfigs.tracekeeper.dev, and with it 1 TracingConfigs" in removed and "shop/agents" not in kept
    assert {seen.method for seen in api.seen} == {"GET"}


async def test_uninstall_names_every_policy_with_credentials_and_how_to_get_rid_of_it(api: Api, run: Run) -> None:
    """Those belong to the definition: where it is kept, they stay, also in namespaces without configs and pods."""
    definition = {
        "metadata": {
            "name": "tracingconfigs.tracekeeper.dev",
            "labels": {"app.kubernetes.io/part-of": "tracekeeper"},
            "annotations": {"helm.sh/resource-policy": "keep"},
        }
    }
    api.put("customresourcedefinitions", definition)
    owner = {"kind": "CustomResourceDefinition", "name": "tracingconfigs.tracekeeper.dev"}
    for space in ("shop", "gone"):
        api.put("secrets", {"metadata": {"namespace": space, "name": "tracekeeper-policy", "ownerReferences": [owner]}})
    api.put("pods", pod("care-0", injected=SOURCE))
    kept = (await run("uninstall", "--dry-run"))[1].split("Kept:")[1]
    assert "Secret shop/tracekeeper-policy, until the definition is deleted" in kept
    assert "when its pods are done: kubectl delete secret tracekeeper-policy -n shop" in kept
    assert "no pod uses it: kubectl delete secret tracekeeper-policy -n gone" in kept
    assert "credentials" in kept and "until its TracingConfigs go" not in kept
    del definition["metadata"]["annotations"]
    removed, kept = (await run("uninstall", "--dry-run"))[1].split("Kept:")
    assert "Secret gone/tracekeeper-policy, with the definition" in removed and "tracekeeper-policy" not in kept
    assert [seen for seen in api.seen if "/secrets" in str(seen)]


def written(name: str, space: str, *owners: str, of: str = "") -> dict[str, Any]:
    """As the operator marks what it writes."""
    meta = {"name": name, "namespace": space, "labels": {"app.kubernetes.io/managed-by": "tracekeeper"}}
    references = [{"kind": kind, "name": "n"} for kind in owners]
    return {"metadata": {**meta, "annotations": {"tracekeeper.dev/alerts-of": of}, "ownerReferences": references}}


async def test_uninstall_names_what_stays_of_budgets_rules_and_routes(api: Api, run: Run) -> None:
    definition: dict[str, Any] = {
        "metadata": {
            "name": "tracingconfigs.tracekeeper.dev",
            "labels": {"app.kubernetes.io/part-of": "tracekeeper"},
            "annotations": {"helm.sh/resource-policy": "keep"},
        }
    }
    api.put("customresourcedefinitions", definition)
    api.put("configmaps", written("tracekeeper-budgets-3", SYSTEM))
    api.put("configmaps", written("tracekeeper-rules-0", "monitoring"))
    api.put("secrets", written("tracekeeper-alertmanager", "monitoring"))
    api.put("configmaps", {"metadata": {"name": "tracekeeper-rules-1", "namespace": "other"}})
    api.put("alertmanagerconfigs", written("far", "monitoring", "CustomResourceDefinition", of=f"{SYSTEM}/all"))
    api.put("alertmanagerconfigs", written("near", "shop", "TracingConfig", of="shop/agents"))
    kept = (await run("uninstall", "--dry-run"))[1].split("Kept:")[1]
    for kind, name, space in (
        ("ConfigMap", "tracekeeper-budgets-3", SYSTEM),
        ("ConfigMap", "tracekeeper-rules-0", "monitoring"),
        ("Secret", "tracekeeper-alertmanager", "monitoring"),
        ("AlertmanagerConfig", "far", "monitoring"),
    ):
        assert f"{kind} {space}/{name}, " in kept
        assert f"kubectl delete {kind.lower()} {name} -n {space}" in kept
    assert f"{SYSTEM}/all, until the definition is deleted" in kept
    assert "tracekeeper-rules-1" not in kept and "near" not in kept
    del definition["metadata"]["annotations"]
    kept = (await run("uninstall", "--dry-run"))[1].split("Kept:")[1]
    assert "far" not in kept and "tracekeeper-budgets-3" in kept
    lists = [seen for seen in api.seen if seen.path.endswith(("/configmaps", "/secrets"))]
    assert lists and all("PartialObject" in seen.headers["Accept"] for seen in lists)


def test_uninstall_does_nothing_but_a_dry_run(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["uninstall"])
    assert "--dry-run" in capsys.readouterr().err
