"""How a changed policy comes to the pods where a TracingConfig has a section `rollout`: to some first. Pure.

The state is in the document that is published, so it outlives controllers: an entry is what is known to work, and its
`candidate` what some pods try (see `tracekeeper_spec.candidate`). Each round makes one step:

    changed -> candidate: the lowest places try it, one pod at least
    candidate -> halted   when one of `haltOn` is seen in those pods and not in the others
    candidate -> entry    when it has done well for `observeFor`, from when the first of them ran it
    halted -> candidate   with the next generation of the config, or when those that take part say something else

Nothing is tried where there is nobody to try it when it comes, nor what must not wait: see `hold`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from tracekeeper_spec.candidate import AT_ONCE, PLACES, Candidate, Halted, digest_of, place_of
from tracekeeper_spec.config import Rollout, Section
from tracekeeper_spec.policy import PolicyEntry
from tracekeeper_spec.resolve import check_resolved, resolve

from .clock import timestamp
from .pod_seen import PodSeen
from .verdict import LATE, judge, refusals

MAX_MESSAGE = 600
"""Characters of a message that is kept in the document."""


class Phase(StrEnum):
    PROGRESSING = "Progressing"
    HALTED = "Halted"
    COMPLETE = "Complete"


class Why(StrEnum):
    """Why a rollout is where it is; what halts it is called as in `haltOn`."""

    WAITING = "WaitingForCanaries"
    OBSERVING = "Observing"
    CRASH = "SidecarCrash"
    DELIVERY = "DeliveryFailure"
    REFUSED = "PolicyRefused"
    OBSERVED = "Observed"
    UNCHANGED = "NothingToTry"
    NO_PODS = "NoPods"
    NOT_HELD = "NotHeldBack"
    BLIND = "NoControlStream"
    TOO_LARGE = "TooLarge"
    BEHIND = "WaitingForNamespaces"


Look = Callable[[], Sequence[PodSeen] | None]
"""The pods of an entry; None while it is not known which there are."""


@dataclass(frozen=True, slots=True)
class State:
    """What is to be told of one entry."""

    phase: Phase
    why: Why
    message: str
    digest: str
    generation: int
    """Of the config, as it is tried or in effect; `effective` is what those run who do not try it."""
    effective: int
    since: int = 0
    """Unix time; 0 where nothing has happened."""
    canaries: int = 0
    ready: int = 0
    previous: PolicyEntry | None = None
    """What was in effect before, where that is another one."""
    fixed: frozenset[str] = frozenset()
    """Sections that only the root namespace has a say in."""
    news: bool = False
    """Whether this step has come here."""


@dataclass(frozen=True, slots=True)
class Step:
    entry: PolicyEntry
    """What is to be published."""
    state: State | None = None
    """None where there is no section `rollout`."""


def step(
    fresh: PolicyEntry,
    old: PolicyEntry | None,
    *,
    fixed: Collection[Section],
    withdrawn: Callable[[PolicyEntry], Collection[str]],
    look: Look | None,
    now: float,
    room: bool = True,
) -> Step:
    """What of `fresh`, which the configs say, is published now; `old` is what is.

    `fixed` are the sections that are enforced, `withdrawn` tells which configs in an entry may not be used any longer,
    as `namespace/name`; without a `look` sidecars cannot be watched, and without `room` for two versions nothing is
    tried either.
    """
    spec, _ = fresh.parse_whole()
    if spec.rollout is None:
        return Step(fresh)
    fields = frozenset(section.field for section in fixed)
    told = _Telling(fresh, digest_of(fresh.spec), fields)
    if old is None or old.retired:
        return Step(fresh, told.complete(Why.UNCHANGED, "it is in effect", None, now))
    halted = old.halted
    if digest_of(old.spec) == told.digest:
        if halted is not None and not _overtaken(halted, fresh, old):
            return Step(replace(fresh, halted=halted), told.halted(halted, fresh))
        return Step(fresh, told.complete(Why.UNCHANGED, "it is in effect", old, now))
    gone = withdrawn(old)
    stable = hold(old, fresh, fields, gone)
    if stable is None or (gone and digest_of(stable.spec) == told.digest):
        text = "it came to all pods at once, because what was in effect before may not be used any longer, or cannot"
        return Step(fresh, told.complete(Why.NOT_HELD, text, old, now))
    if digest_of(stable.spec) == told.digest:
        return Step(fresh, told.complete(Why.UNCHANGED, "all that changed comes to all pods at once", old, now))
    # Not by all sources: what one of the others says of something else is no new attempt.
    if halted is not None and (
        (halted.generation, halted.digest) == (fresh.generation, told.digest) or _less(halted, fresh)
    ):
        halted = replace(halted, sources=fresh.sources, digest=told.digest)
        return Step(replace(stable, halted=halted), told.halted(halted, stable))
    if not room:
        text = "it came to all pods at once: the namespace's policy has no room for both generations (1 MiB in all)"
        return Step(fresh, told.complete(Why.TOO_LARGE, text, old, now))
    if look is None:
        text = "it came to all pods at once: without the control stream (control.enabled) nobody sees how they do"
        return Step(fresh, told.complete(Why.BLIND, text, old, now))
    pods = look()
    if pods is not None and not pods and old.candidate is None:
        text = "it came to all pods at once, since there is none yet that could try it"
        return Step(fresh, told.complete(Why.NO_PODS, text, old, now))
    return _try(_Trial(told, stable, old.candidate, spec.rollout, now), pods)


def _less(halted: Halted, fresh: PolicyEntry) -> bool:
    """Whether it is what was halted, without a config that takes part no longer: nobody has said anything new."""
    return halted.generation == fresh.generation and set(fresh.sources) < set(halted.sources)


def hold(
    old: PolicyEntry, fresh: PolicyEntry, fixed: Collection[str], gone: Collection[str] = ()
) -> PolicyEntry | None:
    """What is known to work, with what must not wait: `AT_ONCE`, the enforced sections `fixed`, and those that came
    from configs in `gone`. None when these do not go together.
    """
    if f"{old.namespace}/{old.name}" in gone:
        return None
    lost = {key for key, source in old.origins.items() if source in gone} - {*AT_ONCE, *fixed}
    # What the entry's own config says in their place is new, and is tried first if anything is left without it.
    own = {key for key in lost if key not in fresh.origins}
    return _held(old, fresh, {*AT_ONCE, *fixed, *lost}, own, gone) or (
        _held(old, fresh, {*AT_ONCE, *fixed, *lost}, set(), gone) if own else None
    )


def _held(
    old: PolicyEntry, fresh: PolicyEntry, now: Collection[str], without: Collection[str], gone: Collection[str]
) -> PolicyEntry | None:
    spec, origins = _overlay(old.spec, fresh.spec, now), _overlay(old.origins, fresh.origins, now)
    kept = [source for source in old.sources if config_of(source) not in gone]
    known, needed = {config_of(source) for source in kept}, set(origins.values())
    added = [source for source in fresh.sources if config_of(source) in needed - known]
    # Whose it is says the API server, and not what is published: others than us may write that.
    held = replace(
        fresh,
        spec={key: value for key, value in spec.items() if key not in without},
        origins=origins,
        generation=old.generation,
        sources=(*kept, *added),
    )
    parsed, faults = held.parse()
    return None if faults or check_resolved(resolve(parsed)) else held


def config_of(source: str) -> str:
    """`namespace/name` of one of an entry's sources."""
    return source.rpartition("@")[0]


def _overlay(old: Mapping[str, Any], new: Mapping[str, Any], keys: Collection[str]) -> dict[str, Any]:
    return {
        **{key: value for key, value in old.items() if key not in keys},
        **{key: value for key, value in new.items() if key in keys},
    }


def _overtaken(halted: Halted, fresh: PolicyEntry, old: PolicyEntry) -> bool:
    """Whether somebody has said something newer than what was halted, and not only what works is held on to."""
    if fresh.sources == old.sources:
        return False
    known = _generations(halted.sources)
    return any(generation > known.get(name, -1) for name, generation in _generations(fresh.sources).items())


def _generations(sources: Iterable[str]) -> dict[str, int]:
    found = (source.rpartition("@") for source in sources)
    return {name: int(generation) if generation.isdecimal() else 0 for name, _, generation in found}


@dataclass(frozen=True, slots=True)
class _Telling:
    """Makes states of an entry."""

    fresh: PolicyEntry
    digest: str
    fixed: frozenset[str]

    def complete(self, why: Why, message: str, old: PolicyEntry | None, now: float) -> State:
        generation = self.fresh.generation
        before = old.proven if old is not None and digest_of(old.spec) != self.digest else None
        # Also where somebody has taken back what was tried: then nothing is in effect that was not before.
        news = old is not None and (before is not None or old.candidate is not None or old.halted is not None)
        since = int(now) if news else 0
        return State(
            Phase.COMPLETE,
            why,
            message,
            self.digest,
            generation,
            generation,
            since,
            previous=before,
            fixed=self.fixed,
            news=news,
        )

    def halted(self, halted: Halted, stable: PolicyEntry, *, news: bool = False) -> State:
        return State(
            Phase.HALTED,
            Why(halted.reason) if halted.reason in set(Why) else Why.DELIVERY,
            halted.message,
            halted.digest,
            halted.generation,
            stable.generation,
            halted.at,
            previous=stable,
            fixed=self.fixed,
            news=news,
        )


@dataclass(frozen=True, slots=True)
class _Trial:
    told: _Telling
    stable: PolicyEntry
    before: Candidate | None
    """What was tried up to now."""
    settings: Rollout
    now: float

    def candidate(self, pods: Sequence[PodSeen] | None) -> Candidate:
        """What is tried, and by whom, as of now."""
        fresh, digest = self.told.fresh, self.told.digest
        before = self.before if self.before is not None and self.before.digest == digest else None
        share = -(-self.settings.canary_percent * PLACES // 100)
        troubled = sorted({name for pod in pods or () for name in pod.failing})
        # A clock that was ahead when one of these was written would blind us until it is then.
        now = max(1, int(self.now))
        found = Candidate(
            fresh.spec,
            fresh.generation,
            fresh.sources,
            fresh.origins,
            digest,
            max(before.below, share) if before is not None else share,
            min(before.started, now) if before is not None else now,
            min(before.observed, now) if before is not None else 0,
            before.troubled if before is not None else tuple(troubled),
            also=before.also if before is not None else "",
            refused=before.refused if before is not None else refusals(pods or ()),
        )
        late = now >= max(found.started, found.observed) + LATE
        return replace(found, also=also(found, pods, late=late)) if pods is not None else found


def _try(trial: _Trial, pods: Sequence[PodSeen] | None) -> Step:
    """The step of an entry that has something to be tried, by pods that are there."""
    told, stable, now = trial.told, trial.stable, trial.now
    candidate = trial.candidate(pods)
    canaries = [pod for pod in pods or () if candidate.takes(pod.uid)]
    running = [pod for pod in canaries if pod.digest == candidate.digest]
    found = judge(candidate, stable, pods or (), now)
    if found is not None and found.halts(trial.settings.halt_on):
        halted = Halted(
            candidate.generation,
            candidate.sources,
            candidate.digest,
            int(now),
            Why(found.why),
            found.message[:MAX_MESSAGE],
        )
        return Step(replace(stable, halted=halted), told.halted(halted, stable, news=True))
    if running and not candidate.observed:
        candidate = replace(candidate, observed=max(1, int(now)))
    until = candidate.observed + trial.settings.observe_for
    if running and now >= until:
        text = f"{_pods(len(canaries))} tried it since {timestamp(candidate.observed)}, and nothing spoke against it"
        return Step(told.fresh, told.complete(Why.OBSERVED, text, replace(stable, candidate=candidate), now))
    why, message = _progress(candidate, len(canaries), len(running), until, now)
    state = State(
        Phase.PROGRESSING,
        why,
        f"{message}; {found.message}" if found is not None else message,
        candidate.digest,
        candidate.generation,
        stable.generation,
        candidate.started,
        len(canaries),
        len(running),
        stable,
        told.fixed,
        news=trial.before is None or trial.before.digest != candidate.digest,
    )
    return Step(replace(stable, candidate=candidate), state)


def also(candidate: Candidate, pods: Sequence[PodSeen], *, late: bool) -> str:
    """The UID of the pod that tries it beyond its share, so that one tries it at the least; empty if none has to.

    A sidecar that is not attached may still come, so it is waited for until it is `late`: after a restart of the
    controller none is attached at first.
    """
    able = [pod for pod in pods if pod.able]
    away = [pod for pod in pods if not pod.attached]
    kept = candidate.also if any(pod.uid == candidate.also for pod in (*able, *away)) else ""
    takes = replace(candidate, also=kept).takes
    waited = [pod for pod in away if takes(pod.uid)]
    if any(takes(pod.uid) for pod in able) or (waited and (not late or not able)):
        return kept
    pool = able or away or pods
    first = min(pool, key=lambda pod: place_of(candidate.digest, pod.uid), default=None)
    return first.uid if first is not None and not takes(first.uid) else kept


def _progress(candidate: Candidate, canaries: int, running: int, until: float, now: float) -> tuple[Why, str]:
    if running:
        text = f"{running} of {_pods(canaries)} that try it run it; all get it at {timestamp(until)} if nothing happens"
        return Why.OBSERVING, text
    if not canaries:
        return Why.WAITING, "no pod is known that could try it; it goes on as soon as there is one"
    text = f"none of {_pods(canaries)} that try it runs it yet: a new policy comes to them within about a minute"
    if now >= candidate.started + LATE:
        text += (
            "; their sidecars may not be attached to the control stream, or be too old to try anything (restart one)"
        )
    return Why.WAITING, text


def _pods(count: int) -> str:
    return "1 pod" if count == 1 else f"{count} pods"
