"""Incidents that happened to others, replayed: what carries spans fails, agents go on, and Prometheus says so."""

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

AGENTS_RULES = {"ErrorRateWarning", "ErrorRateCritical", "AgentsSilent", "HighP99Latency"}
LOST = {"SpansDropped", "SpansRefused", "SpansNotCounted"}


@pytest.fixture
def incident(sidecars: Sidecars, prometheuses: Prometheuses, start_backend: Callable[..., Backend]) -> Incident:
    return Incident(sidecars, prometheuses, start_backend("--name", "tempo"))


def test_a_backend_that_freezes_is_told_and_takes_no_agent_along(incident: Incident) -> None:
    backend = incident.backend
    frozen = {
        "name": "BackendFrozen",
        "promql": "max by (namespace, pod, backend)"
        ' (max_over_time(tracekeeper_backend_circuit_state{state="Open"}[5s])) > 0',
        "severity": "critical",
    }
    sidecar, prometheus = incident.begin([frozen])
    incident.work(Turn(), calls=3)
    sidecar.settled()
    backend.fail("hang")
    # Its connections stay up and nothing is answered, which no probe of ports sees. The application is acknowledged.
    for _ in range(10):
        incident.work(Turn(), calls=3)
    alert = prometheus.alert("BackendFrozen")
    assert (alert.labels["backend"], alert.labels["pod"]) == ("tempo", "agents-0")
    assert alert.labels["severity"] == "critical"
    # The rule that comes with the product gives it a quarter of an hour.
    assert prometheus.alert("BreakerOpen", "pending").labels["backend"] == "tempo"
    incident.work(Turn(), calls=3)
    prometheus.evaluated()
    assert not incident.names() & (AGENTS_RULES | LOST)
    incident.counted(sidecar)
    book = sidecar.ledger()
    assert book["acknowledged"] == 12 * 5
    assert book["delivery"]["tempo"]["pending"] > 0
    backend.fail("ok")
    prometheus.resolved("BackendFrozen")
    assert sidecar.settled()["delivery"]["tempo"]["delivered"] == 12 * 5
    assert len(backend.ids()) == 12 * 5


def test_tracing_that_dies_while_pods_run_is_told_though_nothing_fails(incident: Incident) -> None:
    silent = {"name": "NothingComes", "condition": "span_rate == 0", "window": "15m", "severity": "critical"}
    sidecar = incident.start_sidecar([silent])
    for _ in range(3):
        incident.work(Turn(), calls=5)
        incident.remember(sidecar, hours=2)
    # Since then a release has lost the exporter's address. Pods run, users are served, and no span comes.
    prometheus = incident.watch(incident.restart())
    alert = prometheus.alert("NothingComes")
    assert alert.labels["namespace"] == "shop"
    assert alert.labels["severity"] == "critical"
    assert incident.alert_value("NothingComes") == 0
    # The rule that comes with the product gives it 5 minutes more.
    prometheus.alert("AgentsSilent", "pending")
    # A sidecar that starts again knows what it had counted, so this is no beginning.
    incident.restart(killed=True)
    incident.until_value("sum(tracekeeper_metered_spans_total)", 3 * 7)
    prometheus.evaluated()
    assert {"NothingComes", "AgentsSilent"} <= incident.names()
    incident.work(Turn(), calls=5)
    prometheus.resolved("NothingComes")
    prometheus.resolved("AgentsSilent")


def test_pods_that_never_traced_are_not_told_to_be_silent(incident: Incident) -> None:
    silent = {"name": "NothingComes", "condition": "span_rate == 0", "window": "15m"}
    _, prometheus = incident.begin([silent])
    prometheus.evaluated(3)
    assert not incident.names() & {"NothingComes", "AgentsSilent"}


def test_a_sidecar_that_is_killed_again_and_again_goes_on_counting_where_it_was(incident: Incident) -> None:
    _, prometheus = incident.begin([])
    for done in range(1, 4):
        incident.work(Turn(), calls=5)
        incident.until_value("sum(tracekeeper_metered_spans_total)", 7 * done)
        # What Prometheus has seen is not on disk yet as a count; the spans are.
        incident.restart(killed=True)
    incident.work(Turn(), calls=5)
    incident.until_value("sum(tracekeeper_metered_spans_total)", 7 * 4)
    each = "max(resets({__name__=~'tracekeeper_(metered_spans|tokens|operations|cost_dollars)_total'}[5m]))"
    # A count that falls, even for one scrape, would be counted twice by every rate and increase.
    assert prometheus.value(each) == 0
    price = Prices(()).tariff("openai", "gpt-4o", Turn().asked / 1e9)
    cost = price.cost(Usage(1_000, 400)) if price is not None else None
    assert cost is not None
    incident.until_value("sum(tracekeeper_cost_dollars_total)", 4 * 5 * cost / 1e9)
