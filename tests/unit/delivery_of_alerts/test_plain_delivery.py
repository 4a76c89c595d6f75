"""Plain files where there is no Prometheus operator: what is read, written and asked for, against an API server."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import yaml
from aiohttp import web

from control_objects import secret
from delivery_world import KINDS, SLACK, AlertWorld, alerting, delivery_world
from tracekeeper_operator.alerts import plain
from tracekeeper_operator.alerts.plain_rules import MAPS, rule_file
from tracekeeper_operator.alerts.prometheus_rule import OPERATOR
from tracekeeper_operator.status import Reason
from tracekeeper_spec.units import parse_duration

BASE = """\
route: {receiver: platform, routes: [{receiver: platform, matchers: ['team="x"']}]}
receivers: [{name: platform}]
"""


class Programs:
    """A Prometheus that has the files of the ConfigMaps, and an Alertmanager that has the Secret, once told to."""

    world: AlertWorld

    def __init__(self) -> None:
        self.reloads: list[str] = []
        self.files: dict[str, str] = {}
        self.config = ""
        self.late = False
        """Whether the kubelet has not brought anything yet."""

    async def reload_rules(self, request: web.Request) -> web.Response:
        self.reloads.append("prometheus")
        if not self.late:
            found = self.world.api.objects
            maps = [item for (kind, _, name), item in found.items() if kind == "configmaps" and name in MAPS]
            self.files = {key: text for item in maps for key, text in item.get("data", {}).items()}
        return web.Response()

    async def rules(self, request: web.Request) -> web.Response:
        groups = [
            {"file": f"/etc/tracekeeper/rules/{key}", "name": group["name"], "rules": list(map(_shown, group["rules"]))}
            for key, text in self.files.items()
            for group in yaml.safe_load(text)["groups"]
        ]
        return web.json_response({"data": {"groups": groups}}, dumps=_compact)

    async def reload_routes(self, request: web.Request) -> web.Response:
        self.reloads.append("alertmanager")
        if not self.late:
            self.config = self.file()
        return web.Response()

    async def status(self, request: web.Request) -> web.Response:
        return web.json_response({"config": {"original": self.config}})

    def file(self) -> str:
        data = self.world.api.get("secrets", "monitoring", "tracekeeper-alertmanager")["data"]
        return base64.b64decode(data["alertmanager.yml"]).decode()


def _compact(body: Any) -> str:
    return json.dumps(body, separators=(",", ":"))


def _shown(rule: dict[str, Any]) -> dict[str, Any]:
    duration = parse_duration(rule.get("for", "0s"))
    return {**rule, "name": rule.get("alert") or rule["record"], "duration": duration, "health": "ok"}


@asynccontextmanager
async def plain_world(base: str = "ConfigMap/am") -> AsyncIterator[tuple[AlertWorld, Programs]]:
    app, programs = web.Application(), Programs()
    app.router.add_post("/p/-/reload", programs.reload_rules)
    app.router.add_get("/p/api/v1/rules", programs.rules)
    app.router.add_post("/a/-/reload", programs.reload_routes)
    app.router.add_get("/a/api/v2/status", programs.status)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    address = f"http://127.0.0.1:{runner.addresses[0][1]}"
    urls = {"prometheus_url": f"{address}/p", "alertmanager_url": f"{address}/a"}
    try:
        async with delivery_world(plain_namespace="monitoring", plain_base=base, **urls) as world:
            world.install()
            world.api.put(
                "configmaps",
                {"metadata": {"namespace": "monitoring", "name": "am"}, "data": {"alertmanager.yml": BASE}},
            )
            world.api.put("secrets", secret("slack", url="https://hooks.example/T/B"))
            programs.world = world
            yield world, programs
    finally:
        await runner.cleanup()


@pytest.fixture
async def both() -> AsyncIterator[tuple[AlertWorld, Programs]]:
    async with plain_world() as both:
        yield both


def files(world: AlertWorld) -> set[str]:
    """Keys of the rule files."""
    return {
        key
        for (kind, _, name), item in world.api.objects.items()
        if kind == "configmaps" and name in MAPS
        for key in item.get("data", {})
    }


async def test_files_are_written_loaded_and_told_of(both: tuple[AlertWorld, Programs]) -> None:
    world, programs = both
    programs.late = True
    agents = world.put(alerting(channels=[SLACK]))
    await world.service.once()
    assert {"shop.agents.yaml", "operator.yaml"} <= files(world)
    found = world.condition(agents)
    assert found is not None and found.reason is Reason.NOT_YET and "shop.agents.yaml" in found.message
    programs.late = False
    await world.later(16)
    await world.later(16)
    found = world.condition(agents)
    assert found is not None and (found.status, found.reason) == ("True", Reason.LOADED)
    assert "tracekeeper/shop/agents/team" in programs.config and "platform" in programs.config
    assert "hooks.example" not in programs.config, "its address is a credential, in a file of its own"
    await world.later(200)
    await world.later()
    programs.reloads.clear()
    for _ in range(5):
        await world.later()
    assert programs.reloads == [], "what they show is not loaded again"


async def test_rules_that_go_are_gone_from_prometheus_too(both: tuple[AlertWorld, Programs]) -> None:
    world, programs = both
    world.put(alerting())
    await world.service.once()
    await world.later(200)
    assert "shop.agents.yaml" in programs.files
    world.remove("shop", "agents")
    programs.late = True
    await world.later()
    assert "shop.agents.yaml" not in files(world)
    programs.late = False
    for _ in range(3):
        await world.later()
    assert "shop.agents.yaml" not in programs.files


async def test_the_way_follows_the_kinds(both: tuple[AlertWorld, Programs]) -> None:
    world, _ = both
    world.put(alerting(channels=[SLACK]))
    await world.service.once()
    assert "shop.agents.yaml" in files(world)
    world.install(*KINDS, "alertmanagerconfigs")
    await world.later()
    assert files(world) == set() and "shop/tracekeeper-agents" in world.names("prometheusrules")
    text = base64.b64decode(
        world.api.get("secrets", "monitoring", "tracekeeper-alertmanager")["data"]["alertmanager.yml"]
    )
    assert b"shop/agents" not in text
    world.install()
    await world.later()
    assert files(world) == set(), "one look may err"
    await world.later()
    assert "shop.agents.yaml" in files(world)


async def test_a_base_that_cannot_be_read_leaves_the_last_good_file(both: tuple[AlertWorld, Programs]) -> None:
    world, programs = both
    agents = world.put(alerting(channels=[SLACK]))
    await world.service.once()
    good = programs.file()
    broken = {"metadata": {"namespace": "monitoring", "name": "am"}, "data": {"alertmanager.yml": "route: ["}}
    world.api.put("configmaps", broken)
    await world.later(301)
    await world.later()
    assert programs.file() == good
    found = world.condition(agents)
    assert found is not None and "the alertmanager.yml to put them into cannot be used" in found.message
    world.api.put("configmaps", {**broken, "data": {"alertmanager.yml": BASE.replace("platform", "others")}})
    await world.later(301)
    assert "others" in programs.file()
    found = world.condition(agents)
    assert found is not None and "cannot be used" not in found.message


async def test_no_base_is_not_an_empty_base() -> None:
    async with plain_world("ConfigMap/missing") as (world, _):
        agents = world.put(alerting(channels=[SLACK]))
        await world.service.once()
        assert "monitoring/tracekeeper-alertmanager" not in world.names("secrets")
        found = world.condition(agents)
        assert found is not None and "ConfigMap/missing does not exist" in found.message


async def test_a_missing_secret_costs_its_channel_alone_and_a_rotated_one_arrives(
    both: tuple[AlertWorld, Programs],
) -> None:
    world, _ = both
    lost = {**SLACK, "name": "lost", "slack": {"webhookURL": {"secretKeyRef": {"name": "lost", "key": "url"}}}}
    agents = world.put(alerting(channels=[SLACK, lost]))
    await world.service.once()
    found = world.condition(agents)
    assert found is not None and "channel lost: slack.webhookURL: Secret 'lost' has no key 'url'" in found.message
    data = world.api.get("secrets", "monitoring", "tracekeeper-alertmanager")["data"]
    assert base64.b64decode(data["shop.agents.team"]) == b"https://hooks.example/T/B"
    world.api.put("secrets", secret("lost", url="https://hooks.example/lost"))
    world.api.put("secrets", secret("slack", url="https://hooks.example/new"))
    await world.later(301)
    data = world.api.get("secrets", "monitoring", "tracekeeper-alertmanager")["data"]
    assert base64.b64decode(data["shop.agents.team"]) == b"https://hooks.example/new"
    assert "shop.agents.lost" in data


async def test_what_a_broken_config_had_stays(both: tuple[AlertWorld, Programs]) -> None:
    world, programs = both
    agents = world.put(alerting(channels=[SLACK]))
    await world.service.once()
    world.put({**agents, "metadata": {**agents["metadata"], "generation": 2}, "spec": {"backends": "no"}})
    world.book.__init__(world.store, world.namespaces, "obs")  # type: ignore[misc]
    world.restart()  # Nobody knows its last good version.
    await world.service.once()
    assert "shop.agents.yaml" in files(world)
    assert "tracekeeper/shop/agents/team" in programs.file()


async def test_files_that_somebody_changes_are_put_right(both: tuple[AlertWorld, Programs]) -> None:
    world, _ = both
    world.put(alerting())
    await world.service.once()
    for name in MAPS:
        world.api.put(
            "configmaps", {"metadata": {"namespace": "monitoring", "name": name}, "data": {"x.yaml": "groups: []"}}
        )
    await world.later(901)
    assert "shop.agents.yaml" in files(world)


async def test_requests_at_rest(both: tuple[AlertWorld, Programs]) -> None:
    world, _ = both
    world.put(alerting(channels=[SLACK]))
    await world.service.once()
    await world.later(200)
    world.api.seen.clear()
    for _ in range(60):
        await world.later(60)
    # In an hour: discovery once a minute, nine files of ours four times, a base and a credential twelve times.
    assert len(world.api.seen) <= 60 + 5 * 9 + 2 * 13
    assert all(item.method == "GET" for item in world.api.seen)


async def test_a_file_is_made_once_for_each_change_of_a_config(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def watched(group: str, rules: Any) -> str:
        made.append(group)
        return rule_file(group, rules)

    monkeypatch.setattr(plain, "rule_file", watched)
    async with plain_world() as (world, _):
        world.put(alerting())
        world.put(alerting("other", "other"))
        await world.service.once()
        await world.later()
        await world.later()
        ours = [group for group in made if group != OPERATOR]
        assert sorted(ours) == ["tracekeeper/other/other", "tracekeeper/shop/agents"]
        changed = alerting(generation=2, rules=[{"name": "Other", "condition": "error_rate > 0.5"}])
        world.put(changed)
        await world.later()
        assert [group for group in made if group != OPERATOR][2:] == ["tracekeeper/shop/agents"]
        maps = [item.get("data", {}) for (kind, _, name), item in world.api.objects.items() if name in MAPS]
        assert any("alert: Other" in data.get("shop.agents.yaml", "") for data in maps)


async def test_what_may_not_be_read_is_not_said_to_be_missing() -> None:
    async with plain_world() as (world, _):
        world.api.put("secrets", secret("slack", url="https://hooks.slack.example/x"))
        world.api.fail("GET", "/namespaces/shop/secrets/slack", 403)
        item = world.put(alerting(channels=[SLACK]))
        await world.service.once()
        found = world.condition(item)
        assert found is not None and "the operator may not read Secret 'slack'" in found.message, found
        assert "rbac.secretNamespaces" in found.message and "create it" not in found.message
