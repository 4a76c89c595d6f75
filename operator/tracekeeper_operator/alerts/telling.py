"""What is said of the delivery of alerts, in the status of each TracingConfig that has some."""

from __future__ import annotations

from collections.abc import Collection

from ..plan import Assessed, Plan
from ..status import Condition
from ..teller import Section


class RulesTeller:
    """A source of statuses: see `teller`. It answers from memory."""

    conditions: tuple[str, ...] = ("RulesLoaded",)
    members: tuple[str, ...] = ()

    def __init__(self) -> None:
        self._conditions: dict[str, Condition] = {}
        """By the config's UID."""
        self._places: dict[str, str] = {}
        """The namespace of each."""
        self.known = False
        """Whether there was a first look at everything."""

    def take(self, namespace: str, uid: str, condition: Condition) -> bool:
        """That is to be said of a config now; whether it is something new."""
        before = self._conditions.get(uid)
        self._conditions[uid], self._places[uid] = condition, namespace
        return before != condition

    def keep(self, uids: Collection[str]) -> set[str]:
        """Forget all others; the namespaces that these were in."""
        gone = self._conditions.keys() - set(uids)
        for uid in gone:
            del self._conditions[uid]
        return {self._places.pop(uid) for uid in gone}

    def status(self, uid: str) -> str:
        """What is said of a config: True, False or Unknown; empty when nothing is."""
        condition = self._conditions.get(uid)
        return condition.status if condition is not None else ""

    def count(self) -> dict[str, int]:
        """How many configs have which status."""
        found = dict.fromkeys(("True", "False", "Unknown"), 0)
        for condition in self._conditions.values():
            found[condition.status] += 1
        return found

    def say(self, item: Assessed, plan: Plan) -> Section | None:
        """Nothing of a config without alerts of its own; None while nobody has looked."""
        if not self.known:
            return None
        condition = self._conditions.get(item.uid)
        return Section((condition,)) if condition is not None else Section()
