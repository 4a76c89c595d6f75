"""Sidecars that were not heard of, and thresholds that people are told of once."""

from __future__ import annotations

from control_objects import StoodClock, config
from tracekeeper_operator.budgets.account import Row
from tracekeeper_operator.budgets.book import Book
from tracekeeper_operator.budgets.notices import Notices
from tracekeeper_operator.budgets.shard import SHARDS, Told, decode, encode
from tracekeeper_operator.budgets.silence import SILENT_AFTER, Silence
from tracekeeper_operator.budgets.standing import Standing
from tracekeeper_operator.budgets.telling import BudgetTeller
from tracekeeper_operator.control.facts import ConfigFacts
from tracekeeper_operator.events import Notice
from tracekeeper_operator.pods.facts import PodFacts, read
from tracekeeper_operator.store import Store
from tracekeeper_spec.budget import Budget, GroupBy, Limit

DAILY = Budget("daily", limit=Limit("10"))
USERS = Budget("users", limit=Limit("10"), group_by=(GroupBy.USER,), shared=True)
CONFIG = "shop/agents"


def pod(uid: str, *, deleted: bool = False) -> PodFacts:
    meta = {"name": uid, "namespace": "shop", "uid": uid}
    return read({"metadata": {**meta, "deletionTimestamp": "2026-11-22T12:00:00Z"} if deleted else meta})


class World:
    def __init__(self, *budgets: Budget) -> None:
        self.clock = StoodClock()
        self.budgets = budgets or (DAILY,)
        self.pods: list[PodFacts] = []
        self.attached: dict[str, object] = {}
        self.silence = Silence(lambda: self.pods, lambda: self.attached, lambda pod: "uid", self.find, self.clock)
        self.notices: list[Notice] = []
        self.store = Store()
        self.store.put(config())
        self.number = 0
        self.begin()

    def begin(self) -> None:
        """A controller that knows nothing yet."""
        self.book = Book(lambda: {CONFIG: self.budgets}, self.clock, self.silence.count)
        self.book.open.update(range(SHARDS))
        notices = Notices(self.book, self.store.get, self.notices.append)
        self.teller = BudgetTeller(self.book, self.clock, lambda namespace: None, notices.look)

    def find(self, uid: str, namespace: str) -> ConfigFacts | None:
        return ConfigFacts(uid, "shop", "agents", None, budgets=self.budgets, budgets_from=CONFIG)

    def spend(self, dollars: int) -> None:
        self.number += 1
        rows = [Row(int(self.clock.now() // 900), "a", "m", "ann@example.com", "", dollars * 10**9, 1, 0)]
        told = Told("shop", "ab" * 16, self.number, self.number - 1, rows, [], 0)
        self.book.take(told, CONFIG, self.budgets)

    def standing(self) -> Standing:
        found = self.book.standing(CONFIG, self.budgets[0], "shop")
        assert found is not None
        return found


def test_a_budget_is_incomplete_while_a_sidecar_is_not_heard_of_and_its_pod_lives() -> None:
    world = World()
    world.pods = [pod("a"), pod("b"), pod("c", deleted=True)]
    world.attached = {"a": None}
    world.silence.look()
    world.clock.mono += SILENT_AFTER
    world.silence.look()
    assert world.standing().complete
    world.clock.mono += 1
    world.silence.look()
    assert not world.standing().complete
    assert "1 pods have spent whose sidecars were not heard of" in world.standing().words()
    world.attached["b"] = None
    world.silence.look()
    assert world.standing().complete
    del world.attached["b"]
    world.silence.look()
    assert world.standing().complete
    world.clock.mono += SILENT_AFTER + 1
    world.silence.look()
    assert not world.standing().complete
    world.pods.pop(1)
    world.silence.look()
    assert world.standing().complete


async def test_an_event_tells_of_a_threshold_once_in_a_period() -> None:
    world = World()

    async def told() -> list[str]:
        await world.teller.look()
        await world.teller.look()
        found, world.notices[:] = [each.message for each in world.notices], []
        return found

    world.spend(7)
    assert await told() == []
    world.spend(1)
    (first,) = await told()
    assert first == "budget daily has reached 75 %: 8.00 of 10.00 USD are spent in this day"
    world.spend(3)
    (second,) = await told()
    assert "reached 100 %" in second
    saved = [decode(encode(shard.snapshot("leader"))) for shard in world.book.shards]
    world.begin()
    for shard, document in zip(world.book.shards, saved, strict=True):
        shard.load(document)
    assert await told() == []
    world.clock.wall += 86_400
    world.spend(8)
    assert len(await told()) == 1


async def test_the_event_is_on_the_config_and_names_no_user() -> None:
    world = World(USERS)
    world.spend(9)
    await world.teller.look()
    (notice,) = world.notices
    assert (notice.owner.kind, notice.owner.namespace, notice.owner.name) == ("TracingConfig", "shop", "agents")
    assert notice.owner.uid and notice.warning and notice.reason == "BudgetThresholdReached"
    assert "90 %" in notice.message and "by one user" in notice.message and "ann" not in notice.message
