"""`tracekeeper budget` against the real control server over TLS."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from budget_world import BudgetWorld, budget_world
from screen import Screen
from tracekeeper_cli.__main__ import main

Run = Callable[..., Awaitable[tuple[int, str, str]]]


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[BudgetWorld]:
    async with budget_world(tmp_path) as world:
        monkeypatch.setenv("KUBECONFIG", world.kubeconfig())
        world.api.put(
            "configmaps",
            {
                "metadata": {"name": "tracekeeper-ca", "namespace": "tracekeeper-system"},
                "data": {"ca.crt": (tmp_path / "ca.crt").read_text(), "endpoint": "localhost:9444"},
            },
        )
        yield world


@pytest.fixture
def run(world: BudgetWorld, screen: Screen) -> Run:
    async def command(*more: str, config: str = "agents") -> tuple[int, str, str]:
        where = [f"--server=localhost:{world.world.server.port}"]
        status = await asyncio.to_thread(main, ["budget", more[0], config, *where, *more[1:]])
        return status, *screen.read()

    return command


async def test_status_shows_all_budgets_and_what_is_not_known(world: BudgetWorld, run: Run) -> None:
    world.spend(world.row(0.25), world.row(0.5, user="bob", unpriced=3))
    status, out, err = await run("status")
    assert status == 0, err
    head, daily, users, *notes = out.splitlines()
    assert head.split() == ["BUDGET", "NAMESPACE", "STATE", "ALLOWED", "SPENT", "LIMIT", "FORECAST", "PERIOD", "ENDS"]
    assert daily.split()[:7] == ["daily", "shop", "Ok", "yes", "0.75", "10.00", "USD"]
    assert users.split()[:8] == ["users", "shop", "Ok", "yes", "0.75", "1.00", "USD", "each"]
    assert any("daily: without 3 calls of models whose price is not known" in note for note in notes)
    status, out, _ = await run("status", "--budget=daily")
    assert "LAST" in out and "7.5%" in out
    world.spend(world.row(0.75, user="bo\x1b[2Jb"))
    world.spend(world.row(0.5, user="bob"))
    status, out, _ = await run("status", "--budget=users")
    assert status == 1 and "USER" in out and "\x1b" not in out
    assert [line.split()[-2:] for line in out.splitlines() if line.startswith("bob")] == [["Exceeded", "NO"]]
    status, out, _ = await run("status", "-o", "json")
    assert [each["name"] for each in json.loads(out)["budgets"]] == ["daily", "users"]


async def test_top_shows_the_dearest(world: BudgetWorld, run: Run) -> None:
    world.spend(world.row(0.25), world.row(0.5, user="bob"), world.row(0.1, user=""))
    status, out, err = await run("top", "--budget=daily", "--by=user", "--count=2")
    assert status == 0, err
    assert [line.split() for line in out.splitlines()[1:]] == [["USER", "SPENT"], ["bob", "0.50"], ["ann", "0.25"]]
    assert out.startswith("0.85 USD were spent of daily since ")
    world.spend(world.row(0.125, environment="staging"))
    status, out, err = await run("top", "--budget=daily", "--by=environment")
    assert status == 0, err
    assert ["staging", "0.125"] in [line.split() for line in out.splitlines()]
    status, _, err = await run("top")
    assert status == 1 and "say which one with --budget" in err
    del world.budgets[1]
    status, out, _ = await run("top", "--by=conversation")
    assert status == 0 and "nothing is known by conversation" in out
    assert (await run("top", "--count=0"))[0] == 2


async def test_who_may_not_is_told_so(world: BudgetWorld, run: Run) -> None:
    world.api.may = lambda asked: False
    status, _, err = await run("status")
    assert status == 1 and "may not create tracingconfigs/budget" in err
    status, _, err = await run("status", "--budget=none")
    assert status == 1
