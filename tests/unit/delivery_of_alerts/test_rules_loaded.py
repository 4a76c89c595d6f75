"""Whether what Prometheus has is what was written."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tracekeeper_operator.alerts.deliver import Told, Way
from tracekeeper_operator.alerts.loaded import PATIENCE, Answer, Written, condition
from tracekeeper_operator.alerts.prometheus import LoadedRule
from tracekeeper_operator.alerts.wanted import Alerting
from tracekeeper_operator.status import Reason
from tracekeeper_spec.alert import Alerts
from tracekeeper_spec.alert.compiled import AlertRule, Compiled, RecordingRule

PLACE = "shop.agents.yaml", "tracekeeper/shop/agents"
RULES = (
    RecordingRule("tracekeeper:errors", "rate(x[5m])"),
    AlertRule("ManyErrors", "x > 1", 300.0, labels={"severity": "critical"}, annotations={"summary": "many"}),
)
ITEM = Alerting("shop", "agents", "uid", False, Alerts(), (), Compiled("shop/agents", RULES))
GOOD = (
    LoadedRule("tracekeeper:errors", "ok"),
    LoadedRule("ManyErrors", "ok", "", 300.0, {"severity": "critical", "added": "by Prometheus"}, {"summary": "many"}),
)


def reason(*replicas: tuple[LoadedRule, ...] | None, since: float = PATIENCE) -> Reason:
    answer = Answer(tuple({PLACE: found} if found is not None else {} for found in replicas))
    return condition(ITEM, Told(Way.PLAIN), Written(PLACE, since), "http://prometheus:9090", answer).reason


def test_they_are_loaded_when_every_replica_has_them() -> None:
    assert reason(GOOD) is Reason.LOADED
    assert reason(GOOD, GOOD) is Reason.LOADED
    assert reason(GOOD, None) is Reason.RULES_NOT_LOADED
    assert reason(GOOD, None, since=PATIENCE - 1) is Reason.NOT_YET
    assert reason() is Reason.RULES_NOT_LOADED


@pytest.mark.parametrize(
    "found",
    [
        GOOD[:1],
        (GOOD[1], GOOD[0]),
        (GOOD[0], replace(GOOD[1], for_=0.0)),
        (GOOD[0], replace(GOOD[1], annotations={"summary": "other"})),
        (GOOD[0], replace(GOOD[1], labels={"severity": "warning"})),
        (GOOD[0], replace(GOOD[1], name="FewErrors")),
        (*GOOD, GOOD[1]),
    ],
)
def test_others_are_not_taken_for_them(found: tuple[LoadedRule, ...]) -> None:
    assert reason(found) is Reason.RULES_NOT_LOADED


def test_one_that_fails_anywhere_is_named() -> None:
    failing = (GOOD[0], replace(GOOD[1], health="err", error="many-to-many"))
    assert reason(GOOD, failing) is Reason.RULE_FAILING
    unseen = (GOOD[0], replace(GOOD[1], health="unknown"))
    assert reason(unseen) is Reason.LOADED, "it was not evaluated yet"


def test_a_message_has_a_bound_and_says_what_keeps_channels_from_being_told() -> None:
    notes = ("channel team: " + "x" * 5000,)
    found = condition(ITEM, Told(Way.PLAIN), Written(PLACE, 0.0, "", notes), "", None)
    assert found.reason is Reason.NO_PROMETHEUS and "channel team" in found.message
    assert len(found.message) <= 4096
