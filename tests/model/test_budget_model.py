"""Budgets against a model: pods come, are killed, go for good, repeat and reorder what they state; controllers crash
before, within and after a checkpoint; two of them lead at once; time goes over the ends of days, weeks and months, and
over nights in which clocks are changed.

What is spent of a budget is the sum of what pods have acknowledged, to the billionth of a dollar; less at most what
pods had not been told is stored when they went for good.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tracekeeper_operator.budgets.account import AccountKey, Row, Talk
from tracekeeper_operator.budgets.book import Book
from tracekeeper_operator.budgets.shard import SHARDS, Taken, Told, decode, encode, shard_of
from tracekeeper_sidecar.meter.spend import Spend, Statement
from tracekeeper_spec.budget import Budget, GroupBy, Limit, Period

CONFIG = "shop/agents"
BUDGETS = (
    Budget("day", Period.DAY, "Europe/Berlin", Limit("10")),
    Budget("week", Period.WEEK, "Asia/Kathmandu", Limit("50"), group_by=(GroupBy.AGENT,)),
    Budget("month", Period.MONTH, "America/New_York", Limit("100"), shared=True),
)
NAMESPACES = ("shop", "kitchen", "cellar")
STARTS = [
    datetime(2026, 3, 28, 20, tzinfo=ZoneInfo("Europe/Berlin")),  # Clocks are put forward in the night.
    datetime(2026, 10, 24, 22, tzinfo=ZoneInfo("Europe/Berlin")),  # And back.
    datetime(2026, 2, 28, 21, tzinfo=ZoneInfo("America/New_York")),  # The month ends.
    datetime(2026, 11, 1, 0, 30, tzinfo=ZoneInfo("America/New_York")),  # The hour that comes twice.
]
STALEST = 18 * 3600.0
"""Seconds after which a pod states what it has, in this world: a day after its end, a period is closed."""

WHICH = st.integers(0, 5)
CALLS = st.lists(
    st.tuples(st.integers(0, 3 * 3600), st.sampled_from(["planner", "writer", ""]), st.integers(1, 10**9)),
    min_size=1,
    max_size=5,
)


class WallClock:
    """Stands until it is moved."""

    def __init__(self, at: float) -> None:
        self.at = at

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at


@dataclass(frozen=True)
class Call:
    """Of a model, as a pod's log has it."""

    at: float
    agent: str
    nano: int


@dataclass
class Pod:
    """Its log is on disk, and so is what the meter has saved; the rest is memory."""

    namespace: str
    spend: Spend
    log: list[Call] = field(default_factory=list)
    place: int = 0
    """Up to which calls are noted."""
    saved: bytes | None = None
    saved_place: int = 0

    def read_on(self) -> None:
        for call in self.log[self.place :]:
            self.spend.note(call.at, call.agent, "model", "user", "", "talk", call.nano, 1, 0)
        self.place = len(self.log)

    def checkpoint(self, *, last: bool = False) -> None:
        self.saved, self.saved_place = self.spend.dump(last=last), self.place
        self.spend.written()


@dataclass
class Stored:
    """What the API server keeps of a shard."""

    data: bytes
    version: int


@dataclass
class Leader:
    name: str
    book: Book
    versions: dict[int, int]
    """Of the shards as this one has read or written them."""
    written: dict[int, int] = field(default_factory=dict)


def label(budget: Budget, at: float) -> object:
    """The period by the calendar alone, another way than the product's."""
    local = datetime.fromtimestamp(at, ZoneInfo(budget.time_zone))
    if budget.period is Period.DAY:
        return local.date()
    return local.isocalendar()[:2] if budget.period is Period.WEEK else (local.year, local.month)


class Budgets(RuleBasedStateMachine):
    @initialize(start=st.sampled_from(STARTS))
    def begin(self, start: datetime) -> None:
        self.clock = WallClock(start.timestamp())
        self.store: dict[int, Stored] = {}
        self.pods: list[Pod] = []
        self.count = 0
        self.truth: Counter[tuple[str, object, str]] = Counter()
        """What was acknowledged, by budget, period and namespace."""
        self.at_risk: Counter[tuple[str, object, str]] = Counter()
        """Of that, what pods that are gone had not been told is stored."""
        self.leader = self.lead("0")
        self.older: Leader | None = None
        for namespace in NAMESPACES:
            self.come(namespace)

    def lead(self, name: str) -> Leader:
        book = Book(lambda: {CONFIG: BUDGETS}, self.clock)
        versions = {}
        for index in range(SHARDS):
            stored = self.store.get(index)
            versions[index] = stored.version if stored else 0
            if stored is not None:
                book.shards[index].load(decode(stored.data))
            book.open.add(index)
        leader = Leader(name, book, versions)
        for index in list(self.store):
            assert self.save(leader, index)  # Under its own name at once.
        return leader

    def save(self, leader: Leader, index: int, *, told: bool = True) -> bool:
        """False when somebody else has written. `told`: whether the leader lives to hear that it is written."""
        snapshot = leader.book.shards[index].snapshot(leader.name)
        stored = self.store.get(index)
        if (stored.version if stored else 0) != leader.versions[index]:
            return False
        self.store[index] = Stored(encode(snapshot), leader.versions[index] + 1)
        if told:
            leader.versions[index] += 1
            leader.written[index] = snapshot.version
            leader.book.shards[index].stored(snapshot)
        return True

    # Pods.

    @rule(namespace=st.sampled_from(NAMESPACES))
    def come(self, namespace: str) -> None:
        if len(self.pods) < 6:
            self.count += 1
            self.pods.append(Pod(namespace, Spend(f"{self.count:032x}", self.clock.now)))

    @precondition(lambda self: self.pods)
    @rule(which=WHICH, calls=CALLS, saves=st.booleans(), tells=st.booleans())
    def work(self, which: int, calls: list[tuple[int, str, int]], saves: bool, tells: bool) -> None:
        """Calls of models end, some time ago."""
        pod = self.pods[which % len(self.pods)]
        for ago, agent, nano in calls:
            call = Call(self.clock.at - ago, agent, nano)
            pod.log.append(call)
            for key in self.keys(pod, call):
                self.truth[key] += nano
        pod.read_on()
        if saves:
            pod.checkpoint()
        if tells:
            self.state(self.leader, pod, answered=False)

    @precondition(lambda self: self.pods)
    @rule(which=WHICH, calls=CALLS, sealed=st.booleans())
    def kill(self, which: int, calls: list[tuple[int, str, int]], sealed: bool) -> None:
        """The container starts again on its disk, after it has told what it could. `sealed`: it was killed while it
        saved itself."""
        pod = self.pods[which % len(self.pods)]
        self.work(which, calls, saves=False, tells=False)
        if sealed:
            pod.spend.dump()
        self.state(self.leader, pod, answered=False)
        self.count += 1
        pod.spend = Spend(f"{self.count:032x}", self.clock.now)
        if pod.saved is not None:
            pod.spend.load(pod.saved)
        pod.place = pod.saved_place if pod.saved is not None else 0
        pod.read_on()

    @precondition(lambda self: self.pods)
    @rule(which=WHICH, drained=st.booleans())
    def go(self, which: int, drained: bool) -> None:
        """For good, its disk too."""
        pod = self.pods.pop(which % len(self.pods))
        if drained:
            pod.checkpoint(last=True)
            self.state(self.leader, pod, answered=False)
        # It may have been stored, or be so later; but nobody has promised it.
        for call in pod.log:
            for key in self.keys(pod, call):
                self.at_risk[key] += call.nano
        for key, nano in self.promised(pod).items():
            self.at_risk[key] -= nano

    # What is stated.

    @precondition(lambda self: self.pods)
    @rule(which=WHICH, saves=st.booleans(), answered=st.booleans(), twice=st.booleans())
    def tell(self, which: int, saves: bool, answered: bool, twice: bool) -> None:
        """To the leader; `answered`: the sidecar lives to hear what is answered."""
        pod = self.pods[which % len(self.pods)]
        if saves:
            pod.checkpoint()
        for _ in range(1 + twice):
            self.state(self.leader, pod, answered=answered)

    @precondition(lambda self: self.pods)
    @rule(which=WHICH, calls=CALLS)
    def tell_in_disorder(self, which: int, calls: list[tuple[int, str, int]]) -> None:
        """A pod that begins to end has two statements; what was on its way in an older stream comes late, the last
        first."""
        pod = self.pods[which % len(self.pods)]
        pod.checkpoint()
        self.work(which, calls, saves=False, tells=False)
        pod.checkpoint(last=True)
        first = min((each.number for each in pod.spend.statements()), default=1) - 1
        for statement in reversed(pod.spend.statements()):
            self.take(self.leader, pod, statement, first)

    @precondition(lambda self: self.pods and self.older is not None)
    @rule(which=WHICH)
    def tell_the_older(self, which: int) -> None:
        assert self.older is not None
        pod = self.pods[which % len(self.pods)]
        pod.checkpoint()
        self.state(self.older, pod, answered=True)

    def state(self, leader: Leader, pod: Pod, *, answered: bool) -> None:
        statements = pod.spend.statements()
        for statement in statements:
            taken = self.take(leader, pod, statement, statements[0].number - 1)
            stored = leader.book.is_stored(pod.namespace, statement.log_id, statement.number)
            assert stored <= (taken is not Taken.EARLY)
            if stored and answered:
                pod.spend.stored(statement.log_id, statement.number)

    def take(self, leader: Leader, pod: Pod, statement: Statement, stored: int) -> Taken:
        rows = [Row(*row) for row in statement.rows]
        talks = [Talk(each.id, each.nano) for each in statement.conversations]
        told = Told(pod.namespace, statement.log_id, statement.number, stored, rows, talks, statement.missed)
        return leader.book.take(told, CONFIG, BUDGETS)

    # Controllers.

    @rule(crashes=st.booleans(), told=st.booleans())
    def save_all(self, crashes: bool, told: bool) -> None:
        """`crashes`: and ends, maybe (`told`) before it has heard that it is saved; another one leads."""
        for index in range(SHARDS):
            assert self.save(self.leader, index, told=not crashes or told)
        if crashes:
            self.leader = self.lead(f"after-{self.count}")

    @rule(saved=st.sets(st.integers(0, SHARDS - 1)))
    def crash(self, saved: set[int]) -> None:
        """Some of it is written just before."""
        for index in saved:
            self.save(self.leader, index, told=False)
        self.leader = self.lead(f"{self.count}")

    @precondition(lambda self: self.older is None)
    @rule()
    def another_leads(self) -> None:
        """And the older one does not know it."""
        self.older, self.leader = self.leader, self.lead(f"another-{self.count}")

    @precondition(lambda self: self.older is not None)
    @rule()
    def older_saves(self) -> None:
        assert self.older is not None
        for index in list(self.store):
            assert not self.save(self.older, index), "two leaders have written"
        self.older = None

    @rule(seconds=st.integers(60, 6 * 3600))
    def wait(self, seconds: int) -> None:
        if any(pod.spend.pending and self.clock.at - pod.log[0].at > STALEST for pod in self.pods):
            self.settle()
        self.clock.at += seconds

    # What must hold.

    @rule()
    def settle(self) -> None:
        """All pods are heard, and all is saved: then the sums are exact."""
        for _ in range(4):
            for pod in self.pods:
                pod.checkpoint()
                self.state(self.leader, pod, answered=True)
            self.save_all(crashes=False, told=True)
            for pod in self.pods:
                self.state(self.leader, pod, answered=True)
        assert not any(pod.spend.pending for pod in self.pods)
        self.compare()

    def compare(self) -> None:
        """The period that is now, and those before it that are still known."""
        for budget in BUDGETS:
            for namespace in NAMESPACES:
                known = self.leader.book.standing(CONFIG, budget, namespace)
                assert known is not None
                where = list(NAMESPACES) if budget.shared else [namespace]
                self.check(budget, where, label(budget, self.clock.at), known.spent)
                if budget.groups:
                    assert sum(place.spent + place.error for place in known.keys) == known.spent
                shard = self.leader.book.shards[shard_of(namespace)]
                account = shard.accounts.get(AccountKey(CONFIG, budget.name, namespace))
                for ledger in account.ledgers.values() if account is not None else ():
                    self.check(budget, [namespace], label(budget, ledger.begins), ledger.nano)

    def check(self, budget: Budget, where: list[str], period: object, spent: int) -> None:
        truth = sum(self.truth[budget.name, period, each] for each in where)
        risk = sum(self.at_risk[budget.name, period, each] for each in where)
        assert truth - risk <= spent <= truth, (budget.name, where, period)

    def keys(self, pod: Pod, call: Call) -> list[tuple[str, object, str]]:
        return [(budget.name, label(budget, call.at), pod.namespace) for budget in BUDGETS]

    def promised(self, pod: Pod) -> Counter[tuple[str, object, str]]:
        """What of a pod's calls it knows to be stored: all but what it has stated since, or would state."""
        found: Counter[tuple[str, object, str]] = Counter()
        for call in pod.log:
            for key in self.keys(pod, call):
                found[key] += call.nano
        dumped = json.loads(pod.spend.dump(last=True))
        for quarter, _, _, _, _, nano, *_ in [*(row for each in dumped["sealed"] for row in each[0]), *dumped["rows"]]:
            for budget in BUDGETS:
                found[budget.name, label(budget, quarter * 900), pod.namespace] -= nano
        return found

    def teardown(self) -> None:
        if hasattr(self, "pods"):
            self.settle()


TestBudgets = Budgets.TestCase
TestBudgets.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
