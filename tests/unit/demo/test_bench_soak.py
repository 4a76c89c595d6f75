"""The soak's oracle and its faults: a difference of one span must be seen, and a run must be repeatable."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import soak_faults
import soak_oracle
from seen import Marks
from soak_oracle import Outcome, Outcomes

SPANS = 2
OUTCOMES: Outcomes = np.array(
    [Outcome.ACKNOWLEDGED, Outcome.REFUSED, Outcome.UNKNOWN, Outcome.UNKNOWN, Outcome.UNSENT], dtype=np.int8
)


def arrived() -> Marks:
    """The acknowledged request, and one of the two without an answer."""
    marks: Marks = np.zeros((8, 3), dtype=np.bool_)
    marks[0, :SPANS] = marks[2, :SPANS] = True
    return marks


def entry(name: str = "a", **change: Any) -> dict[str, Any]:
    return {"name": name, "start": "0", "delivered": {name: "4"}, "dropped": {}, "pending": "0", **change}


def judged(
    marks: Marks | None = None, came: int = 4, acknowledged: int = 4, book: dict[str, Any] | None = None
) -> soak_oracle.Verdict:
    seen = {"a": arrived() if marks is None else marks, "b": arrived()}
    ledger = {"acknowledged": str(acknowledged), "delivery": [book or entry(), entry("b")]}
    return soak_oracle.judge(OUTCOMES, seen, {"a": came, "b": 4}, ledger, SPANS)


def test_three_witnesses_that_agree() -> None:
    verdict = judged(came=7)
    assert verdict.faults == []
    assert verdict.sinks["a"] == {"distinct": 4, "repeated": 3, "lost": 0, "refused": 0}
    assert (verdict.acknowledged, verdict.unknown, verdict.stored) == (2, 4, 4)
    assert verdict.difference == {"a": 0, "b": 0}


def test_one_acknowledged_span_that_never_came_is_lost() -> None:
    marks = arrived()
    marks[0, 1] = False
    assert "1 acknowledged spans never reached sink a" in judged(marks).faults


def test_a_refused_span_that_came_is_seen() -> None:
    marks = arrived()
    marks[1, 0] = True
    assert "1 spans of refused requests reached sink a" in judged(marks).faults


def test_sinks_that_saw_less_than_was_sent_are_short_not_broken() -> None:
    nothing: Marks = np.zeros((1, 1), dtype=np.bool_)
    assert "2 acknowledged spans never reached sink a" in judged(nothing).faults


@pytest.mark.parametrize("acknowledged", [1, 7])
def test_the_ledger_must_lie_between_what_was_answered_and_what_was_sent(acknowledged: int) -> None:
    assert any("the ledger acknowledged" in fault for fault in judged(acknowledged=acknowledged).faults)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"delivered": {"a": "3"}}, "the ledger is 1 spans from closing"),
        ({"pending": "1", "delivered": {"a": "3"}}, "1 spans still wait"),
        ({"delivered": {"a": "3"}, "dropped": {"refused": "1"}}, "delivered 3 spans, sink a has 4"),
    ],
)
def test_a_ledger_that_is_one_span_off_is_seen(change: dict[str, Any], fault: str) -> None:
    assert any(fault in said for said in judged(book=entry(**change)).faults)


def test_every_column_of_the_ledger_counts_but_what_was_sent_again() -> None:
    assert soak_oracle.gap(10, entry(delivered={"a": "4"}, sampledOut="3", unmatched="3", redelivered={"x": "9"})) == 0


def test_a_seed_gives_the_same_faults_again() -> None:
    first = list(soak_faults.plan(300, 7, disk=True))
    assert first == list(soak_faults.plan(300, 7, disk=True))
    assert first != list(soak_faults.plan(300, 8, disk=True))
    assert {fault.kind for fault in soak_faults.plan(3000, 7, disk=True)} == {
        *soak_faults.SINK_FAULTS,
        *soak_faults.SIDECAR_FAULTS,
        *soak_faults.DISK_FAULTS,
    }
    assert "full" not in {fault.kind for fault in soak_faults.plan(3000, 7, disk=False)}


def test_nobody_is_struck_twice_at_a_time_and_all_ends_in_time() -> None:
    until: dict[str, float] = {}
    for fault in soak_faults.plan(1000, 1, disk=True):
        assert fault.at >= until.get(fault.whom, 0.0)
        until[fault.whom] = fault.at + fault.lasts
    assert max(until.values()) <= 1000
