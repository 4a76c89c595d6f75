"""Alerts as a team meets them: six rules in a TracingConfig, an agent that goes wrong, a message in Slack, and the end
of it. On real Prometheus and Alertmanager: without the Prometheus operator, with it, and without it again.

The tests go in order, on one config and one application, as one cluster changes in life.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from cluster import fixtures, monitoring_stack
from cluster.monitoring_stack import SLACK_URL, Monitoring
from cluster.node import Cluster
from cluster.wait import wait_for
from cluster.workload import STATS, Workload, otlp
from tracekeeper_spec.alert import operator_rules

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300, func_only=True)]

TEAM = "alerted"
"""The namespace of the team."""
CONFIG = f"{TEAM}/agents"
FILE = f"{TEAM}.agents.yaml"
"""The plain file of its rules."""
PLAIN = ("--set", f"alerts.plain.namespace={monitoring_stack.NAMESPACE}")
PROMETHEUS = ("--set", "prometheus.url=http://prometheus.monitoring:9090")
ALERTMANAGER = ("--set", "alertmanager.url=http://alertmanager.monitoring:9093")
OPERATED, PROMETHEUS_OPERATED = "alertmanager-operated", "prometheus-operated"
"""Services of the Prometheus operator's."""
RULES: dict[str, dict[str, Any]] = {
    "Errors": {"condition": "error_rate > 0.05", "severity": "warning", "groupBy": ["Agent"]},
    "Slow": {"condition": "p99_latency > 10s", "severity": "critical"},
    "Tokens": {"condition": "tokens_per_request > 20000", "severity": "warning", "groupBy": ["Agent"]},
    "Tools": {"condition": "tool_success_rate < 0.9", "severity": "critical", "groupBy": ["Tool"]},
    "Cost": {"condition": "cost_per_hour > 100", "severity": "info", "groupBy": ["Model"]},
    "Failing": {
        "promql": 'sum by (model) (rate(tracekeeper_operations_total{status="error"}[20s])) > 0.5',
        "severity": "warning",
    },
}
CRITICAL = {name for name, rule in RULES.items() if rule["severity"] == "critical"}
BUDGET = {"name": "daily", "limit": {"amount": "0.01"}}
"""The agent needs a quarter of a minute for it when all is well."""
ROOT = "alerts-of-all"
"""The config of the root namespace, and the Secret that it names."""


def slack(channel: str, secret: str = "slack", **more: Any) -> dict[str, Any]:
    """A channel whose URL is in a Secret."""
    url = {"secretKeyRef": {"name": secret, "key": channel}}
    return {"name": channel, "type": "Slack", "slack": {"webhookURL": url}, **more}


def secret(name: str, namespace: str, *channels: str, **labels: str) -> dict[str, Any]:
    """The Secret with these channels' URLs."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "stringData": {channel: f"{SLACK_URL}/T0/B0/{channel}" for channel in channels},
    }


CHANNELS = [slack("team"), slack("oncall", severities=["critical"])]


def alerts(rules: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The section of the TracingConfig."""
    written = [{"name": name, "window": "20s", **rule} for name, rule in rules.items()]
    for rule in written:
        if "promql" in rule:
            del rule["window"]
    return {"builtIn": "None", "renotify": "1m", "rules": written, "channels": CHANNELS}


class Team:
    """Its namespace: a backend, an agent that works two requests a second, and a TracingConfig with six rules."""

    def __init__(self, cluster: Cluster, monitoring: Monitoring, image: str) -> None:
        self.cluster, self.monitoring = cluster, monitoring
        self.work = Workload(cluster, TEAM, image)

    def begin(self) -> None:
        self.cluster.apply(secret("slack", TEAM, "team", "oncall"))
        self.work.backends("backend")
        self.says(alerts=alerts(RULES))
        self.work.agent(runs=0, rate=2)

    def says(self, **sections: Any) -> None:
        """What its TracingConfig says besides the backend."""
        self.work.configured(otlp("backend"), **sections)

    def tell_agent(self, path: str) -> None:
        """To `misbehave` or to `behave`."""
        url = f"http://{self.cluster.pod_ip(TEAM, 'agent-0')}:{STATS}/{path}"
        assert self.cluster.http("POST", url)[0] == 200

    def incident(self, alertmanager: str) -> None:
        """The agent goes wrong and comes to its senses; every rule is heard of at both times, by whom it should be."""
        self.monitoring.ask("slack", "/reset", "POST")
        assert self.firing(alertmanager) == {}
        self.tell_agent("misbehave")
        wait_for(lambda: set(self.firing(alertmanager)) == set(RULES), 90, lambda: f"six: {self.firing(alertmanager)}")
        for name, labels in self.firing(alertmanager).items():
            assert (labels["namespace"], labels["tracekeeper_config"]) == (TEAM, CONFIG), labels
            assert labels["severity"] == RULES[name]["severity"], labels
            self.routed(alertmanager, labels, {"team", "oncall"} if name in CRITICAL else {"team"})
        self.heard("FIRING")
        self.tell_agent("behave")
        wait_for(lambda: not self.firing(alertmanager), 90, lambda: f"all over: {self.firing(alertmanager)}")
        self.heard("RESOLVED")

    def firing(self, alertmanager: str) -> dict[str, dict[str, str]]:
        """Labels of the alerts of the team that Alertmanager has, by name."""
        return {n: labels for n, labels in self.monitoring.alerts(alertmanager).items() if labels["namespace"] == TEAM}

    def routed(self, alertmanager: str, labels: dict[str, str], wanted: set[str]) -> None:
        """Of the team's channels, the alert goes to these: once Alertmanager has read the routes, which the Prometheus
        operator brings it somewhat later than the rules."""

        def told() -> set[str]:
            receivers = self.monitoring.receivers(alertmanager, **labels)
            return {receiver.rpartition("/")[2] for receiver in receivers} & {"team", "oncall"}

        wait_for(lambda: told() == wanted, 90, lambda: f"{labels} goes to {wanted}: {told()}")

    def heard(self, what: str) -> None:
        """Slack has such a message of every rule: the team of all, who is on call of the critical ones alone."""

        def names(channel: str) -> set[str]:
            titles = self.monitoring.titles(f"T0/B0/{channel}")
            return {
                name for name in RULES if any(t.startswith(f"[{what}") and f" {name} in {TEAM}" in t for t in titles)
            }

        wait_for(
            lambda: names("team") == set(RULES), 120, lambda: f"{what}: {self.monitoring.ask('slack', '/messages')}"
        )
        wait_for(
            lambda: names("oncall") >= CRITICAL, 30, lambda: f"{what}: {self.monitoring.ask('slack', '/messages')}"
        )
        assert names("oncall") == CRITICAL

    def reported(self, channel: str, name: str) -> None:
        """An alert of the team by that name has come to the channel."""
        wait_for(
            lambda: any(
                title.startswith("[FIRING") and f" {name} in {TEAM}" in title
                for title in self.monitoring.titles(f"T0/B0/{channel}")
            ),
            120,
            lambda: f"{name} in {channel}: {self.monitoring.ask('slack', '/messages')}",
        )

    def loaded(self) -> str:
        """What the condition says once Prometheus has the rules."""
        return str(self.work.condition("RulesLoaded", "True", deadline=120)["message"])

    def plain_files(self) -> set[str]:
        """Keys of the ConfigMaps of plain rules."""
        maps = self.cluster.get("configmaps", namespace=monitoring_stack.NAMESPACE)["items"]
        ours = [item for item in maps if item["metadata"]["name"].startswith("tracekeeper-rules-")]
        return {key for item in ours for key in item.get("data", {})}

    def rule_names(self) -> list[str]:
        """The alerts in the config's PrometheusRule, in order; [] while there is none."""
        found = self.cluster.find("prometheusrules", "tracekeeper-agents", namespace=TEAM)
        groups = found["spec"]["groups"] if found else []
        return [rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule]


@pytest.fixture(scope="module")
def team(cluster: Cluster, monitoring: Monitoring, images: dict[str, str]) -> Iterator[Team]:
    """All of it, without the Prometheus operator, and with the chart told where plain files go."""
    cluster.kubectl("delete", "namespace", TEAM, "--ignore-not-found", "--wait=true", timeout=90)
    cluster.kubectl("create", "namespace", TEAM)
    monitoring.plain(TEAM)
    fixtures.install(cluster, *PLAIN, *PROMETHEUS, *ALERTMANAGER)
    found = Team(cluster, monitoring, images["demo"])
    found.begin()
    monitoring.rolled_out("deployment/alertmanager")
    yield found
    cluster.kubectl("delete", "namespace", TEAM, "--wait=false")
    fixtures.install(cluster)
    # Plain files outlive the value that names their namespace; docs/how-to/deliver-alerts.md says how they go.
    files = ("secret/tracekeeper-alertmanager", *(f"configmap/tracekeeper-rules-{number}" for number in range(8)))
    cluster.kubectl("delete", "-n", monitoring_stack.NAMESPACE, "--ignore-not-found", *files)


@pytest.fixture(autouse=True)
def shown(team: Team, request: pytest.FixtureRequest) -> Iterator[None]:
    """When a test fails, what a person would look at."""
    yield
    if request.node.stash.get(fixtures.FAILED, False):
        print(team.cluster.kubectl("get", "tracingconfigs", "-n", TEAM, "-o", "yaml", check=False))
        for namespace in (TEAM, monitoring_stack.NAMESPACE, fixtures.SYSTEM):
            print(fixtures.describe(team.cluster, namespace))


def test_without_the_prometheus_operator_six_rules_fire_are_told_and_end(team: Team) -> None:
    assert "Prometheus has all" in team.loaded()
    assert FILE in team.plain_files()
    annotations = team.cluster.get("pod", "agent-0", namespace=TEAM)["metadata"]["annotations"]
    assert annotations["prometheus.io/scrape"] == "true"
    team.incident("alertmanager")


def test_with_the_prometheus_operator_the_same_rules_do_by_its_objects(team: Team) -> None:
    team.monitoring.definitions()
    team.monitoring.operator()
    fixtures.install(team.cluster, *PLAIN)  # It finds Prometheus and Alertmanager by their objects.
    wait_for(lambda: team.rule_names() == list(RULES), 90, lambda: f"a PrometheusRule: {team.rule_names()}")
    wait_for(lambda: FILE not in team.plain_files(), 30, lambda: f"no plain file is left: {team.plain_files()}")
    assert "Prometheus has all" in team.loaded()
    team.incident(OPERATED)


def test_prometheus_has_the_operators_own_rules_and_all_that_they_are_about(team: Team) -> None:
    def groups() -> list[dict[str, Any]]:
        found = team.monitoring.ask(PROMETHEUS_OPERATED, "/api/v1/rules?type=alert")["data"]["groups"]
        return [group for group in found if f"/{fixtures.SYSTEM}-" in group["file"]]

    def rules() -> dict[str, str]:
        return {rule["name"]: rule["health"] for group in groups() for rule in group["rules"]}

    wait_for(lambda: rules() == dict.fromkeys(operator_rules.NAMES, "ok"), 90, lambda: f"all are well: {groups()}")
    queries = [rule["query"] for group in groups() for rule in group["rules"]]
    metrics = {name for query in queries for name in re.findall(r"tracekeeper_\w+(?:{[^}]*})?", query)}
    metrics.remove("tracekeeper_controller_config_faults")  # It has a row of each config that is rejected: of none.

    def missing() -> set[str]:
        return {name for name in metrics if not team.monitoring.values(PROMETHEUS_OPERATED, name)}

    wait_for(lambda: not missing(), 60, lambda: f"there are series of {missing()}")


def test_a_budget_that_is_spent_is_told_by_an_alert_and_in_the_status(team: Team) -> None:
    team.monitoring.ask("slack", "/reset", "POST")
    overspent = {"name": "Overspent", "condition": 'budget("daily").spent > budget("daily").limit'}
    team.says(alerts={"rules": [overspent], "channels": CHANNELS}, budgets=[BUDGET])

    def state() -> dict[str, Any]:
        config = team.cluster.get("tracingconfigs.tracekeeper.dev", "agents", namespace=TEAM)
        (found,) = config["status"].get("budgets") or [{}]
        return dict(found)

    wait_for(lambda: state().get("state") == "Exceeded", 120, lambda: f"all is spent: {state()}")
    assert state()["allowed"] is True, "no threshold of it says Deny"
    assert float(state()["spent"]) > float(state()["limit"]) == 0.01
    wait_for(
        lambda: {"Overspent", "BudgetThreshold"} <= team.firing(OPERATED).keys(), 90, lambda: f"{team.firing(OPERATED)}"
    )
    threshold = team.firing(OPERATED)["BudgetThreshold"]
    assert (threshold["budget"], threshold["threshold"]) == ("daily", "1")
    for name in ("Overspent", "BudgetThreshold"):
        team.reported("team", name)
    spent = 'sum(tracekeeper_budget_spent_dollars{config="' + CONFIG + '"})'
    ((_, shown),) = team.monitoring.values(PROMETHEUS_OPERATED, spent)
    assert float(shown) > 0.01


def test_a_root_configs_channels_are_told_of_teams_that_say_no_alerts_themselves(team: Team) -> None:
    team.monitoring.ask("slack", "/reset", "POST")
    team.says()
    lent = {"tracekeeper.dev/alerts-of": fixtures.SYSTEM}
    team.cluster.apply(secret(ROOT, monitoring_stack.NAMESPACE, "platform", **lent))
    platform = Workload(team.cluster, fixtures.SYSTEM, team.work.image)
    busy = {"name": "Busy", "condition": "request_rate > 0", "window": "20s", "severity": "warning"}
    said = {"builtIn": "None", "rules": [busy], "channels": [slack("platform", ROOT)]}
    backend = otlp("backend", endpoint=f"http://backend.{TEAM}:4317")
    try:
        platform.config(backend, name=ROOT, alerts=said, allowedNamespaces={"from": "All"})
        assert "Prometheus has the rule" in platform.condition("RulesLoaded", "True", ROOT, deadline=120)["message"]
        team.reported("platform", "Busy")
        assert team.firing(OPERATED)["Busy"]["tracekeeper_config"] == f"{fixtures.SYSTEM}/{ROOT}"
    finally:
        for kind, namespace in (
            ("tracingconfigs.tracekeeper.dev", fixtures.SYSTEM),
            ("secret", monitoring_stack.NAMESPACE),
        ):
            team.cluster.kubectl("delete", kind, ROOT, "-n", namespace, "--ignore-not-found")
    routes = "alertmanagerconfigs"
    wait_for(
        lambda: not team.cluster.get(routes, namespace=monitoring_stack.NAMESPACE)["items"], 90, "its routes are gone"
    )
    team.says(alerts=alerts(RULES))


def test_of_six_rules_the_broken_one_is_named_and_five_are_delivered(team: Team) -> None:
    team.monitoring.definitions()
    wait_for(lambda: team.rule_names() == list(RULES), 90, lambda: f"a PrometheusRule: {team.rule_names()}")
    broken = {**RULES, "Errors": {**RULES["Errors"], "condition": "eror_rate > 0.05"}}
    config = team.cluster.get("tracingconfigs.tracekeeper.dev", "agents", namespace=TEAM)
    config["spec"]["alerts"] = alerts(broken)
    said = team.cluster.run(["kubectl", "replace", "-f", "-"], stdin=json.dumps(config))
    fault = "rule Errors, character 1: there is no metric eror_rate (did you mean error_rate?)"
    assert f"Warning: spec.alerts.rules[0]: {fault}" in said.stderr, said.stderr
    accepted = team.work.condition("Accepted", "True")
    assert accepted["reason"] == "AcceptedWithFaults"
    assert fault in accepted["message"]
    wait_for(lambda: len(team.rule_names()) == 5, 30, lambda: f"five rules: {team.rule_names()}")
    assert team.rule_names() == [name for name in RULES if name != "Errors"]


def test_when_the_prometheus_operator_has_gone_the_rules_become_plain_files_again(team: Team) -> None:
    team.monitoring.no_definitions()
    # By itself: the controller looks once a minute, and believes it when it has seen it twice.
    wait_for(lambda: FILE in team.plain_files(), 150, lambda: f"plain files: {team.plain_files()}", interval=1)
