"""What a TracingConfig's status says: pure, from the plan and from how carrying it out went.

Conditions are `Accepted` (can the spec be used?), `ResolvedRefs` (are its Secrets there?) and `Ready` (does
it reach the sidecars?). Every reason is in `Reason`, and explained in docs/reference/conditions.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tracekeeper_spec.consent import ONLY_OWN
from tracekeeper_spec.faults import Fault
from tracekeeper_spec.resolve import resolve

from . import names
from .clock import timestamp
from .errors import KubeError
from .expiry import Life, ending
from .plan import Assessed, Plan
from .rollout import Phase
from .secret_read import SecretRead
from .storage import NOWHERE, HostPaths

MAX_MESSAGE = 4096
"""Characters of one condition's message; the API allows 32768, and nobody reads that."""


class Reason(StrEnum):
    """Why a condition is as it is."""

    ACCEPTED = "Accepted"
    ACCEPTED_WITH_FAULTS = "AcceptedWithFaults"
    INVALID = "Invalid"
    RESOLVED_REFS = "ResolvedRefs"
    CERTIFICATE_ENDS = "CertificateEnds"
    SECRET_NOT_FOUND = "SecretNotFound"
    SECRET_FORBIDDEN = "SecretForbidden"
    SECRET_UNREADABLE = "SecretUnreadable"
    PUBLISHED = "Published"
    SUSPENDED = "Suspended"
    NO_BACKENDS = "NoBackends"
    SHADOWED = "Shadowed"
    HOST_PATH_NOT_ALLOWED = "HostPathNotAllowed"
    POLICY_TOO_LARGE = "PolicyTooLarge"
    PUBLISH_FAILED = "PublishFailed"
    DELIVERING = "Delivering"
    DEGRADED = "Degraded"
    NO_SIDECARS = "NoSidecars"
    NOT_REPORTED = "NotReported"
    REFUSING_SPANS = "RefusingSpans"
    SPANS_DROPPED = "SpansDropped"
    BACKEND_UNAVAILABLE = "BackendUnavailable"
    POLICY_REFUSED = "PolicyRefused"
    INJECTED = "Injected"
    NO_PODS = "NoPods"
    PODS_MISSED = "PodsMissed"
    SIDECARS_FAIL = "SidecarsFail"
    OLDER_IMAGE = "OlderImage"
    NO_IMAGE = "NoImage"
    ROLLOUT_PROGRESSING = "RolloutProgressing"
    ROLLOUT_HALTED = "RolloutHalted"
    ROLLOUT_COMPLETE = "RolloutComplete"
    LOADED = "Loaded"
    NO_RULES = "NoRules"
    NOT_WRITTEN = "NotWritten"
    NOT_SELECTED = "NotSelected"
    NAMESPACE_ENFORCED = "NamespaceEnforced"
    RULES_NOT_LOADED = "RulesNotLoaded"
    RULE_FAILING = "RuleFailing"
    NOT_YET = "NotYet"
    NO_PROMETHEUS = "NoPrometheus"
    PROMETHEUS_UNREACHABLE = "PrometheusUnreachable"


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition, before its time of transition is known."""

    type: str
    status: str
    """True, False or Unknown."""
    reason: Reason
    message: str


WORST_FIRST = (Reason.SECRET_NOT_FOUND, Reason.SECRET_FORBIDDEN, Reason.SECRET_UNREADABLE)
"""What somebody has to mend comes before what may pass by itself."""


@dataclass(frozen=True, slots=True)
class Lack:
    """What is wrong with one key of a Secret that a config names."""

    reason: Reason
    text: str
    published: bool
    """Whether sidecars have a value for it all the same, from before."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How publishing went."""

    problem: str = ""
    """Why the Secret could not be written; empty when it is as it should be."""
    error: KubeError | None = None


def conditions(
    item: Assessed,
    plan: Plan,
    secrets: Mapping[str, SecretRead],
    outcome: Outcome,
    host_paths: HostPaths = NOWHERE,
    *,
    now: float,
    alerts: Sequence[Fault] = (),
) -> tuple[Condition, ...]:
    """Accepted, ResolvedRefs and Ready of one config. `now` is Unix time; `alerts` is what is wrong with its rules."""
    lacks = _lacks(item, plan, secrets)
    return (
        _accepted(item, alerts),
        _resolved_refs(item, lacks, secrets, now),
        _ready(item, plan, lacks, outcome, host_paths),
    )


def _accepted(item: Assessed, alerts: Sequence[Fault]) -> Condition:
    if not item.faults and alerts:
        count = "1 fault" if len(alerts) == 1 else f"{len(alerts)} faults"
        text = f"{count} in alerts: " + "; ".join(str(fault) for fault in alerts)
        return Condition("Accepted", "True", Reason.ACCEPTED_WITH_FAULTS, _shorten(text, "; all else is in effect"))
    if not item.faults:
        return Condition("Accepted", "True", Reason.ACCEPTED, "the spec has no faults")
    count = "1 fault" if len(item.faults) == 1 else f"{len(item.faults)} faults"
    text = f"{count}: " + "; ".join(str(fault) for fault in item.faults)
    return Condition("Accepted", "False", Reason.INVALID, _shorten(text, _effect(item)))


def _effect(item: Assessed) -> str:
    if item.config is None:
        return "; it takes no part until they are mended"
    return f"; generation {item.config.generation} stays in effect until they are mended"


def _resolved_refs(item: Assessed, lacks: Sequence[Lack], secrets: Mapping[str, SecretRead], now: float) -> Condition:
    if item.config is None:
        return Condition("ResolvedRefs", "Unknown", Reason.INVALID, "the spec could not be read: see Accepted")
    if not lacks:
        if ends := list(ending(_lives(item, secrets), now)):
            return Condition("ResolvedRefs", "True", Reason.CERTIFICATE_ENDS, _shorten("; ".join(ends), ""))
        count = len(set(item.secrets))
        text = f"all {count} keys of Secrets were found" if count else "no Secret is referred to"
        if (alerts := item.config.spec.alerts) and any(True for each in alerts.channels for _ in each.references()):
            # Backends' alone are looked at here; they are what sidecars get.
            text = f"backends: {text}; of those of channels, RulesLoaded tells"
        return Condition("ResolvedRefs", "True", Reason.RESOLVED_REFS, text)
    reason = lacks[0].reason
    status = "Unknown" if reason is Reason.SECRET_UNREADABLE else "False"
    return Condition("ResolvedRefs", status, reason, _shorten(_texts(lacks), ""))


def _lives(item: Assessed, secrets: Mapping[str, SecretRead]) -> Iterator[tuple[str, str, Life]]:
    for name, key in sorted(set(item.secrets)):
        read = secrets.get(name)
        if read is not None and key in read.lives:
            yield name, key, read.lives[key]


def _lacks(item: Assessed, plan: Plan, secrets: Mapping[str, SecretRead]) -> list[Lack]:
    """Every key that is not as it should be, the worst first."""
    found: list[Lack] = []
    for name, key in sorted(set(item.secrets)):
        published = key in plan.document.secrets.get(name, {})
        if (lack := _lack(name, key, secrets.get(name), published)) is not None:
            found.append(lack)
    return sorted(found, key=lambda lack: WORST_FIRST.index(lack.reason))


def _lack(name: str, key: str, read: SecretRead | None, published: bool) -> Lack | None:
    kept = f"the value of {key} published before stays" if published else f"no value of {key} was published yet"
    if read is None or (read.data is None and not read.absent and not read.forbidden):
        problem = read.problem if read is not None else "it was not read"
        return Lack(Reason.SECRET_UNREADABLE, f"Secret {name}: {problem}; {kept}", published)
    if read.forbidden:
        text = f"Secret {name}: the operator may not read it ({read.problem}): check the chart's RBAC; {kept}"
        return Lack(Reason.SECRET_FORBIDDEN, text, published)
    if read.absent:
        text = f"Secret {name} does not exist: create it, or mend the reference"
        return Lack(Reason.SECRET_NOT_FOUND, text, published)
    if key not in (read.data or {}):
        text = f"Secret {name} has no key {key}: add it, or mend the reference"
        return Lack(Reason.SECRET_NOT_FOUND, text, published)
    return None


def _texts(lacks: Sequence[Lack]) -> str:
    return "; ".join(dict.fromkeys(lack.text for lack in lacks))


def _ready(item: Assessed, plan: Plan, lacks: Sequence[Lack], outcome: Outcome, host_paths: HostPaths) -> Condition:
    reason, text = _obstacle(item, plan, lacks, outcome)
    if reason is None and (refusal := host_paths.refusal(resolve(item.spec), plan.namespace)):
        reason, text = Reason.HOST_PATH_NOT_ALLOWED, f"published, but {refusal}"
    if reason is not None:
        return Condition("Ready", "False", reason, _shorten(text, ""))
    where = f"revision {plan.document.revision} in Secret {plan.namespace}/{names.POLICY_SECRET}"
    stale = "; with Secrets as they were read before: see ResolvedRefs" if lacks else ""
    state = plan.rollouts.get(item.uid)
    tried = (
        "; some pods try a new generation first: see RolledOut" if state and state.phase is Phase.PROGRESSING else ""
    )
    if item.spec.suspend:
        text = f"{where} says suspend: spans are answered, counted and not stored{stale}"
        return Condition("Ready", "True", Reason.SUSPENDED, text)
    text = f"{where}; running sidecars take it within about a minute{tried}{stale}"
    return Condition("Ready", "True", Reason.PUBLISHED, text)


def _obstacle(item: Assessed, plan: Plan, lacks: Sequence[Lack], outcome: Outcome) -> tuple[Reason | None, str]:
    """The worst thing between this config and the sidecars."""
    if item.faults:
        return Reason.INVALID, "the spec has faults: see Accepted"
    if outcome.problem:
        return Reason.PUBLISH_FAILED, f"{outcome.problem}; it is tried again, and sidecars go on with what they have"
    if plan.size is not None:
        text = f"{plan.size}; this namespace's configs stay as they were published, as far as there is room"
        return Reason.POLICY_TOO_LARGE, text
    if item.unresolved:
        return Reason.NO_BACKENDS, "; ".join(str(fault) for fault in item.unresolved)
    state = plan.rollouts.get(item.uid)
    if state is not None and state.phase is Phase.HALTED:
        text = f"generation {state.generation} was taken back, generation {state.effective} stays in effect"
        return Reason.ROLLOUT_HALTED, f"{text}: see RolledOut"
    if (other := shadowed_by(item, plan.configs)) is not None:
        return Reason.SHADOWED, (
            f"no pod gets this config unless it names it, because the older {other.name} selects every pod too: "
            "give one of them a selector, or delete one"
        )
    if missing := [lack for lack in lacks if not lack.published]:
        return missing[0].reason, f"published, but backends lack their Secrets: {_texts(missing)}"
    return None, ""


def shadowed_by(item: Assessed, configs: Sequence[Assessed]) -> Assessed | None:
    """The older config that takes every pod as this one does; None when this one has pods of its own, or may have them
    in other namespaces."""
    if item.config is None or not _takes_all(item) or item.config.consent != ONLY_OWN:
        return None
    rank = (item.config.created, item.name)
    for other in configs:
        older = other.config is not None and (other.config.created, other.name) < rank
        if older and _takes_all(other):
            return other
    return None


def _takes_all(item: Assessed) -> bool:
    return item.spec.selector is None or item.spec.selector.empty


def status(
    item: Assessed,
    plan: Plan,
    found: Sequence[Condition],
    outcome: Outcome,
    now: float,
    kept: Sequence[str] = (),
) -> dict[str, Any]:
    """The status to apply, without what other sources say; equal to the present one when nothing changed. Conditions of
    the types `kept` are taken from that as they are."""
    generation = item.meta.get("generation", 0)
    present = item.manifest.get("status")
    before = _by_type(present if isinstance(present, Mapping) else {})
    body: dict[str, Any] = {
        "observedGeneration": generation,
        "conditions": [
            *(_condition(condition, before.get(condition.type), generation, now) for condition in found),
            *(dict(before[kind]) for kind in kept if kind in before),
        ],
    }
    if plan.document.configs and not outcome.problem:
        body["policy"] = {
            "current": plan.document.digest,
            "lastGood": plan.document.last_good,
            "revision": plan.document.revision,
        }
    return body


def known_revision(manifests: Sequence[Mapping[str, Any]]) -> int:
    """The highest revision that a status of these configs tells of; 0 when none does."""
    found = [_revision(manifest.get("status")) for manifest in manifests]
    return max(found, default=0)


def _revision(present: Any) -> int:
    policy = present.get("policy") if isinstance(present, Mapping) else None
    revision = policy.get("revision") if isinstance(policy, Mapping) else None
    return revision if isinstance(revision, int) else 0


def _by_type(present: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    items = present.get("conditions")
    found = items if isinstance(items, list) else []
    return {str(item.get("type")): item for item in found if isinstance(item, Mapping)}


def _condition(condition: Condition, before: Mapping[str, Any] | None, generation: Any, now: float) -> dict[str, Any]:
    """In the API's shape; the time of transition moves only when the status does."""
    moved = before is None or before.get("status") != condition.status
    time = timestamp(now) if moved or before is None else before.get("lastTransitionTime", timestamp(now))
    return {
        "type": condition.type,
        "status": condition.status,
        "reason": str(condition.reason),
        "message": condition.message,
        "lastTransitionTime": time,
        "observedGeneration": generation,
    }


def _shorten(text: str, end: str) -> str:
    room = MAX_MESSAGE - len(end)
    return (text if len(text) <= room else text[: room - 1] + "…") + end
