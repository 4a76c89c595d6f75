"""The chart as the real `helm` renders it: what it refuses, what it may touch, and what its pods are allowed."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from chart_render import (
    CHART,
    CI,
    DEFAULT,
    NAMESPACE,
    Helm,
    Object,
    named,
    of_kind,
    pod_specs,
    refusal,
    render,
    restrictions_missing,
    rules,
)
from tracekeeper_spec.parse import parse_manifest

pytestmark = pytest.mark.cluster  # Helm is one of the programs that `make setup` builds as root.


# What it refuses


def test_without_a_registry_it_says_how_to_push_images(helm: Helm) -> None:
    said = refusal(helm)
    assert "image.registry is not set" in said
    assert "make image REGISTRY=registry.example.com/platform PUSH=1" in said


def test_a_registry_with_a_scheme_is_refused(helm: Helm) -> None:
    said = refusal(helm, "--set", "image.registry=https://registry.example.com/team")
    assert 'write "registry.example.com/team"' in said


def test_kubernetes_before_1_30_is_refused(helm: Helm) -> None:
    assert "chart requires kubeVersion: >=1.30.0-0" in refusal(helm, "-f", DEFAULT, version="1.29.9")


@pytest.mark.parametrize("version", ["1.30.0", "1.31.4-gke.1000", "1.34.4"])
def test_kubernetes_from_1_30_on_is_accepted(helm: Helm, version: str) -> None:
    assert render(helm, "-f", DEFAULT, version=version)


@pytest.mark.parametrize(
    "setting",
    [
        "surprise=1",
        "image.repository=x",
        "crds.install=true",
        "rbac.create=true",
        "controller.replicaCount=2",
        "injector.replicaCount=2",
        "injector.resources.request.cpu=1",
        "injector.affinity.antiAffinity.x=1",
        "controller.tolerations[0].effects=NoSchedule",
        "webhook.failPolicy=Fail",
        "test.enabled=false",
        "control.port=9444",
        "networkPolicy.metricsFrom[0].namespace=monitoring",
        "rbac.secretNamespace=shop",
        "dashboards.label=grafana",
    ],
)
def test_an_unknown_value_is_refused_by_name(helm: Helm, setting: str) -> None:
    wrong = setting.split("=")[0].rsplit(".", 1)[-1]
    said = refusal(helm, "-f", DEFAULT, "--set", setting)
    assert "don't meet the specifications of the schema" in said
    assert wrong in said or setting.split(".")[-2] in said


@pytest.mark.parametrize(
    "setting",
    [
        "webhook.failurePolicy=ignore",
        "webhook.timeoutSeconds=31",
        "injector.replicas=0",
        "controller.replicas=0",
        "controller.leaseDuration=15",
        "certificates.life=90d",
        "image.pullPolicy=Sometimes",
        "logLevel=info",
        "crds.keep=maybe",
        "control.enabled=maybe",
        "controller.resources.requests.memory=lots",
        "fullnameOverride=Not_A_Name",
        "sidecar.hostPath.namespaces={team-*}",
        "sidecar.hostPath.path=relative/path",
        "networkPolicy.apiServerPorts={}",
        "networkPolicy.apiServerCIDRs={10.0.0.1}",
        "rbac.secretNamespaces={*}",
    ],
)
def test_a_value_of_the_wrong_kind_is_refused(helm: Helm, setting: str) -> None:
    said = refusal(helm, "-f", DEFAULT, "--set", setting)
    assert "don't meet the specifications of the schema" in said
    assert setting.split("=")[0].rsplit(".", 1)[-1] in said


def test_a_namespace_where_the_test_could_only_fail_is_refused(helm: Helm) -> None:
    said = refusal(helm, "-f", DEFAULT, "--set", "test.namespace=kube-system")
    assert "`helm test` could only fail" in said


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ("certificates.life=9s", "too short"),
        ("certificates.life=31m,certificates.authorityLife=1h1m59s", "half as long as its authority"),
        ("certificates.life=8761h", "half as long as its authority"),
        ("controller.leaseDuration=2s", "not from 3s to 300s"),
        ("controller.leaseDuration=5m1s", "not from 3s to 300s"),
        ("controller.sweepInterval=0h", "the least is 1s"),
    ],
)
def test_durations_with_which_no_controller_starts_are_refused(helm: Helm, settings: str, says: str) -> None:
    assert says in refusal(helm, "-f", DEFAULT, "--set", settings)


@pytest.mark.parametrize(
    "settings",
    [
        "certificates.life=31m,certificates.authorityLife=1h1m60s",
        "controller.leaseDuration=5m",
        "certificates.life=10s",
    ],
)
def test_durations_that_just_do_are_taken(helm: Helm, settings: str) -> None:
    assert render(helm, "-f", DEFAULT, "--set", settings)


# What it renders


@pytest.mark.parametrize("values", CI, ids=lambda path: path.stem)
def test_lint_finds_nothing(helm: Helm, values: Path) -> None:
    done = helm("lint", CHART, "--strict", "--namespace", NAMESPACE, "--kube-version", "1.30.0", "-f", values)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("values", CI, ids=lambda path: path.stem)
def test_every_object_is_named_once_and_labelled(helm: Helm, values: Path) -> None:
    objects = render(helm, "-f", values, release="prod")
    identities = [(o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"]) for o in objects]
    assert len(identities) == len(set(identities))
    for found in objects:
        assert found["metadata"]["labels"]["app.kubernetes.io/name"], found["metadata"]["name"]


def test_objects_carry_the_releases_name(helm: Helm) -> None:
    names = {o["metadata"]["name"] for o in render(helm, "-f", DEFAULT, release="prod")}
    assert {"prod-tracekeeper-controller", "prod-tracekeeper-injector", "prod-tracekeeper-validator"} <= names


def leaves(node: Object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, value in node.items():
        if isinstance(value, dict) and path == ():
            yield from leaves(value, (name,))
        else:
            yield (*path, name)


FULL = yaml.safe_load((CHART / "ci/full-values.yaml").read_text())


@pytest.mark.parametrize("path", list(leaves(FULL)), ids=".".join)
def test_every_value_changes_something(
    helm: Helm, default: list[Object], tmp_path: Path, path: tuple[str, ...]
) -> None:
    values: Object = {}
    node, source = values, FULL
    for name in path[:-1]:
        node, source = node.setdefault(name, {}), source[name]
    node[path[-1]] = copy.deepcopy(source[path[-1]])
    if path != ("image", "registry"):
        values.setdefault("image", {})["registry"] = "registry.example.com/platform"
    if path[0] == "dashboards" and path[1] != "enabled":  # They change what is made only where it is made.
        values["dashboards"]["enabled"] = True
        default = render(helm, "-f", DEFAULT, "--set", "dashboards.enabled=true")
    file = tmp_path / "values.json"
    file.write_text(json.dumps(values))
    assert render(helm, "-f", file) != default


def test_the_full_values_name_every_value(helm: Helm) -> None:
    known = yaml.safe_load((CHART / "values.yaml").read_text())
    assert set(leaves(FULL)) == set(leaves(known))


def test_images_come_from_the_registry_in_the_charts_version(default: list[Object]) -> None:
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
    images = {container["image"] for spec in pod_specs(default) for container in spec["containers"]}
    assert images == {f"registry.example.com/platform/tracekeeper-operator:{version}"}
    injector = named(default, "Deployment", "tracekeeper-injector")["spec"]["template"]["spec"]["containers"][0]
    environment = {entry["name"]: entry.get("value") for entry in injector["env"]}
    assert environment["TRACEKEEPER_SIDECAR_IMAGE"] == f"registry.example.com/platform/tracekeeper-sidecar:{version}"


def test_a_tag_and_a_trailing_slash_are_understood(helm: Helm) -> None:
    objects = render(helm, "-f", CHART / "ci/full-values.yaml")
    images = {container["image"] for spec in pod_specs(objects) for container in spec["containers"]}
    assert images == {"registry.example.com:5000/team/tracekeeper-operator:0.1.0-rc.1"}


@pytest.mark.parametrize(("replicas", "budgets"), [(1, 0), (2, 1), (5, 1)])
def test_there_is_a_disruption_budget_above_one_replica(helm: Helm, replicas: int, budgets: int) -> None:
    objects = render(helm, "-f", DEFAULT, "--set", f"injector.replicas={replicas}")
    found = of_kind(objects, "PodDisruptionBudget")
    assert len(found) == budgets
    pods = named(objects, "Deployment", "tracekeeper-injector")["spec"]["template"]["metadata"]["labels"]
    for budget in found:
        assert budget["spec"]["selector"]["matchLabels"].items() <= pods.items()


def test_the_definition_can_be_kept_or_left_out(helm: Helm) -> None:
    (kept,) = of_kind(render(helm, "-f", DEFAULT), "CustomResourceDefinition")
    assert kept["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    (unkept,) = of_kind(render(helm, "-f", DEFAULT, "--set", "crds.keep=false"), "CustomResourceDefinition")
    assert "helm.sh/resource-policy" not in unkept["metadata"].get("annotations", {})
    left_out = render(helm, "-f", DEFAULT, "--set", "crds.enabled=false")
    assert of_kind(left_out, "CustomResourceDefinition") == []


# What it may touch


@pytest.mark.parametrize("values", CI, ids=lambda path: path.stem)
def test_no_rule_has_a_wildcard(helm: Helm, values: Path) -> None:
    listed = list(rules(render(helm, "-f", values)))
    assert listed
    for rule in listed:
        assert not [rule for field in ("apiGroups", "resources", "verbs") if "*" in "".join(rule[field])]
        assert "nonResourceURLs" not in rule


def test_secrets_are_got_but_never_listed_and_written_only_by_name(default: list[Object]) -> None:
    about_secrets = [rule for rule in rules(default) if "secrets" in rule["resources"]]
    assert about_secrets
    for rule in about_secrets:
        assert rule["resources"] == ["secrets"]
        if set(rule["verbs"]) != {"get"}:
            assert set(rule["verbs"]) <= {"get", "create", "patch", "delete"}
            assert rule["resourceNames"] in (["tracekeeper-policy"], ["tracekeeper-webhook-tls"])


def test_only_our_own_webhook_configurations_can_be_changed(helm: Helm) -> None:
    objects = render(helm, "-f", DEFAULT, release="prod")
    configurations = {
        f"{o['kind'].lower()}s": o["metadata"]["name"]
        for o in of_kind(objects, "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
    }
    granted = {
        rule["resources"][0]: rule["resourceNames"][0]
        for rule in rules(objects)
        if rule["apiGroups"] == ["admissionregistration.k8s.io"]
    }
    assert granted == configurations
    controller = named(objects, "Deployment", "prod-tracekeeper-controller")
    arguments = controller["spec"]["template"]["spec"]["containers"][0]["args"]
    assert f"--mutating-webhook={configurations['mutatingwebhookconfigurations']}" in arguments
    assert f"--validating-webhook={configurations['validatingwebhookconfigurations']}" in arguments


def test_the_injector_reads_one_secret_and_changes_nothing(default: list[Object]) -> None:
    for kind in ("Role", "ClusterRole"):
        for rule in named(default, kind, "tracekeeper-injector")["rules"]:
            if rule["resources"] == ["secrets"]:
                assert kind == "Role"
                assert rule["resourceNames"] == ["tracekeeper-webhook-tls"]
            if rule["resources"] != ["events"]:
                assert set(rule["verbs"]) <= {"get", "list", "watch"}


def test_people_get_their_rights_through_the_built_in_roles(helm: Helm) -> None:
    def aggregated(objects: list[Object], name: str) -> set[str]:
        labels = named(objects, "ClusterRole", name)["metadata"]["labels"]
        return {
            label.rsplit("-", 1)[-1] for label in labels if label.startswith("rbac.authorization.k8s.io/aggregate-")
        }

    objects = render(helm, "-f", DEFAULT)
    assert aggregated(objects, "tracekeeper-view") == {"view"}
    assert aggregated(objects, "tracekeeper-edit") == {"edit", "admin"}
    (rule,) = named(objects, "ClusterRole", "tracekeeper-view")["rules"]
    assert set(rule["verbs"]) == {"get", "list", "watch"}
    apart = render(helm, "-f", DEFAULT, "--set", "rbac.aggregate=false")
    assert aggregated(apart, "tracekeeper-edit") == set()


# The webhooks


@pytest.fixture(scope="module")
def mutating(helm: Helm) -> Object:
    return dict(webhooks(render(helm, "-f", DEFAULT))["inject.tracekeeper.dev"])


def webhooks(objects: list[Object], name: str = "tracekeeper-injector") -> dict[str, Object]:
    """The entries of a mutating configuration, by name."""
    return {entry["name"]: entry for entry in named(objects, "MutatingWebhookConfiguration", name)["webhooks"]}


def test_only_opted_in_pods_reach_the_injector(mutating: Object) -> None:
    (condition,) = mutating["matchConditions"]
    assert " ".join(condition["expression"].split()) == (
        "has(object.metadata.annotations) && 'tracekeeper.dev/inject' in object.metadata.annotations"
        " && object.metadata.annotations['tracekeeper.dev/inject'] != 'false'"
    )
    (rule,) = mutating["rules"]
    assert (rule["apiGroups"], rule["resources"], rule["operations"]) == ([""], ["pods"], ["CREATE"])


def test_a_namespace_opts_in_by_label_for_pods_that_say_nothing(helm: Helm, mutating: Object) -> None:
    by_label = webhooks(render(helm, "-f", DEFAULT))["inject-namespace.tracekeeper.dev"]
    assert by_label["namespaceSelector"]["matchLabels"] == {"tracekeeper.dev/inject": "true"}
    (condition,) = by_label["matchConditions"]
    assert " ".join(condition["expression"].split()) == (
        "!(has(object.metadata.annotations) && 'tracekeeper.dev/inject' in object.metadata.annotations)"
    )
    assert by_label["clientConfig"]["service"]["path"] == "/mutate/namespace"
    same = ("rules", "failurePolicy", "timeoutSeconds", "sideEffects", "reinvocationPolicy")
    assert [by_label[key] for key in same] == [mutating[key] for key in same]
    excluded = [entry["namespaceSelector"]["matchExpressions"] for entry in (by_label, mutating)]
    assert excluded[0] == excluded[1]


def test_the_injector_cannot_stop_pods_unless_asked_to(helm: Helm, mutating: Object) -> None:
    assert (mutating["failurePolicy"], mutating["timeoutSeconds"]) == ("Ignore", 5)
    assert (mutating["sideEffects"], mutating["reinvocationPolicy"]) == ("NoneOnDryRun", "IfNeeded")
    strict = render(helm, "-f", DEFAULT, "--set", "webhook.failurePolicy=Fail")
    assert {entry["failurePolicy"] for entry in webhooks(strict).values()} == {"Fail"}
    (validator,) = named(strict, "ValidatingWebhookConfiguration", "tracekeeper-validator")["webhooks"]
    assert validator["failurePolicy"] == "Ignore"


def test_system_and_own_namespaces_are_left_alone(helm: Helm, mutating: Object) -> None:
    (expression,) = mutating["namespaceSelector"]["matchExpressions"]
    assert expression == {
        "key": "kubernetes.io/metadata.name",
        "operator": "NotIn",
        "values": ["kube-system", NAMESPACE],
    }
    more = render(helm, "-f", CHART / "ci/full-values.yaml")
    for webhook in webhooks(more, "flight-recorder-injector").values():
        assert "istio-system" in webhook["namespaceSelector"]["matchExpressions"][0]["values"]


def test_the_validator_sees_tracing_configs_only(default: list[Object]) -> None:
    (webhook,) = named(default, "ValidatingWebhookConfiguration", "tracekeeper-validator")["webhooks"]
    (rule,) = webhook["rules"]
    assert (rule["apiGroups"], rule["resources"]) == (["tracekeeper.dev"], ["tracingconfigs"])
    assert set(rule["operations"]) == {"CREATE", "UPDATE"}
    assert webhook["sideEffects"] == "None"


def test_both_webhooks_lead_to_the_injectors_pods(default: list[Object]) -> None:
    service = named(default, "Service", "tracekeeper-injector")
    template = named(default, "Deployment", "tracekeeper-injector")["spec"]["template"]
    assert service["spec"]["selector"].items() <= template["metadata"]["labels"].items()
    ports = {port["name"]: port["containerPort"] for port in template["spec"]["containers"][0]["ports"]}
    assert ports[service["spec"]["ports"][0]["targetPort"]] == 9443
    other = named(default, "Deployment", "tracekeeper-controller")["spec"]["template"]["metadata"]["labels"]
    assert not service["spec"]["selector"].items() <= other.items()
    for configuration in of_kind(default, "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"):
        for webhook in configuration["webhooks"]:
            reference = webhook["clientConfig"]["service"]
            place = (reference["name"], reference["namespace"], reference["port"])
            assert place == ("tracekeeper-injector", NAMESPACE, 443)


def test_an_injector_counts_only_once_the_api_server_can_know_it(default: list[Object]) -> None:
    """Its endpoint reaches the API server after it is ready; the injector that it replaces must not go before that."""
    injector = named(default, "Deployment", "tracekeeper-injector")["spec"]
    assert injector["minReadySeconds"] == 3


def test_the_operator_listens_on_every_address_of_either_family(default: list[Object]) -> None:
    found = []
    for deployment in of_kind(default, "Deployment"):
        arguments = deployment["spec"]["template"]["spec"]["containers"][0]["args"]
        found += [argument for argument in arguments if "listen=" in argument]
    ours = ["--control-listen=:9444", "--listen=:9443", "--metrics-listen=:8080", "--metrics-listen=:8080"]
    assert sorted(found) == ours


@pytest.mark.parametrize("values", CI, ids=lambda path: path.stem)
def test_no_certificate_is_made_in_a_template(helm: Helm, values: Path) -> None:
    done = helm("template", "tracekeeper", CHART, "--namespace", NAMESPACE, "--kube-version", "1.30.0", "-f", values)
    objects = [found for found in yaml.safe_load_all(done.stdout) if found]
    assert "BEGIN " not in done.stdout
    for configuration in of_kind(objects, "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"):
        for webhook in configuration["webhooks"]:
            assert "caBundle" not in webhook["clientConfig"]
    (secret,) = of_kind(objects, "Secret")
    assert secret["type"] == "Opaque"
    assert not {"data", "stringData"} & set(secret)
    again = helm("template", "tracekeeper", CHART, "--namespace", NAMESPACE, "--kube-version", "1.30.0", "-f", values)
    assert again.stdout == done.stdout, "rendering twice must give the same"


# What its pods are allowed


@pytest.mark.parametrize("values", CI, ids=lambda path: path.stem)
def test_every_pod_is_restricted(helm: Helm, values: Path) -> None:
    objects = render(helm, "-f", values)
    specs = list(pod_specs([found for found in objects if found["kind"] != "DaemonSet"]))
    assert len(specs) == 3
    assert [restrictions_missing(spec) for spec in specs] == [[], [], []]


def test_every_container_has_requests_and_a_memory_limit(default: list[Object]) -> None:
    for spec in pod_specs(default):
        for container in spec["containers"]:
            resources = container["resources"]
            assert {"cpu", "memory"} <= set(resources["requests"])
            assert "memory" in resources["limits"]


def test_every_service_is_probed(default: list[Object]) -> None:
    for deployment in of_kind(default, "Deployment"):
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        ports = {port["name"] for port in container["ports"]}
        for probe, path in (("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")):
            assert container[probe]["httpGet"]["path"] == path
            assert container[probe]["httpGet"]["port"] in ports


# The way on


def test_the_notes_show_a_config_that_is_valid() -> None:
    notes = (CHART / "templates/NOTES.txt").read_text()
    block = notes.split("<<'EOF'\n", 1)[1].split("\n   EOF", 1)[0]
    config, faults = parse_manifest(yaml.safe_load(block))
    assert faults == []
    assert config is not None


def test_helm_test_runs_the_script_with_rights_that_go_again(default: list[Object]) -> None:
    hooks = [o for o in default if o["metadata"].get("annotations", {}).get("helm.sh/hook") == "test"]
    assert {o["kind"] for o in hooks} == {"ServiceAccount", "Role", "RoleBinding", "Pod"}
    for found in hooks:
        assert "hook-succeeded" in found["metadata"]["annotations"]["helm.sh/hook-delete-policy"]
    (container,) = of_kind(hooks, "Pod")[0]["spec"]["containers"]
    assert container["args"][0].strip() == (CHART / "files/selftest.py").read_text().strip()
    assert of_kind(hooks, "Role")[0]["rules"] == [{"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]}]


@pytest.mark.parametrize(
    ("namespace", "expected"), [("tracekeeper-system", "default"), ("default", "kube-public")], ids=["usual", "default"]
)
def test_helm_test_asks_where_pods_can_be_injected(helm: Helm, namespace: str, expected: str) -> None:
    done = helm("template", "t", CHART, "--namespace", namespace, "--kube-version", "1.30.0", "-f", DEFAULT)
    assert done.returncode == 0, done.stderr
    (role,) = [
        found
        for found in yaml.safe_load_all(done.stdout)
        if found and found["kind"] == "Role" and found["metadata"]["name"].endswith("-test")
    ]
    assert role["metadata"]["namespace"] == expected
