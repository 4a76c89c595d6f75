"""The whole of it: from TracingConfigs to objects of the Prometheus operator, and to what statuses say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from control_objects import config
from delivery_world import KINDS, SLACK, AlertWorld, alerting, alertmanager, delivery_world, prometheus
from tracekeeper_operator.alerts import prometheus as prometheus_api
from tracekeeper_operator.status import Reason


@pytest.fixture
async def world() -> AsyncIterator[AlertWorld]:
    async with delivery_world() as world:
        yield world


def said(world: AlertWorld, manifest: Any) -> tuple[str, Reason]:
    found = world.condition(manifest)
    assert found is not None
    return found.status, found.reason


async def test_rules_are_written_beside_their_config_and_found_in_prometheus(world: AlertWorld) -> None:
    agents = world.put(alerting())
    await world.service.once()
    rule = world.api.get("prometheusrules", "shop", "tracekeeper-agents")
    assert rule["metadata"]["ownerReferences"][0]["uid"] == "uid-shop-agents"
    (group,) = rule["spec"]["groups"]
    assert (group["name"], group["rules"][0]["alert"]) == ("tracekeeper/shop/agents", "ManyErrors")
    assert said(world, agents) == ("True", Reason.LOADED)
    assert "shop" in world.told
    world.told.clear()
    await world.later()
    assert world.told == [], "there is nothing new to say"


async def test_nothing_is_said_of_a_config_without_alerts_of_its_own(world: AlertWorld) -> None:
    plain = world.put(config("plain", "shop"))
    inherits = world.put(config("inherits", "other"))
    world.put(alerting("default", "obs"))
    await world.service.once()
    assert world.condition(plain) is None
    assert world.condition(inherits) is None
    assert [name for name in world.names("prometheusrules") if not name.startswith("tk/")] == [
        "obs/tracekeeper-default"
    ]


async def test_what_is_wanted_no_more_goes(world: AlertWorld) -> None:
    agents = world.put(alerting(channels=[SLACK]))
    await world.service.once()
    assert world.names("alertmanagerconfigs") == ["shop/tracekeeper-agents"]
    world.put(alerting(generation=2))
    await world.later()
    assert world.names("alertmanagerconfigs") == []
    agents = world.put(config("agents", "shop", generation=3) | {"metadata": agents["metadata"]})
    world.told.clear()
    await world.later()
    assert "shop/tracekeeper-agents" not in world.names("prometheusrules")
    assert world.condition(agents) is None
    assert world.told == ["shop"]


async def test_objects_of_others_are_neither_taken_nor_deleted(world: AlertWorld) -> None:
    theirs = {"metadata": {"namespace": "shop", "name": "tracekeeper-agents", "labels": {"team": "shop"}}, "spec": {}}
    world.api.put("prometheusrules", theirs)
    other = {"metadata": {"namespace": "shop", "name": "x", "labels": {"app.kubernetes.io/managed-by": "tracekeeper"}}}
    world.api.put("prometheusrules", other | {"spec": {}})
    agents = world.put(alerting())
    await world.service.once()
    await world.later(301)
    assert world.api.get("prometheusrules", "shop", "tracekeeper-agents") is theirs
    assert "shop/x" in world.names("prometheusrules")
    found = world.condition(agents)
    assert found is not None and found.reason is Reason.NOT_WRITTEN and "did not make" in found.message
    world.api.remove("prometheusrules", "shop", "tracekeeper-agents")
    await world.later(301)
    await world.later(61)
    assert said(world, agents) == ("True", Reason.LOADED)


async def test_a_change_of_somebody_else_is_undone(world: AlertWorld) -> None:
    world.put(alerting())
    await world.service.once()
    good = world.api.get("prometheusrules", "shop", "tracekeeper-agents")["spec"]
    changed = {**world.api.get("prometheusrules", "shop", "tracekeeper-agents"), "spec": {"groups": []}}
    world.api.put("prometheusrules", changed)
    await world.later(301)
    assert world.api.get("prometheusrules", "shop", "tracekeeper-agents")["spec"] == good
    # While no controller was there, too: the digest that it carries says nothing of what is in it now.
    changed = {**world.api.get("prometheusrules", "shop", "tracekeeper-agents"), "spec": {"groups": []}}
    world.api.put("prometheusrules", changed)
    world.restart()
    await world.service.once()
    assert world.api.get("prometheusrules", "shop", "tracekeeper-agents")["spec"] == good


async def test_a_config_with_faults_keeps_its_rules_even_if_nobody_knows_its_last_good_version(
    world: AlertWorld,
) -> None:
    agents = world.put(alerting())
    await world.service.once()
    broken = {**agents, "metadata": {**agents["metadata"], "generation": 2}, "spec": {"backends": "no"}}
    world.put(broken)
    await world.later()
    assert "shop/tracekeeper-agents" in world.names("prometheusrules")
    world.restart()  # By now, nobody remembers.
    world.book.__init__(world.store, world.namespaces, "obs")  # type: ignore[misc]
    await world.service.once()
    assert "shop/tracekeeper-agents" in world.names("prometheusrules")
    world.remove("shop", "agents")
    await world.later()
    assert "shop/tracekeeper-agents" not in world.names("prometheusrules")


async def test_kinds_that_come_and_go(world: AlertWorld) -> None:
    world.install()
    agents = world.put(alerting())
    await world.service.once()
    assert said(world, agents) == ("False", Reason.NOT_WRITTEN)
    world.install(*KINDS, "alertmanagerconfigs")
    await world.later()
    assert said(world, agents) == ("True", Reason.LOADED)
    world.install("podmonitors")
    await world.later()
    assert said(world, agents) == ("True", Reason.LOADED)  # One look may err.
    await world.later(17)  # So there is another one soon.
    assert said(world, agents) == ("False", Reason.NOT_WRITTEN)
    world.install(*KINDS)
    world.api.remove("prometheusrules", "shop", "tracekeeper-agents")
    await world.later()
    await world.later()
    assert said(world, agents) == ("True", Reason.LOADED)


async def test_what_prometheus_says(world: AlertWorld) -> None:
    world.prometheus.missing.add("tracekeeper-agents")
    agents = world.put(alerting())
    await world.service.once()
    assert said(world, agents) == ("Unknown", Reason.NOT_YET)
    await world.later(181)
    assert said(world, agents) == ("False", Reason.RULES_NOT_LOADED)
    world.prometheus.missing.clear()
    world.prometheus.failing["ManyErrors"] = "many-to-many matching not allowed"
    await world.later()
    found = world.condition(agents)
    assert found is not None and found.reason is Reason.RULE_FAILING and "many-to-many" in found.message
    world.prometheus.status = 503
    await world.later()
    assert said(world, agents) == ("Unknown", Reason.PROMETHEUS_UNREACHABLE)
    world.prometheus.status = 200
    world.prometheus.failing.clear()
    await world.later()
    assert said(world, agents) == ("True", Reason.LOADED)


async def test_a_group_of_the_same_name_in_somebody_elses_object_proves_nothing(world: AlertWorld) -> None:
    agents = world.put(alerting())
    await world.service.once()
    spec = world.api.get("prometheusrules", "shop", "tracekeeper-agents")["spec"]
    world.api.put("prometheusrules", {"metadata": {"namespace": "mallory", "name": "theirs"}, "spec": spec})
    world.prometheus.missing.add("tracekeeper-agents")
    await world.later(181)
    assert said(world, agents) == ("False", Reason.RULES_NOT_LOADED)


async def test_old_rules_under_the_same_names_are_not_taken_for_the_new_ones(world: AlertWorld) -> None:
    world.put(alerting())
    await world.service.once()
    old = dict(world.api.get("prometheusrules", "shop", "tracekeeper-agents"))
    rules = [{"name": "ManyErrors", "condition": "error_rate > 0.05", "for": "5m", "severity": "critical"}]
    agents = world.put(alerting(generation=2, rules=rules))
    world.prometheus._taken = lambda: [old]  # type: ignore[method-assign]
    await world.later()
    assert said(world, agents) == ("Unknown", Reason.NOT_YET)


async def test_who_selects_nothing_of_ours_is_named(world: AlertWorld) -> None:
    world.api.put("prometheuses", prometheus(ruleSelector={"matchLabels": {"release": "kps"}}))
    agents = world.put(alerting())
    await world.service.once()
    assert world.api.get("prometheusrules", "shop", "tracekeeper-agents")["metadata"]["labels"]["release"] == "kps"
    assert said(world, agents) == ("True", Reason.LOADED)
    world.api.put("prometheuses", prometheus(ruleSelector=None))
    await world.later(301)
    found = world.condition(agents)
    assert found is not None and found.reason is Reason.NOT_SELECTED
    assert "Prometheus monitoring/k8s does not select it" in found.message


async def test_labels_that_the_chart_says_may_be_the_wrong_ones() -> None:
    async with delivery_world(labels={"release": "other"}) as world:
        world.api.put("prometheuses", prometheus(ruleSelector={"matchLabels": {"release": "kps"}}))
        agents = world.put(alerting())
        await world.service.once()
        found = world.condition(agents)
        assert found is not None and found.reason is Reason.NOT_SELECTED and "alerts.labels" in found.message


async def test_an_enforced_namespace_blinds_only_configs_of_the_root_namespace(world: AlertWorld) -> None:
    world.api.put("prometheuses", prometheus(enforcedNamespaceLabel="namespace"))
    agents, default = world.put(alerting()), world.put(alerting("default", "obs"))
    await world.service.once()
    assert said(world, agents) == ("True", Reason.LOADED)
    found = world.condition(default)
    assert (
        found is not None and found.reason is Reason.NAMESPACE_ENFORCED and "excludedFromEnforcement" in found.message
    )
    spared = {"resource": "prometheusrules", "namespace": "obs", "name": "tracekeeper-default"}
    world.api.put("prometheuses", prometheus(enforcedNamespaceLabel="namespace", excludedFromEnforcement=[spared]))
    await world.later(301)
    assert said(world, default) == ("True", Reason.LOADED)


async def test_where_no_prometheus_is_known_it_says_so() -> None:
    async with delivery_world(prometheus_url="") as world:
        world.api.remove("prometheuses", "monitoring", "k8s")
        agents = world.put(alerting())
        await world.service.once()
        assert said(world, agents) == ("Unknown", Reason.NO_PROMETHEUS)
        world.api.put("prometheuses", prometheus())
        await world.later()
        assert said(world, agents)[1] is not Reason.NO_PROMETHEUS, "the first one is seen within a minute"


async def test_what_the_api_server_refuses_is_said_and_not_asked_for_again_at_once(world: AlertWorld) -> None:
    agents = world.put(alerting())
    words = '{"message": "admission webhook prometheusrulemutate denied the request"}'
    world.api.fail("PATCH", "/prometheusrules/tracekeeper-agents", 422, words)
    await world.service.once()
    found = world.condition(agents)
    assert found is not None and found.reason is Reason.NOT_WRITTEN and "prometheusrulemutate" in found.message
    sent = len(world.api.requests("PATCH", "/tracekeeper-agents"))
    await world.later()
    assert len(world.api.requests("PATCH", "/tracekeeper-agents")) == sent
    await world.later(301)
    assert said(world, agents) == ("Unknown", Reason.NOT_YET) or said(world, agents) == ("True", Reason.LOADED)


async def test_a_fault_in_one_config_leaves_the_others_alone(
    world: AlertWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.put(alerting("good"))
    world.put(alerting("bad"))
    await world.service.once()
    rules = [{"name": "Wrong", "condition": "eror_rate > 1"}, {"name": "Right", "condition": "error_rate > 0.5"}]
    world.put(alerting("bad", generation=2, rules=rules))
    await world.later()
    (group,) = world.api.get("prometheusrules", "shop", "tracekeeper-bad")["spec"]["groups"]
    assert [rule["alert"] for rule in group["rules"]] == ["Right"]
    assert "shop/tracekeeper-good" in world.names("prometheusrules")


async def test_a_root_configs_channels_go_where_the_strategy_lets_them(world: AlertWorld) -> None:
    default = world.put(alerting("default", "obs", channels=[SLACK]))
    await world.service.once()
    found = world.condition(default)
    assert world.names("alertmanagerconfigs") == []
    assert found is not None and found.status == "True" and "tracekeeper_config and severity alone" in found.message

    world.api.put("alertmanagers", alertmanager(strategy="None"))
    await world.later(301)
    assert world.names("alertmanagerconfigs") == ["obs/tracekeeper-default"]

    world.api.put("alertmanagers", alertmanager(strategy="OnNamespaceExceptForAlertmanagerNamespace"))
    await world.later(301)
    found = world.condition(default)
    assert world.names("alertmanagerconfigs") == []
    assert found is not None and "Secret monitoring/slack: it does not exist" in found.message

    secret: Any = {"metadata": {"namespace": "monitoring", "name": "slack"}, "data": {"url": "aHR0cDovL3g="}}
    world.api.put("secrets", secret)
    await world.later(301)
    found = world.condition(default)
    assert world.names("alertmanagerconfigs") == [], "somebody else's Secret is not used without consent"
    assert found is not None and "tracekeeper.dev/alerts-of=obs" in found.message

    secret["metadata"]["labels"] = {"tracekeeper.dev/alerts-of": "obs"}
    world.api.put("secrets", secret)
    await world.later(301)
    assert world.names("alertmanagerconfigs") == ["monitoring/root.default.tracekeeper.dev"]
    read = [item for item in world.api.seen if item.path.endswith("/secrets/slack")]
    assert read and all("PartialObjectMetadata" in item.headers["Accept"] for item in read), "its values are not read"


async def test_sidecars_are_scraped_once(world: AlertWorld) -> None:
    await world.service.once()
    assert world.names("podmonitors") == ["tk/tracekeeper-operator", "tk/tracekeeper-sidecars"]
    everywhere = {"namespaceSelector": {"any": True}, "podMetricsEndpoints": [{"port": "tk-metrics"}]}
    world.api.put("podmonitors", {"metadata": {"namespace": "mallory", "name": "theirs"}, "spec": everywhere})
    await world.later(301)
    assert "tk/tracekeeper-sidecars" in world.names("podmonitors"), "a tenant ends nobody's scraping"
    world.api.put("podmonitors", {"metadata": {"namespace": "monitoring", "name": "ours"}, "spec": everywhere})
    await world.later(301)
    assert world.names("podmonitors") == ["mallory/theirs", "monitoring/ours", "tk/tracekeeper-operator"]


async def test_what_lies_in_the_operators_namespace_goes_with_the_release() -> None:
    async with delivery_world(lease="tracekeeper-controller") as world:
        world.api.put("leases", {"metadata": {"namespace": "tk", "name": "tracekeeper-controller", "uid": "uid-lease"}})
        await world.service.once()
        owners = world.api.get("podmonitors", "tk", "tracekeeper-sidecars")["metadata"]["ownerReferences"]
        assert [owner["uid"] for owner in owners] == ["uid-lease"]


async def test_requests_at_rest(world: AlertWorld) -> None:
    for number in range(20):
        world.put(alerting(f"agents-{number}", channels=[SLACK]))
    await world.service.once()
    world.clock.mono += 30
    world.api.seen.clear()
    for _ in range(60):
        world.planned("shop")  # As a round without news does.
        await world.service.once()
    assert world.api.seen == [], "a round that changes nothing asks nobody"
    for _ in range(60):
        await world.later(60)
    # In an hour: discovery twice a minute, and five lists with two owners in five minutes.
    assert len(world.api.seen) <= 60 * 2 + 13 * 7
    assert all(item.method == "GET" for item in world.api.seen)


async def test_without_the_prometheus_operator_it_is_one_request_a_minute(world: AlertWorld) -> None:
    world.install()
    world.put(alerting())
    await world.service.once()
    world.api.seen.clear()
    for _ in range(60):
        await world.later(60)
    assert len(world.api.seen) <= 60


async def test_prometheuses_are_asked_side_by_side_and_one_that_fails_more_seldom(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    both = asyncio.Event()

    async def addresses(host: str, port: int) -> list[str]:
        asked.append(host.split(".")[1])
        if len(asked) == 2:
            both.set()
        await both.wait()  # If they were asked one after the other, this would not end.
        raise OSError("nobody there")

    monkeypatch.setattr(prometheus_api, "_addresses", addresses)
    async with delivery_world(prometheus_url="") as world:
        world.api.remove("prometheuses", "monitoring", "k8s")
        for namespace in ("shop", "other"):
            world.api.put("prometheuses", prometheus(namespace, ruleNamespaceSelector=None))
            world.put(alerting("x", namespace))
        await world.service.once()
        assert sorted(asked) == ["other", "shop"]
        for _ in range(60):
            await world.later()
        # Of an hour: each time a minute more, then every ten.
        assert 20 < len(asked) < 40


async def test_a_config_with_a_long_name_has_objects_of_names_that_can_be(world: AlertWorld) -> None:
    items = [world.put(alerting("x" * 252 + last, channels=[SLACK])) for last in "ab"]
    await world.service.once()
    rules = world.names("prometheusrules")
    assert len({name for name in rules if name.startswith("shop/tracekeeper-")}) == 2
    for name in (*rules, *world.names("alertmanagerconfigs")):
        # As Prometheus' operator calls the file, with a UID in it.
        assert len(f"{name}-{'0' * 36}.yaml") <= 253
    await world.later()
    assert [said(world, item)[0] for item in items] == ["True", "True"]
