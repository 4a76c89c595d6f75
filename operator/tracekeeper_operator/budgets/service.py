"""The pieces of budgets, put together for the controller."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any

from tracekeeper_spec.budget import Budget

from ..book import Book as Configs
from ..clock import Clock
from ..control.gate import Gate
from ..control.index import ConfigIndex
from ..control.persons import Persons
from ..control.service import ControlService
from ..events import Notice
from ..kube import Kube
from ..metrics import ControllerMetrics
from ..pods.facts import PodFacts
from ..store import Store
from .book import Book
from .calls import BudgetCalls
from .checkpoint import Checkpoints
from .gauges import Gauges
from .notices import Notices
from .silence import Silence
from .statements import Statements
from .telling import BudgetTeller


class BudgetService:
    """There is none without a control stream: nobody would state what was spent."""

    def __init__(
        self,
        kube: Kube,
        namespace: str,
        leader: str,
        control: ControlService,
        index: ConfigIndex,
        configs: Configs,
        store: Store,
        clock: Clock,
        metrics: ControllerMetrics,
        on_news: Callable[[str], None],
        notify: Callable[[Notice], None],
        pods: Callable[[], Iterable[PodFacts]],
        config_of: Callable[[PodFacts], str],
    ) -> None:
        """`namespace` is the operator's own, `leader` the name under which this process leads. `pods` and `config_of`
        are as `Silence` wants them.
        """
        self._silence = Silence(pods, control.sidecars.pods, config_of, index.find, clock)
        self.book = Book(Written(configs, store), clock, self._silence.count)
        self._checkpoints = Checkpoints(kube, namespace, leader, self.book, clock, lambda index: self._stored(index))
        self._statements = Statements(self.book, control.sidecars, index.find, self._checkpoints.hurry, clock, metrics)
        self.teller = BudgetTeller(self.book, clock, on_news, Notices(self.book, store.get, notify).look)
        self._gauges = Gauges(self.book, clock, metrics)
        calls = BudgetCalls(Gate(Persons(kube), store.get), control.verify, store.get, index.find, self.book, clock)
        control.sidecars.add(calls.handler())

    def tasks(self) -> dict[str, Coroutine[Any, Any, None]]:
        """To be run together, each until cancelled. The first raises LeadLost."""
        return {
            "budgets": self._checkpoints.run(),
            "budget-states": self._statements.run(),
            "budget-statuses": self.teller.run(),
            "budget-silence": self._silence.run(),
            "budget-metrics": self._gauges.run(),
        }

    def _stored(self, index: int) -> None:
        self._statements.stored(index)


class Written:
    """The budgets that configs in force wrote, remembered until something changes."""

    def __init__(self, configs: Configs, store: Store) -> None:
        self._configs, self._store = configs, store
        self._version = -1
        self._found: dict[str, Sequence[Budget]] = {}

    def __call__(self) -> Mapping[str, Sequence[Budget]]:
        if self._version != self._configs.version:
            self._found = {
                f"{config.namespace}/{config.name}": config.spec.budgets
                for namespace in self._store.namespaces()
                for config in self._configs.of(namespace)
                if config.spec.budgets
            }
            self._version = self._configs.version
        return self._found
