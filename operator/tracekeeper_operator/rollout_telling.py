"""What is said of rollouts: in the status of each TracingConfig with a section `rollout`, and by Events on it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from prometheus_client import Gauge

from . import names
from .clock import Clock, timestamp
from .events import Notice, Owner
from .plan import Assessed, Plan
from .rollout import Phase, State, Why
from .status import Condition, Reason
from .store import Store
from .teller import Section
from .trials import WORST_FIRST

MAX_SPEC = 64 * 1024
"""Bytes of a spec that is kept for going back to."""
REASONS = {
    Phase.PROGRESSING: (Reason.ROLLOUT_PROGRESSING, "Unknown"),
    Phase.HALTED: (Reason.ROLLOUT_HALTED, "False"),
    Phase.COMPLETE: (Reason.ROLLOUT_COMPLETE, "True"),
}
EVENTS = {Phase.PROGRESSING: "RolloutStarted", Phase.HALTED: "RolloutHalted", Phase.COMPLETE: "RolloutComplete"}


class RolloutTeller:
    """A source of statuses: see `teller`. A config may be rolled out in several namespaces, in each for itself."""

    conditions: tuple[str, ...] = ("RolledOut",)
    members: tuple[str, ...] = ("rollout",)

    def __init__(
        self,
        store: Store,
        clock: Clock,
        retell: Callable[[str], None],
        notify: Callable[[Notice], None],
        gauge: Gauge,
    ) -> None:
        """`gauge` has the label `phase`."""
        self._store, self._clock, self._retell, self._notify, self._gauge = store, clock, retell, notify, gauge
        self._states: dict[str, dict[str, State]] = {}
        """By the config's UID, then by namespace of the pods."""
        self._in: dict[str, frozenset[str]] = {}
        """UIDs that are known of a namespace."""

    def planned(self, plan: Plan) -> None:
        """How the rollouts in a namespace stand now."""
        namespace = plan.namespace
        for uid in self._in.pop(namespace, frozenset()) - plan.rollouts.keys():
            self._states[uid].pop(namespace, None)
            if not self._states[uid]:
                del self._states[uid]
        if plan.rollouts:
            self._in[namespace] = frozenset(plan.rollouts)
        for uid, state in plan.rollouts.items():
            known = self._states.setdefault(uid, {})
            before, known[namespace] = known.get(namespace), state
            if state.news and (before is None or before.phase is not state.phase or before.digest != state.digest):
                self._tell_event(uid, namespace, plan, state)
            if before != state:
                self._tell_owner(uid, plan)
        worst = Counter(_worst(known)[1].phase for known in self._states.values())
        for phase in Phase:
            self._gauge.labels(str(phase)).set(worst[phase])

    def say(self, item: Assessed, plan: Plan) -> Section | None:
        """Nothing of a config without a section `rollout`."""
        states = self._states.get(item.uid)
        if not states:
            return Section()
        own = states.get(plan.namespace)
        namespace, worst = _worst(states)
        others = f" (in namespace {namespace})" if namespace != plan.namespace else ""
        reason, status = REASONS[worst.phase]
        body = self._body(item, states, worst, own)
        text = f"{_headline(worst)}{others}: {body['message']}"
        return Section((Condition("RolledOut", status, reason, text),), {"rollout": body})

    def _body(self, item: Assessed, states: Mapping[str, State], worst: State, own: State | None) -> dict[str, Any]:
        present = _mapping(_mapping(item.manifest.get("status")).get("rollout"))
        same = (present.get("phase"), present.get("digest")) == (str(worst.phase), worst.digest)
        since = timestamp(worst.since or self._clock.now())
        still = same and worst.why is Why.UNCHANGED and "message" in present  # How it came there stays to be seen.
        body: dict[str, Any] = {
            "phase": str(worst.phase),
            "reason": str(present["reason"]) if still else str(worst.why),
            "message": str(present["message"]) if still else worst.message,
            "digest": worst.digest,
            "generation": worst.generation,
            "effective": worst.effective,
            "since": str(present["since"]) if same and not worst.news and "since" in present else since,
        }
        if worst.phase is Phase.PROGRESSING:
            body["canaries"] = sum(state.canaries for state in states.values())
            body["ready"] = sum(state.ready for state in states.values())
        previous = self._previous(item, own, present)
        return {**body, "previous": previous} if previous else body

    def _previous(self, item: Assessed, own: State | None, present: Mapping[str, Any]) -> dict[str, Any] | None:
        """What `rollout undo` goes back to: as long as nothing is known to be in effect that was not before, what it
        said last.
        """
        before = own.previous if own is not None else None
        if before is None or own is None:
            kept = present.get("previous")
            taken_back = isinstance(kept, dict) and kept.get("spec") == item.manifest.get("spec")
            return kept if isinstance(kept, dict) and not taken_back else None
        config = before.own()
        if config is None:
            return None
        # Of what is enforced the document has only what the root namespace says.
        written = _mapping(item.manifest.get("spec"))
        spec = dict(config.written) | {name: written[name] for name in own.fixed if name in written}
        body: dict[str, Any] = {"generation": before.generation}
        return {**body, "spec": spec} if len(json.dumps(spec)) <= MAX_SPEC else body

    def _tell_event(self, uid: str, namespace: str, plan: Plan, state: State) -> None:
        found = self._place(uid, plan)
        if found is None:
            return
        owner = Owner(f"{names.GROUP}/{names.VERSION}", names.KIND, *found, uid)
        where = f" in namespace {namespace}" if namespace != found[0] else ""
        text = f"{_headline(state)}{where}: {state.message}"
        self._notify(Notice(owner, EVENTS[state.phase], text, state.phase is Phase.HALTED))

    def _tell_owner(self, uid: str, plan: Plan) -> None:
        """The round of a namespace tells of its own configs only."""
        found = self._place(uid, plan)
        if found is not None and found[0] != plan.namespace:
            self._retell(found[0])

    def _place(self, uid: str, plan: Plan) -> tuple[str, str] | None:
        """Namespace and name of the config with that UID, of which there is an entry in the plan."""
        for entry in (*plan.document.configs, *plan.document.named):
            if entry.uid == uid and self._store.get(entry.namespace, entry.name) is not None:
                return entry.namespace, entry.name
        return None


def _worst(states: Mapping[str, State]) -> tuple[str, State]:
    """The namespace in which it is worst, and how it is there."""
    return min(states.items(), key=lambda each: (WORST_FIRST.index(each[1].phase), each[0]))


def _headline(state: State) -> str:
    match state.phase:
        case Phase.PROGRESSING:
            return f"generation {state.generation} is tried, generation {state.effective} is in effect for all others"
        case Phase.HALTED:
            return f"generation {state.generation} was taken back, generation {state.effective} is in effect"
        case Phase.COMPLETE:
            return f"generation {state.generation} is in effect"


def _mapping(found: Any) -> Mapping[str, Any]:
    return found if isinstance(found, Mapping) else {}
