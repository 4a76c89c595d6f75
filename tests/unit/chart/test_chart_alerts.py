"""What the chart allows, and opens, for the delivery of alerts."""

from __future__ import annotations

import re

import pytest

from chart_render import CHART, DEFAULT, Helm, Object, named, of_kind, refusal, render, rules
from tracekeeper_operator.alerts.alertmanager_file import FOLDER, SECRET
from tracekeeper_operator.alerts.plain_rules import FOLDER as RULES_FOLDER
from tracekeeper_operator.alerts.plain_rules import MAPS
from tracekeeper_operator.settings import ControllerSettings, parse

PLAIN = ("--set", "alerts.plain.namespace=monitoring", "--set", "alerts.plain.baseSecret=am")


def settings(objects: list[Object]) -> ControllerSettings:
    """As the controller reads what the chart tells it."""
    deployment = named(objects, "Deployment", "tracekeeper-controller")
    arguments = deployment["spec"]["template"]["spec"]["containers"][0]["args"]
    found = parse(arguments, {"TRACEKEEPER_NAMESPACE": "tracekeeper-system"})
    assert isinstance(found, ControllerSettings)
    return found


def monitoring(objects: list[Object]) -> list[Object]:
    return [rule for rule in rules(objects) if rule["apiGroups"] == ["monitoring.coreos.com"]]


def egress(objects: list[Object]) -> set[tuple[str, int]]:
    """Beside the API server's."""
    ways = named(objects, "NetworkPolicy", "tracekeeper-controller")["spec"]["egress"][1:]
    return {(port["protocol"], port["port"]) for way in ways for port in way["ports"]}


def test_the_controller_takes_what_the_chart_says(helm: Helm) -> None:
    options = (
        "--set",
        "alerts.labels.release=kps",
        "--set",
        "alerts.labels.team=a",
        "--set",
        "alerts.podMonitors=false",
    )
    urls = ("--set", "prometheus.url=http://prometheus.monitoring.svc:9090", "--set", "alertmanager.url=https://am")
    links = ("--set", "alerts.runbookURL=https://x/", "--set-string", r"alerts.traceURL=https://y/?s=\{service\}&x=1")
    found = settings(render(helm, "-f", DEFAULT, *options, *urls, *links, *PLAIN)).alerts
    assert found.labels == {"release": "kps", "team": "a"}
    assert not found.monitors and found.prometheus_operator
    assert (found.prometheus_url, found.alertmanager_url) == ("http://prometheus.monitoring.svc:9090", "https://am")
    assert (found.plain_namespace, found.plain_base) == ("monitoring", "Secret/am")
    assert (found.links.runbooks, found.links.trace) == ("https://x/", "https://y/?s={service}&x=1")
    assert found.namespace == found.root == "tracekeeper-system"
    assert found.own_pods["app.kubernetes.io/instance"] == "tracekeeper"
    assert found.lease == "tracekeeper-controller"


def test_rights_on_the_prometheus_operators_kinds_are_what_is_used(helm: Helm, default: list[Object]) -> None:
    written, read = monitoring(default)
    assert written["resources"] == ["prometheusrules", "alertmanagerconfigs", "podmonitors"]
    assert set(written["verbs"]) == {"get", "list", "create", "patch", "delete"}
    assert (read["resources"], read["verbs"]) == (["prometheuses", "alertmanagers"], ["list"])
    never = render(helm, "-f", DEFAULT, "--set", "alerts.prometheusOperator=Never")
    assert monitoring(never) == []
    assert not settings(never).alerts.prometheus_operator


def test_plain_files_are_the_only_ones_that_may_be_written(helm: Helm, default: list[Object]) -> None:
    name = "tracekeeper-controller-plain"
    assert [role for role in of_kind(default, "Role") if role["metadata"]["name"] == name] == []
    role = named(render(helm, "-f", DEFAULT, *PLAIN), "Role", name)
    assert role["metadata"]["namespace"] == "monitoring"
    found = [(rule["resources"], rule["resourceNames"], rule["verbs"]) for rule in role["rules"]]
    assert found == [
        (["configmaps"], list(MAPS), ["get", "create", "patch"]),
        (["secrets"], [SECRET], ["get", "create", "patch"]),
        (["secrets"], ["am"], ["get"]),
    ]


def test_the_notes_say_how_to_mount_them() -> None:
    # Helm renders notes only where there is a cluster, so this is what they are made from.
    notes = (CHART / "templates/NOTES.txt").read_text(encoding="utf-8")
    assert f"range until {len(MAPS)} " in notes
    for word in (MAPS[0][:-1], SECRET, FOLDER, RULES_FOLDER, "--web.enable-lifecycle"):
        assert word in notes


def test_the_notes_tell_what_is_not_set() -> None:
    notes = (CHART / "templates/NOTES.txt").read_text(encoding="utf-8")
    for value, told in (
        ("prometheus.url", "prometheus.url is not set"),
        ("alertmanager.url", "alertmanager.url is not set"),
        ("alerts.plain.baseSecret", "what no channel takes is told to nobody"),
        ("alerts.plain.baseConfigMap", "what no channel takes is told to nobody"),
        ("networkPolicy.enabled", "or RulesLoaded stays Unknown"),
        ("alerts.traceURL", "links to traces"),
        ("alerts.runbookURL", "runbooks into alerts"),
    ):
        (block,) = (each for each in re.findall(r"{{- if ([^{]*)}}([^{]*){{- end }}", notes) if told in each[1])
        assert f".Values.{value}" in block[0]


def test_a_way_out_is_opened_only_to_what_is_named(helm: Helm, default: list[Object]) -> None:
    assert egress(default) == set()
    dns = {("UDP", 53), ("TCP", 53)}
    both = ("--set", "prometheus.url=http://prometheus.monitoring.svc:80", "--set", "alertmanager.url=https://am/x")
    assert egress(render(helm, "-f", DEFAULT, *both)) == dns | {("TCP", port) for port in (80, 443, 9090, 9093)}
    only = ("--set", "prometheus.url=http://prometheus.monitoring.svc:9090")
    assert egress(render(helm, "-f", DEFAULT, *only)) == dns | {("TCP", 9090)}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--set", "alerts.plain.baseSecret=am"), "alerts.plain.namespace is not set"),
        ((*PLAIN, "--set", "alerts.plain.baseConfigMap=am"), "both set"),
        (("--set", "prometheus.url=prometheus:9090"), "prometheus"),
        (("--set", "prometheus.url=http://user:secret@prometheus:9090"), "prometheus"),
        (("--set", "alerts.prometheusOperator=Off"), "prometheusOperator"),
    ],
)
def test_what_could_not_work_is_refused(helm: Helm, options: tuple[str, ...], words: str) -> None:
    assert words in refusal(helm, "-f", str(DEFAULT), *options)
