"""Incidents that happened to others, replayed: agents misbehave, and a real Prometheus says so from what it scrapes.

The rules are what a TracingConfig is compiled to, written as the operator writes them.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agent_traffic import Turn
from incident_world import Incident
from programs import Backend
from prometheus_process import Prometheuses
from sidecar_process import Sidecars
from tracekeeper_sidecar.price.prices import Prices, Usage

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def incident(sidecars: Sidecars, prometheuses: Prometheuses, start_backend: Callable[..., Backend]) -> Incident:
    return Incident(sidecars, prometheuses, start_backend("--name", "tempo"))


def test_a_loop_that_burns_long_answers_is_told_while_it_runs(incident: Incident) -> None:
    rules = [
        {"name": "Burning", "condition": "cost_per_hour > 50", "window": "10s", "groupBy": ["Agent"]},
        {"name": "LongAnswers", "condition": "output_tokens_per_call > 5000", "window": "10s", "groupBy": ["Agent"]},
        {"name": "Costly", "condition": 'cost_per_conversation > 1.00 && agent == "helper"', "groupBy": ["Agent"]},
    ]
    sidecar, prometheus = incident.begin(rules)
    incident.work(Turn("helper", conversation="quiet"), calls=3)
    loop = Turn("planner", conversation="burning")
    for _ in range(12):
        # The loop's own request never ends: nothing but its calls is there to be seen.
        assert sidecar.send(loop.calls(10, sent=2_000, answered=10_000)) == 200
    costly = prometheus.alert("CostlyConversation")
    tariff = Prices(()).tariff("openai", loop.model, loop.asked / 1e9)
    assert tariff is not None
    each = tariff.cost(Usage(2_000, 10_000))
    assert each is not None
    incident.until_value("max(tracekeeper_conversation_cost_highest_dollars)", 120 * each / 1e9)
    assert costly.labels["agent"] == "planner"
    assert costly.labels["severity"] == "warning"
    assert costly.labels["tracekeeper_config"] == "shop/agents"
    assert costly.labels["namespace"] == "shop"
    # 120 calls, and no request has ended.
    assert prometheus.alert("FanOut").labels["agent"] == "planner"
    assert prometheus.alert("Burning").labels["agent"] == "planner"
    assert prometheus.alert("LongAnswers").labels["agent"] == "planner"
    assert incident.agents() == {"planner"}
    # The loop is stopped. What looks at the last seconds resolves, and what it has cost stays known.
    assert sidecar.send(loop.end()) == 200
    prometheus.resolved("Burning")
    incident.until_value('sum(tracekeeper_cost_dollars_total{agent="planner"})', 120 * each / 1e9)


def test_one_message_that_fans_out_into_147_calls_is_told_with_its_trace(incident: Incident) -> None:
    sidecar, prometheus = incident.begin([])
    incident.work(Turn("helper"), calls=99)
    incident.until_value('sum(tracekeeper_request_calls_count{agent="helper"})', 1)
    prometheus.evaluated()
    assert "FanOut" not in {alert.name for alert in prometheus.alerts()}
    turn = Turn("planner")
    assert sidecar.send(turn.tools(["search"] * 100)) == 200
    assert sidecar.send(turn.calls(47)) == 200
    assert sidecar.send(turn.end()) == 200
    fan_out = prometheus.alert("FanOut")
    incident.until_value('max(tracekeeper_request_calls_highest{agent="planner"})', 147)
    assert fan_out.labels["agent"] == "planner"
    assert fan_out.labels["service"] == "agents"
    assert incident.alert_value("FanOut") == 147
    assert incident.agents() == {"planner"}
    # The runbook starts from the trace: it is in the exemplar of the bucket that counted this request.
    found = incident.until_exemplar('tracekeeper_request_calls_bucket{agent="planner"}')
    assert found == turn.trace.hex()


def test_answers_that_become_longer_by_23_percent_are_told_by_the_model(incident: Incident) -> None:
    sidecar = incident.start_sidecar([])
    for answered in (400, 400, 400):
        for _ in range(6):
            incident.work(Turn("planner"), calls=10, answered=answered)
            incident.work(Turn("helper", model="gpt-4o-mini"), calls=10, answered=100)
        incident.remember(sidecar, hours=2)
    # This morning's update: another model answers under the same name, at greater length. The small one is what it was.
    prometheus = incident.watch(incident.restart())
    for _ in range(6):
        incident.work(Turn("planner"), calls=10, answered=492)
        incident.work(Turn("helper", model="gpt-4o-mini"), calls=10, answered=100)
    longer = prometheus.alert("AnswersLonger")
    assert longer.labels["model"] == "gpt-4o"
    prometheus.evaluated()
    assert incident.alert_value("AnswersLonger") == pytest.approx(1.23, rel=1e-6)
    assert {alert.labels["model"] for alert in prometheus.alerts() if alert.name == "AnswersLonger"} == {"gpt-4o"}
