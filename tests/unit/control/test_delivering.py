"""The condition Delivering, and the backends and the ledger in a status: from what sidecars have said of themselves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from control_objects import StoodClock, backend, config
from spec_crd import crd_schema
from tracekeeper_operator.control.ledgers import Began, Ledgers
from tracekeeper_operator.control.tokens import PodIdentity
from tracekeeper_operator.delivering import RECENT, SETTLE, Delivering, backends, condition
from tracekeeper_operator.plan import Published, assess, plan
from tracekeeper_proto.control.v1 import control_pb2 as pb

WAITS = "spans of delivery a wait on disk:"
REFUSED = "backend 'a': 10.0.0.1:4317: connection refused"


@dataclass
class Sidecar:
    """As much of one as is asked for."""

    standing: pb.Standing | None
    lost_at: float = float("-inf")
    namespace: str = "shop"

    @property
    def identity(self) -> PodIdentity:
        return PodIdentity(self.namespace, "pod", "uid", "default")


@dataclass
class Control:
    """The control server."""

    of: dict[str, list[Any]] = field(default_factory=dict)
    ledgers: Ledgers = field(default_factory=Ledgers)
    began: Began | None = None

    def attached(self, config_uid: str) -> list[Any]:
        return self.of.get(config_uid, [])


def said(
    circuit: str = "Closed", fault: str = "", *, stuck: bool = False, dropped: int = 0, **more: Any
) -> pb.Standing:
    return pb.Standing(
        policy_revision=7,
        received=10,
        acknowledged=10,
        delivery=[pb.EntryStanding(name="a", delivered=9 - dropped, dropped=dropped, pending=1, stuck=stuck)],
        backends=[pb.BackendStanding(name="a", circuit=circuit, fault=fault)],
        **more,
    )


GONE = PodIdentity("shop", "gone", "uid-gone", "default")
WELL, AWAY = said(), said("Open", REFUSED, stuck=True)


@pytest.mark.parametrize(
    ("sidecars", "expected", "text"),
    [
        ([], ("Unknown", "NoSidecars"), "no sidecar of this config is attached"),
        ([None, None], ("Unknown", "NotReported"), "2 sidecars"),
        ([WELL], ("True", "Delivering"), "every sidecar"),
        ([said(fault=REFUSED)], ("True", "Delivering"), "every sidecar"),
        ([said("Disabled")], ("True", "Delivering"), "every sidecar"),
        ([WELL, said("Open", REFUSED)], ("True", "Degraded"), f"1 of 2 sidecars: {REFUSED}"),
        ([said("ForcedOpen")], ("True", "Degraded"), "backend 'a': nothing is sent to it"),
        ([WELL, AWAY, AWAY], ("False", "BackendUnavailable"), f"2 of 3 sidecars: {WAITS} {REFUSED}"),
        ([said("Unusable", "no Secret", stuck=True)], ("False", "BackendUnavailable"), "no Secret"),
        ([said(policy_problem="spec.x: is unknown"), WELL], ("False", "PolicyRefused"), "spec.x: is unknown"),
        ([said(policy_problem="spec.x: is unknown"), AWAY], ("False", "BackendUnavailable"), REFUSED),
        ([AWAY, said(log_problem="it is full")], ("False", "RefusingSpans"), "spans are refused: it is full"),
    ],
)  # fmt: skip
def test_the_worst_is_told(sidecars: list[pb.Standing | None], expected: tuple[str, str], text: str) -> None:
    found = condition([Sidecar(each) for each in sidecars], 1000.0, "shop")  # type: ignore[misc]
    assert (found.type, found.status, found.reason) == ("Delivering", *expected)
    assert text in found.message


def test_spans_that_were_dropped_are_told_of_for_a_while() -> None:
    lossy = [Sidecar(said(dropped=2), lost_at=1000.0), Sidecar(WELL)]
    now = condition(lossy, 1000.0 + RECENT - 1, "shop")  # type: ignore[arg-type]
    assert (now.status, now.reason) == ("False", "SpansDropped")
    assert "1 of 2 sidecars: delivery a has dropped spans" in now.message
    assert condition(lossy, 1000.0 + RECENT, "shop").status == "True"  # type: ignore[arg-type]


def of_backend(*said: pb.Standing, lent: tuple[pb.Standing, ...] = ()) -> list[dict[str, Any]]:
    sidecars = [*(Sidecar(each, namespace="tenant") for each in lent), *(Sidecar(each) for each in said)]
    return backends(["a", "b"], sidecars, "shop")  # type: ignore[arg-type]


def test_of_each_backend_the_worst_is_shown() -> None:
    assert of_backend(WELL, AWAY, said("HalfOpen", "timeout"), AWAY) == [
        {"name": "a", "circuit": "Open", "sidecars": 2, "message": REFUSED}
    ]
    assert of_backend(WELL, said(fault=REFUSED)) == [{"name": "a", "circuit": "Closed", "message": REFUSED}]
    assert of_backend(said("SomethingNew"), AWAY)[0]["circuit"] == "SomethingNew"
    assert of_backend() == []


LENT = [Sidecar(said("Open", "pay 5 coins"), namespace="other"), Sidecar(AWAY, namespace="tenant")]


def test_sidecars_of_other_namespaces_do_not_speak_for_those_of_the_config() -> None:
    """Their words are theirs: whoever runs pods there can have a sidecar say anything."""
    found = condition([*LENT, Sidecar(WELL)], 1000.0, "shop")  # type: ignore[list-item]
    assert (found.status, found.reason) == ("True", "Degraded")
    assert found.message.startswith(f"in namespace tenant: 1 sidecar: {WAITS} {REFUSED}; 1 more namespaces")
    found = condition([*LENT, Sidecar(said(policy_problem="x"))], 1000.0, "shop")  # type: ignore[list-item]
    assert (found.status, found.reason) == ("False", "PolicyRefused"), "its own come first"
    assert of_backend(said(fault=REFUSED), lent=(AWAY,))[0]["message"] == REFUSED
    assert of_backend(WELL, lent=(AWAY,))[0]["message"] == f"in namespace tenant: {REFUSED}"


def test_where_a_config_is_only_for_others_they_say_how_it_is() -> None:
    found = condition([*LENT, Sidecar(None)], 1000.0, "shop")  # type: ignore[list-item]
    assert (found.status, found.reason) == ("False", "BackendUnavailable")
    assert found.message.startswith("in namespace tenant: ")


def section(control: Control, clock: StoodClock, status: dict[str, Any] | None = None) -> Any:
    manifest = config(backends=[backend("a")])
    if status is not None:
        manifest["status"] = status
    decided = plan("shop", assess([manifest], None), {}, Published(None), floor=0, now=clock.now())
    return Delivering(control, clock).say(decided.configs[0], decided)


def test_nothing_is_said_until_sidecars_can_be_back() -> None:
    control, clock = Control(), StoodClock()
    assert section(control, clock) is None
    control.began = Began(clock.monotonic(), clock.now())
    clock.mono += SETTLE - 1
    assert section(control, clock) is None
    clock.mono += 1
    found = section(control, clock)
    assert [each.reason for each in found.conditions] == ["NoSidecars"]
    assert (found.members, found.counts) == ({"backends": []}, {})


def test_the_ledger_says_since_when_and_its_time_stays_while_nothing_comes() -> None:
    clock = StoodClock()
    control = Control({"uid-agents": [Sidecar(WELL), Sidecar(None)]}, began=Began(clock.monotonic(), clock.now()))
    control.ledgers.away("uid-agents", GONE, said(dropped=1), 0.0)
    clock.mono, clock.wall = clock.mono + 100, clock.wall + 100
    first = section(control, clock).counts["ledger"]
    assert first == {
        "time": "2027-01-15T08:01:40Z",
        "since": "2027-01-15T08:00:00Z",
        "sidecars": 2,
        "away": 1,
        "received": 20,
        "acknowledged": 20,
        "refused": 0,
        "filtered": 0,
        "suspended": 0,
        "delivery": [
            {
                "name": "a",
                "earlier": 0,
                "delivered": 17,
                "sampledOut": 0,
                "unmatched": 0,
                "dropped": 1,
                "pending": 1,
                "unsent": 1,
            }
        ],
    }
    clock.wall += 100
    assert section(control, clock, {"ledger": first}).counts["ledger"] == first
    control.of["uid-agents"].append(Sidecar(WELL))
    later = section(control, clock, {"ledger": first}).counts["ledger"]
    assert (later["time"], later["since"], later["received"]) == ("2027-01-15T08:03:20Z", "2027-01-15T08:00:00Z", 30)


def test_the_definition_knows_all_that_is_said() -> None:
    """The API server leaves out what it does not know; the status would then be written again and again."""
    clock = StoodClock()
    control = Control({"uid-agents": [Sidecar(AWAY)]}, began=Began(clock.monotonic(), clock.now()))
    clock.mono += SETTLE
    found = section(control, clock)
    schema = crd_schema()["properties"]["status"]
    faults = list(Draft202012Validator(schema).iter_errors({**found.members, **found.counts}))
    assert faults == []
    assert "ledger" in found.counts and found.members["backends"]
