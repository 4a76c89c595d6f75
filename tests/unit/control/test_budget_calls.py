"""The service `Budgets`: what pods and people are told, and what they are not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from budget_world import DENY, BudgetWorld, budget_world
from tracekeeper_operator.budgets.gauges import Gauges
from tracekeeper_operator.budgets.telling import member
from tracekeeper_proto.budget.v1.budget_pb2 import (
    DecideRequest,
    Decision,
    StatusReply,
    StatusRequest,
    TopReply,
    TopRequest,
)
from tracekeeper_spec.budget import Budget, GroupBy, Limit
from tracekeeper_spec.budget import Decision as Decided

POD = "shop/a"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[BudgetWorld]:
    async with budget_world(tmp_path) as world:
        yield world


async def decide(world: BudgetWorld, token: str = POD, **fields: str) -> Decision:
    return await world.ask("Decide", DecideRequest(config="agents", **{"budget": "daily", **fields}), Decision, token)


async def test_pods_are_told_whether_one_more_call_may_be_made(world: BudgetWorld) -> None:
    world.spend(world.row(7.5))
    told = await decide(world)
    assert (told.spent, told.limit, told.currency, told.state, told.allowed) == (
        "7.50",
        "10.00",
        "USD",
        "Warning",
        True,
    )
    assert told.complete and told.period_ends > told.as_of
    world.spend(world.row(2.5))
    told = await decide(world)
    assert (told.state, told.allowed) == ("Exceeded", False)
    assert told.reason == "10.00 of 10.00 USD are spent in this day"


async def test_a_grouped_budget_is_asked_for_by_its_groups(world: BudgetWorld) -> None:
    world.spend(world.row(1, user="bob"), world.row(0.2))
    assert not (await decide(world, budget="users", user="bob")).allowed
    assert (await decide(world, budget="users", user="ann")).allowed
    told = await decide(world, budget="users", user="nobody")
    assert (told.allowed, told.spent) == (True, "0.00")
    asked = DecideRequest(config="agents", budget="users")
    code, details = await world.refused("Decide", asked, Decision, POD)
    assert code is grpc.StatusCode.INVALID_ARGUMENT and details.startswith("user: ")


async def test_a_budget_for_each_environment_is_asked_for_and_ranked_by_environment(world: BudgetWorld) -> None:
    groups = (GroupBy.ENVIRONMENT, GroupBy.PROJECT)
    world.budgets.append(Budget("stages", limit=Limit("1"), group_by=groups, thresholds=DENY))
    world.spend(
        world.row(0.75, environment="production", project="p", user="ann"),
        world.row(0.5, environment="production", project="p", user="bob"),
        world.row(0.9, environment="production", project="q"),
        world.row(0.25, environment="staging", project="p"),
        world.row(0.125),
    )
    told = await decide(world, budget="stages", environment="production", project="p")
    assert (told.spent, told.allowed) == ("1.25", False)
    assert (await decide(world, budget="stages", environment="production", project="q")).allowed
    assert (await decide(world, budget="stages", environment="staging", project="p")).spent == "0.25"
    asked = DecideRequest(config="agents", budget="stages", project="p")
    code, details = await world.refused("Decide", asked, Decision, POD)
    assert code is grpc.StatusCode.INVALID_ARGUMENT and details.startswith("environment: ")
    found = await world.ask("Status", StatusRequest(namespace="shop", config="agents"), StatusReply)
    stages = next(each for each in found.budgets if each.name == "stages")
    assert {tuple(key.values): key.spent for key in stages.keys} == {
        ("production", "p"): "1.25",
        ("production", "q"): "0.90",
        ("staging", "p"): "0.25",
        ("", ""): "0.125",
    }
    top = await world.ask(
        "Top", TopRequest(namespace="shop", config="agents", budget="daily", by="Environment"), TopReply
    )
    assert [(key.values[0], key.spent) for key in top.keys][:2] == [("production", "2.15"), ("staging", "0.25")]


async def test_pods_ask_about_what_applies_to_them(world: BudgetWorld) -> None:
    world.spend(world.row(3))
    assert (await decide(world, "guest/b", namespace="shop")).spent == "0.00"
    for token, fields in (("other/c", {"namespace": "shop"}), ("guest/b", {}), (POD, {"budget": "none"})):
        asked = DecideRequest(config="agents", **{"budget": "daily", **fields})
        assert (await world.refused("Decide", asked, Decision, token))[0] is grpc.StatusCode.NOT_FOUND


async def test_people_need_the_right(world: BudgetWorld) -> None:
    world.spend(world.row(3))
    assert (await decide(world, "t0ken", namespace="shop")).spent == "3.00"
    world.api.may = lambda asked: False
    for name, asked, told in (
        ("Decide", DecideRequest(namespace="shop", config="agents", budget="daily"), Decision),
        ("Status", StatusRequest(namespace="shop", config="agents"), StatusReply),
        ("Top", TopRequest(namespace="shop", config="agents", budget="daily", by="User"), TopReply),
    ):
        assert (await world.refused(name, asked, told, "t0ken"))[0] is grpc.StatusCode.PERMISSION_DENIED
        assert (await world.refused(name, asked, told, "who"))[0] is grpc.StatusCode.UNAUTHENTICATED
    assert {
        seen.body["spec"]["resourceAttributes"]["subresource"]
        for seen in world.api.requests("POST", "/subjectaccessreviews")
    } == {"budget"}


@pytest.mark.parametrize("unknown", list(Decided))
async def test_what_is_not_known_is_answered_as_the_budget_says(tmp_path: Path, unknown: Decided) -> None:
    async with budget_world(tmp_path, read=False) as world:
        world.budgets[0] = Budget("daily", unknown=unknown)
        told = await decide(world)
        assert (told.state, told.allowed, told.complete) == ("Unknown", unknown is Decided.ALLOW, False)


async def test_the_status_has_all_namespaces_where_the_budget_was_written(world: BudgetWorld) -> None:
    world.spend(world.row(3), world.row(1, unpriced=2))
    world.spend(world.row(0.5), namespace="guest", log="1" * 32, missed=7)
    found = await world.ask("Status", StatusRequest(namespace="shop", config="agents"), StatusReply)
    assert [(each.name, each.namespace, each.spent) for each in found.budgets] == [
        ("daily", "guest", "0.50"),
        ("daily", "shop", "4.00"),
        ("users", "guest", "0.50"),
        ("users", "shop", "4.00"),
    ]
    guest, shop, _, users = found.budgets
    assert shop.burn["5m"] == pytest.approx(0.4) and shop.tokens == 200 and not users.burn
    assert "2 calls of models whose price is not known" in shop.incomplete and "7 spans" in guest.incomplete
    assert float(shop.forecast) >= 4.0
    assert [(list(key.values), key.spent, key.allowed) for key in users.keys] == [(["ann"], "4.00", False)]


async def test_the_dearest_are_known_by_whatever_one_asks(world: BudgetWorld) -> None:
    world.spend(*(world.row(index / 10, user=f"u{index}", agent="a" if index % 2 else "b") for index in range(1, 30)))
    asked = TopRequest(namespace="shop", config="agents", budget="daily", by="User", count=3)
    found = await world.ask("Top", asked, TopReply)
    assert [(key.values[0], key.spent) for key in found.keys] == [("u29", "2.90"), ("u28", "2.80"), ("u27", "2.70")]
    asked.by = "Agent"
    assert [key.values[0] for key in (await world.ask("Top", asked, TopReply)).keys] == ["a", "b"]
    asked.by = "Colour"
    assert (await world.refused("Top", asked, TopReply))[0] is grpc.StatusCode.INVALID_ARGUMENT


async def test_metrics_have_few_keys_and_no_users(world: BudgetWorld) -> None:
    world.budgets.append(Budget("agents", limit=Limit("5"), group_by=(GroupBy.AGENT,)))
    world.spend(*(world.row(1 + index / 100, agent=f"a{index}", user=f"u{index}") for index in range(80)))
    world.spend(world.row(1), namespace="guest", log="1" * 32)
    await Gauges(world.book, world.world.clock, world.world.metrics).refresh()
    text = world.world.metrics.render().decode()
    assert 'user="' not in text and "u79" not in text
    assert world.world.metric("tracekeeper_budget_limit_dollars", config="shop/agents", budget="users", key="") == 1.0
    most = {"config": "shop/agents", "budget": "users", "key": ""}
    assert world.world.metric("tracekeeper_budget_spent_dollars", **most) == pytest.approx(1.79)
    lines = [each for each in text.splitlines() if each.startswith('tracekeeper_budget_spent_dollars{budget="agents"')]
    assert (
        len(lines) == 52
        and any('key="other"' in each for each in lines)
        and any('"guest/planner"' in each for each in lines)
    )
    state = {"config": "shop/agents", "budget": "daily", "key": "", "state": "Exceeded"}
    assert world.world.metric("tracekeeper_budget_state", **state) == 1.0
    burn = {"config": "shop/agents", "budget": "daily", "key": "guest", "window": "1h"}
    assert world.world.metric("tracekeeper_budget_burn_ratio", **burn) == pytest.approx(0.1)


async def test_statuses_say_amounts_as_text(world: BudgetWorld) -> None:
    world.spend(world.row(0.000000125))
    standing = world.book.standing("shop/agents", world.budgets[0], "shop")
    assert standing is not None
    said = member(standing)
    assert (said["spent"], said["limit"], said["state"], said["allowed"]) == ("0.000000125", "10.00", "Ok", True)
    assert said["periodEnds"].endswith("Z") and "before it was counted" in said["message"]
