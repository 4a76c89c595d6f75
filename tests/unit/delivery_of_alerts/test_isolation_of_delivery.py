"""What a tenant writes into a TracingConfig changes nothing for others: no rule, no route, no credential."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from alert_world import compiled
from delivery_world import SLACK, AlertWorld, alerting, alertmanager, delivery_world
from tracekeeper_operator.alerts.wanted import sealed
from tracekeeper_spec.alert import Alerts
from tracekeeper_spec.alert.compiled import AlertRule, Compiled
from tracekeeper_spec.alert.routing import routing

CREDENTIAL: dict[str, Any] = {"secretKeyRef": {"name": "s", "key": "k"}}
CHANNELS: tuple[dict[str, Any], ...] = (
    SLACK,
    {"name": "duty", "type": "PagerDuty", "pagerDuty": {"integrationKey": CREDENTIAL, "url": "https://evil.example/x"}},
    {"name": "hook", "type": "Webhook", "webhook": {"url": "https://evil.example/hook"}},
    {"name": "genie", "type": "OpsGenie", "opsGenie": {"apiKey": CREDENTIAL, "url": "https://evil.example"}},
    {
        "name": "mail",
        "type": "Email",
        "email": {
            "to": ["a@evil.example"],
            "from": "b@evil.example",
            "smarthost": "evil.example:25",
            "username": "u",
            "password": CREDENTIAL,
        },
    },
)


@pytest.fixture
async def world() -> AsyncIterator[AlertWorld]:
    async with delivery_world() as world:
        yield world


def test_labels_by_which_alerts_are_routed_cannot_be_written_over() -> None:
    rule = AlertRule("X", "up", labels={"namespace": "shop", "tracekeeper_config": "obs/default", "severity": "info"})
    (found,) = sealed(Compiled("mallory/x", (rule,)), "mallory").rules
    assert found.labels == {"namespace": "mallory", "tracekeeper_config": "mallory/x", "severity": "info"}


def test_what_is_critical_of_one_thing_silences_nothing_of_another() -> None:
    budgets = [{"name": name.lower(), "period": name, "limit": {"amount": "1"}} for name in ("Day", "Week")]
    silences = [
        {"name": name, "condition": "error_rate > 0.1", "noData": "Alert", "severity": severity}
        for name, severity in (("A", "critical"), ("B", "warning"))
    ]
    made = compiled(*silences, built_in="All", budgets=budgets)
    equal = routing(Alerts(), "shop/agents").inhibitions[0].equal

    def seen(alert: str, **more: str) -> tuple[str | None, ...]:
        labels = next(rule.labels for rule in made.rules if isinstance(rule, AlertRule) and rule.alert == alert)
        return tuple({**labels, **more}.get(label) for label in equal)

    assert seen("BudgetThreshold", budget="day") != seen("BudgetThreshold", budget="week")
    assert seen("BudgetThreshold", key="planner") != seen("BudgetThreshold", key="writer")
    assert seen("SpansDropped", pod="a") != seen("SpansDropped", pod="b")
    assert seen("ANoData") != seen("BNoData")
    assert seen("BudgetThreshold", severity="critical") == seen("BudgetThreshold", severity="warning")


async def test_every_alert_of_a_tenant_has_its_namespace_and_every_route_asks_for_it(world: AlertWorld) -> None:
    world.api.put("alertmanagers", alertmanager(strategy="None"))  # The Prometheus operator adds nothing then.
    world.put(alerting("x", "other", builtIn="All", channels=[SLACK]))
    await world.service.once()
    (group,) = world.api.get("prometheusrules", "other", "tracekeeper-x")["spec"]["groups"]
    alerts = [rule for rule in group["rules"] if "alert" in rule]
    assert len(alerts) > 10
    for rule in alerts:
        assert (rule["labels"]["namespace"], rule["labels"]["tracekeeper_config"]) == ("other", "other/x")
    spec = world.api.get("alertmanagerconfigs", "other", "tracekeeper-x")["spec"]
    narrow = {"name": "namespace", "value": "other", "matchType": "="}
    assert narrow in spec["route"]["matchers"]
    for rule in spec["inhibitRules"]:
        assert narrow in rule["sourceMatch"] and narrow in rule["targetMatch"]


@pytest.mark.parametrize("channel", CHANNELS, ids=lambda channel: str(channel["type"]))
async def test_no_receiver_of_a_tenant_is_filled_in_from_the_platforms_settings(
    world: AlertWorld, channel: dict[str, Any]
) -> None:
    world.put(alerting("x", "other", channels=[channel]))
    world.put(alerting("default", "obs", channels=[channel]))
    await world.service.once()
    receiver = world.api.get("alertmanagerconfigs", "other", "tracekeeper-x")["spec"]["receivers"][1]
    ((config,),) = (value for key, value in receiver.items() if key != "name")
    if channel["type"] == "Email":
        assert {"authUsername", "authPassword", "authSecret", "tlsConfig", "smarthost", "from"} <= config.keys()
    else:
        assert config["httpConfig"], "without one, Alertmanager takes its own, credentials included"


async def test_a_channel_whose_address_would_be_refused_is_left_out_alone(world: AlertWorld) -> None:
    bad = {"name": "bad", "type": "Webhook", "webhook": {"url": "https://exa%zzmple/"}}
    manifest = world.put(alerting("x", "other", channels=[bad, SLACK]))
    await world.service.once()
    spec = world.api.get("alertmanagerconfigs", "other", "tracekeeper-x")["spec"]
    assert [receiver["name"] for receiver in spec["receivers"]] == ["nobody.", "team"]
    found = world.condition(manifest)
    assert found is not None and "channel bad: webhook.url is not an address" in found.message


async def test_credentials_stay_references_in_the_namespace_of_whoever_named_them(world: AlertWorld) -> None:
    secret = {"metadata": {"namespace": "obs", "name": "slack"}, "data": {"url": "aHR0cDovL3NlY3JldA=="}}
    world.api.put("secrets", secret)
    world.api.put("alertmanagers", alertmanager(strategy="None"))
    world.put(alerting("default", "obs", channels=[SLACK]))
    world.put(alerting("x", "other", channels=[SLACK]))
    await world.service.once()
    assert [item for item in world.api.seen if "/secrets" in item.path] == []
    written = [item for key, item in world.api.objects.items() if key[0] != "secrets"]
    assert "aHR0cDovL3NlY3JldA" not in json.dumps(written)


async def test_no_name_of_a_config_makes_an_object_of_somebody_elses(world: AlertWorld) -> None:
    strategy = "OnNamespaceExceptForAlertmanagerNamespace"
    world.api.put("alertmanagers", alertmanager(strategy=strategy))
    lent = {"namespace": "monitoring", "name": "slack", "labels": {"tracekeeper.dev/alerts-of": "obs"}}
    world.api.put("secrets", {"metadata": lent})
    world.put(alerting("default", "obs", channels=[SLACK]))
    # They would be the root config's routes beside the Alertmanager, and the rules on the operator.
    for name in ("default", "root.default.tracekeeper.dev"):
        world.put(alerting(name, "monitoring", channels=[SLACK]))
    world.put(alerting("operator", "tk"))
    await world.service.once()
    assert len(world.names("alertmanagerconfigs")) == 3
    root = world.api.get("alertmanagerconfigs", "monitoring", "root.default.tracekeeper.dev")["spec"]["route"]
    assert root["matchers"][0]["value"] == "obs/default"
    assert "tk/operator.tracekeeper.dev" in world.names("prometheusrules")
    assert "tk/tracekeeper-operator" in world.names("prometheusrules")


async def test_the_root_namespace_can_keep_namespaces_from_having_alerts_of_their_own(world: AlertWorld) -> None:
    default = alerting("default", "obs")
    default["spec"] |= {"allowedNamespaces": {"from": "All"}, "enforced": ["Alerts"]}
    world.put(default)
    mine = world.put(alerting("x", "other"))
    await world.service.once()
    assert "other/tracekeeper-x" not in world.names("prometheusrules")
    assert world.condition(mine) is None


async def test_scraped_pods_say_where_they_run_by_no_label_of_their_own(world: AlertWorld) -> None:
    await world.service.once()
    spec = world.api.get("podmonitors", "tk", "tracekeeper-sidecars")["spec"]
    (endpoint,) = spec["podMetricsEndpoints"]
    assert "honorLabels" not in endpoint and spec["sampleLimit"] > 0
