"""What is said of the delivery of alerts, in the status of each TracingConfig that has some."""

from __future__ import annotations

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
        self.known = False
        """Whether there was a first look at everything."""

    def take(self, uid: str, condition: Condition) -> bool:
        """That is to be said of a config now; whether it is something new."""
        before = self._conditions.get(uid)
        self._conditions[uid] = condition
        return before != condition

    def keep(self, uids: set[str]) -> None:
        """Forget all others."""
        self._conditions = {uid: found for uid, found in self._conditions.items() if uid in uids}

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
