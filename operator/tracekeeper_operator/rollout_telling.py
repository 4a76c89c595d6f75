"""What is said of rollouts: in the status of each TracingConfig with a section `rollout`, and by Events on it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
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
KEPT_FOR = 24 * 3600.0
"""Seconds for which that is kept once the next one is in effect: somebody may have taken a credential out of it."""
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
        self._phases: dict[str, Counter[Phase]] = {}
        """By the config's UID, in how many namespaces it is where."""
        self._total: Counter[Phase] = Counter()
        """Configs, each by its worst phase."""
        self._in: dict[str, frozenset[str]] = {}
        """UIDs that are known of a namespace."""

    def planned(self, plan: Plan) -> None:
        """How the rollouts in a namespace stand now."""
        namespace = plan.namespace
        for uid in self._in.pop(namespace, frozenset()) - plan.rollouts.keys():
            self._note(uid, namespace, None)
        if plan.rollouts:
            self._in[namespace] = frozenset(plan.rollouts)
        for uid, state in plan.rollouts.items():
            before = self._note(uid, namespace, state)
            if state.news and (before is None or before.phase is not state.phase or before.digest != state.digest):
                self._tell_event(uid, namespace, plan, state)
            if before != state:
                self._tell_owner(uid, plan)
        for phase in Phase:
            self._gauge.labels(str(phase)).set(self._total[phase])

    def _note(self, uid: str, namespace: str, state: State | None) -> State | None:
        """Know it, and count; what was known before. One config may be in each of thousands of namespaces."""
        known, phases = self._states.setdefault(uid, {}), self._phases.setdefault(uid, Counter())
        worst_before = _worst_of(phases)
        before = known.pop(namespace, None)
        if before is not None:
            phases[before.phase] -= 1
        if state is not None:
            known[namespace] = state
            phases[state.phase] += 1
        elif not known:
            del self._states[uid], self._phases[uid]
        worst = _worst_of(phases)
        if worst_before is not None:
            self._total[worst_before] -= 1
        if worst is not None:
            self._total[worst] += 1
        return before

    def say(self, item: Assessed, plan: Plan) -> Section | None:
        """Nothing of a config without a section `rollout`."""
        states = self._states.get(item.uid)
        if not states:
            return Section()
        own = states.get(plan.namespace)
        newest = item.config.generation if item.config is not None else 0
        namespace, worst = _worst(states, newest)
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
            trying = [state for state in states.values() if state.generation >= worst.generation]
            body["canaries"] = sum(state.canaries for state in trying)
            body["ready"] = sum(state.ready for state in trying)
        elif worst.phase is Phase.COMPLETE and self._is_long_ago(body["since"]):
            return body
        previous = self._previous(item, own, present)
        return {**body, "previous": previous} if previous else body

    def _is_long_ago(self, since: str) -> bool:
        try:
            return self._clock.now() - datetime.fromisoformat(since).timestamp() > KEPT_FOR
        except ValueError:
            return True

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


def _worst_of(phases: Mapping[Phase, int]) -> Phase | None:
    return next((phase for phase in WORST_FIRST if phases.get(phase, 0) > 0), None)


def _worst(states: Mapping[str, State], newest: int) -> tuple[str, State]:
    """The namespace in which it is worst, and how it is there; `newest` is the config's generation. Where nobody has
    seen that yet, nothing is complete, nor halted for good.
    """

    def rank(each: tuple[str, State]) -> tuple[int, bool, str]:
        namespace, state = each
        behind = state.generation < newest
        return WORST_FIRST.index(Phase.PROGRESSING if behind else state.phase), behind, namespace

    namespace, state = min(states.items(), key=rank)
    if state.generation >= newest:
        return namespace, state
    text = f"it has not come to namespace {namespace} yet, which takes some seconds; if it stays so, the controller's"
    text += " log says why"
    return namespace, replace(
        state, phase=Phase.PROGRESSING, why=Why.BEHIND, message=text, generation=newest, since=0, news=False
    )


def _headline(state: State) -> str:
    match state.phase:
        case Phase.PROGRESSING if state.why is Why.BEHIND:
            return f"generation {state.generation} comes to the pods, generation {state.effective} is in effect"
        case Phase.PROGRESSING:
            return f"generation {state.generation} is tried, generation {state.effective} is in effect for all others"
        case Phase.HALTED:
            return f"generation {state.generation} was taken back, generation {state.effective} is in effect"
        case Phase.COMPLETE:
            return f"generation {state.generation} is in effect"


def _mapping(found: Any) -> Mapping[str, Any]:
    return found if isinstance(found, Mapping) else {}
