"""What the sidecars of a config say of delivery, in its status: the condition Delivering, `backends` and `ledger`.

Pure, but for the clock: from what each attached sidecar has said of itself last. Those of other namespaces, to which a
config is lent, may say what they like: so a message says which namespace the words are from, and where the config's own
namespace has sidecars, only these make it False.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from tracekeeper_proto.control.v1 import control_pb2 as pb
from tracekeeper_spec.resolve import resolve

from .clock import Clock, timestamp
from .control.attached import Attached
from .control.ledgers import Began, Ledgers, Totals
from .plan import Assessed, Plan
from .status import Condition, Reason
from .teller import Section

SETTLE = 60.0
"""Seconds from when sidecars can come in which nothing is said of them: all come back within half of that."""
RECENT = 300.0
"""Seconds for which spans that were dropped are told of."""
WORST_FIRST = ("Unusable", "Open", "ForcedOpen", "HalfOpen", "Disabled", "Closed")
SERVING = ("Closed", "Disabled")
TROUBLES = (
    Reason.REFUSING_SPANS,
    Reason.SPANS_DROPPED,
    Reason.BACKEND_UNAVAILABLE,
    Reason.POLICY_REFUSED,
    Reason.DEGRADED,
)
"""The worst first."""
SHOWN = 300
"""Characters of one sidecar's words in a message."""


class Sidecars(Protocol):
    """The control server."""

    def attached(self, config_uid: str) -> list[Attached]:
        """Sidecars that work by that config, in the order in which they came."""

    @property
    def ledgers(self) -> Ledgers:
        """What sidecars that are away have said last."""

    @property
    def began(self) -> Began | None:
        """When sidecars could come first; None before."""


class Delivering:
    """A source of statuses: see `teller`."""

    conditions: tuple[str, ...] = ("Delivering",)
    members: tuple[str, ...] = ("backends", "ledger")

    def __init__(self, sidecars: Sidecars, clock: Clock) -> None:
        self._sidecars, self._clock = sidecars, clock

    def say(self, item: Assessed, plan: Plan) -> Section | None:
        """None right after the start: what was said before stays until the sidecars are back."""
        began, now = self._sidecars.began, self._clock.monotonic()
        if began is None or now < began.monotonic + SETTLE:
            return None
        attached = self._sidecars.attached(item.uid)
        said = [each.standing for each in attached if each.standing is not None]
        total = self._sidecars.ledgers.total(item.uid, said)
        return Section(
            conditions=(condition(attached, now, plan.namespace),),
            members={
                "backends": backends([each.name for each in resolve(item.spec).backends], attached, plan.namespace)
            },
            counts={"ledger": self._ledger(item, total, timestamp(began.wall))} if total.sidecars else {},
        )

    def _ledger(self, item: Assessed, total: Totals, since: str) -> dict[str, Any]:
        names = [entry.name for entry in resolve(item.spec).delivery]
        status = item.manifest.get("status")
        before = status.get("ledger") if isinstance(status, dict) else None
        before = before if isinstance(before, dict) and "time" in before else {}
        body = ledger(total, names, since)
        same = before and {**before, "time": None} == {**body, "time": None}
        return {**body, "time": before["time"] if same else timestamp(self._clock.now())}


def condition(attached: Sequence[Attached], now: float, namespace: str) -> Condition:
    """The worst of what they say, of a config of that namespace; one sidecar in trouble is enough, and the message says
    how many are."""
    if not attached:
        text = "no sidecar of this config is attached: no pod runs with it, or they do not reach the control stream"
        return Condition("Delivering", "Unknown", Reason.NO_SIDECARS, text)
    told = [each for each in attached if each.standing is not None]
    if not told:
        text = f"{_of(len(attached), len(attached))} tell nothing yet: they are older than the operator, or just came"
        return Condition("Delivering", "Unknown", Reason.NOT_REPORTED, text)
    places: dict[str, list[Attached]] = {}
    for each in told:
        places.setdefault(each.identity.namespace, []).append(each)
    own = places.pop(namespace, [])
    if own and (found := _worst(own, now)) is not None:
        return found
    troubles = [(where, trouble) for where, those in places.items() if (trouble := _worst(those, now)) is not None]
    if not troubles:
        return Condition("Delivering", "True", Reason.DELIVERING, "every sidecar that is attached delivers")
    where, worst = min(troubles, key=lambda trouble: TROUBLES.index(trouble[1].reason))
    more = f"; {len(troubles) - 1} more namespaces have trouble" if len(troubles) > 1 else ""
    text = f"in namespace {where}: {worst.message}{more}"
    return Condition("Delivering", "True", Reason.DEGRADED, text) if own else replace(worst, message=text)


def _worst(told: Sequence[Attached], now: float) -> Condition | None:
    """None while none of them is in trouble."""
    said = [each.standing for each in told if each.standing is not None]
    for status, reason, texts in _troubles(told, said, now):
        if texts:
            return Condition("Delivering", status, reason, f"{_of(len(texts), len(said))}: {texts[0]}")
    return None


def _troubles(
    attached: Sequence[Attached], said: Sequence[pb.Standing], now: float
) -> Iterator[tuple[str, Reason, list[str]]]:
    """Status and reason, and what each sidecar says that it is so for; the worst first."""
    full = [f"spans are refused: {each.log_problem}" for each in said if each.log_problem]
    yield "False", Reason.REFUSING_SPANS, _short(full)
    lossy = [each.standing for each in attached if each.standing is not None and now < each.lost_at + RECENT]
    dropped = [
        ", ".join(f"delivery {each.name} has dropped spans" for each in one.delivery if each.dropped) for one in lossy
    ]
    yield "False", Reason.SPANS_DROPPED, [f"{text} within the last 5 minutes; see its ledger" for text in dropped]
    stuck = [text for each in said if (text := _stuck(each))]
    yield "False", Reason.BACKEND_UNAVAILABLE, _short(stuck)
    refused = [f"the policy is not in force: {each.policy_problem}" for each in said if each.policy_problem]
    yield "False", Reason.POLICY_REFUSED, _short(refused)
    failing = [text for each in said if (text := _failing(each))]
    yield "True", Reason.DEGRADED, _short(failing)


def _stuck(standing: pb.Standing) -> str:
    waiting = [entry.name for entry in standing.delivery if entry.stuck]
    return f"spans of delivery {', '.join(waiting)} wait on disk: {_failing(standing)}" if waiting else ""


def _failing(standing: pb.Standing) -> str:
    return "; ".join(
        each.fault or f"backend {each.name!r}: nothing is sent to it"  # a fault names it already
        for each in standing.backends
        if each.circuit not in SERVING
    )


@dataclass(frozen=True, slots=True)
class _Told:
    """Of a backend, by one sidecar."""

    circuit: str
    fault: str
    namespace: str


def backends(names: Sequence[str], attached: Sequence[Attached], namespace: str) -> list[dict[str, Any]]:
    """Of each backend of the spec that sidecars tell of: the worst circuit, how many have it where it
    does not serve, and the last fault; for one that only sidecars of other namespaces have, with the namespace."""
    found = []
    for name in names:
        all_of_it = [
            _Told(each.circuit, each.fault, one.identity.namespace)
            for one in attached
            if one.standing is not None
            for each in one.standing.backends
            if each.name == name
        ]
        if not all_of_it:
            continue
        worst = min((each.circuit for each in all_of_it), key=_badness)
        with_it = [each for each in all_of_it if each.circuit == worst]
        faulty = [each for each in (*with_it, *all_of_it) if each.fault]
        last = next((each for each in faulty if each.namespace == namespace), faulty[0] if faulty else None)
        where = f"in namespace {last.namespace}: " if last is not None and last.namespace != namespace else ""
        body = {"name": name, "circuit": worst, "message": (where + last.fault)[:SHOWN] if last is not None else ""}
        found.append(body if worst in SERVING else {**body, "sidecars": len(with_it)})
    return found


def ledger(total: Totals, names: Sequence[str], since: str) -> dict[str, Any]:
    """In the API's shape, without the time."""
    return {
        "since": since,
        "sidecars": total.sidecars,
        "away": total.away,
        "received": total.received,
        "acknowledged": total.acknowledged,
        "refused": total.refused,
        "filtered": total.filtered,
        "suspended": total.suspended,
        "delivery": [
            {
                "name": name,
                "earlier": entry.earlier,
                "delivered": entry.delivered,
                "sampledOut": entry.sampled_out,
                "unmatched": entry.unmatched,
                "dropped": entry.dropped,
                "pending": entry.pending,
                "unsent": entry.unsent,
            }
            for name in names
            if (entry := total.delivery.get(name)) is not None
        ],
    }


def _badness(circuit: str) -> int:
    return WORST_FIRST.index(circuit) if circuit in WORST_FIRST else 0


def _of(some: int, among: int) -> str:
    sidecars = "1 sidecar" if among == 1 else f"{among} sidecars"
    return sidecars if some == among else f"{some} of {sidecars}"


def _short(texts: list[str]) -> list[str]:
    return [text if len(text) <= SHOWN else text[: SHOWN - 1] + "…" for text in texts]
