"""What the cluster's Prometheus and Alertmanager select, and which labels follow from it."""

from __future__ import annotations

from typing import Any

import pytest

from delivery_world import alertmanager, prometheus
from tracekeeper_operator.alerts.selection import Strategy, labels_for, oldest, read_alertmanager, read_prometheus


def labels(*found: dict[str, Any], said: dict[str, str] | None = None) -> dict[str, str]:
    return labels_for(oldest(map(read_prometheus, found)), lambda server: server.selects, said or {})


RELEASE = {"matchLabels": {"release": "kps"}}


def test_labels_are_those_that_the_oldest_asks_for() -> None:
    assert labels(prometheus(ruleSelector=RELEASE)) == {"release": "kps"}
    newcomer = prometheus("mallory", created="2026-02-01", ruleSelector={"matchLabels": {"team": "mallory"}})
    assert labels(newcomer, prometheus(ruleSelector=RELEASE)) == {"release": "kps"}


def test_one_that_looks_into_its_own_namespace_alone_comes_after_one_that_looks_further() -> None:
    near = prometheus("a", ruleSelector={"matchLabels": {"team": "a"}}, ruleNamespaceSelector=None)
    assert labels(near, prometheus(created="2026-02-01", ruleSelector=RELEASE)) == {"release": "kps"}
    assert labels(near) == {"team": "a"}


def test_what_the_chart_says_comes_first() -> None:
    assert labels(prometheus(ruleSelector=RELEASE), said={"x": "y"}) == {"x": "y"}


def test_expressions_are_met_as_far_as_labels_can() -> None:
    expressions = [
        {"key": "team", "operator": "In", "values": ["a", "b"]},
        {"key": "monitored", "operator": "Exists"},
        {"key": "off", "operator": "DoesNotExist"},
    ]
    found = labels(prometheus(ruleSelector={"matchExpressions": expressions, **RELEASE}))
    assert found == {"team": "a", "monitored": "true", "release": "kps"}


@pytest.mark.parametrize(
    ("objects", "namespaces", "namespace", "taken"),
    [
        ({}, {}, "shop", True),
        (None, {}, "shop", False),
        ({}, None, "shop", False),
        ({}, None, "monitoring", True),
        ({}, {"matchLabels": {"watched": "yes"}}, "shop", True),
        ({}, {"matchLabels": {"watched": "no"}}, "shop", False),
        ({}, {"matchLabels": {"watched": "yes"}}, "unknown", False),
        ({"matchLabels": {"release": "kps"}}, {}, "shop", True),
        ({"matchLabels": {"release": "other"}}, {}, "shop", False),
    ],
)
def test_what_is_selected(objects: Any, namespaces: Any, namespace: str, taken: bool) -> None:
    server = read_prometheus(prometheus(ruleSelector=objects, ruleNamespaceSelector=namespaces))
    known = {"shop": {"watched": "yes"}}
    assert server.selects.takes("monitoring", namespace, {"release": "kps"}, known.get) is taken


def test_where_it_answers() -> None:
    assert read_prometheus(prometheus()).url == "http://prometheus-operated.monitoring.svc:9090"
    secure = prometheus(web={"tlsConfig": {"cert": {}}}, routePrefix="/prom/", serviceName="mine")
    assert read_prometheus(secure).url == "https://mine.monitoring.svc:9090/prom"
    assert read_alertmanager(alertmanager()).url == "http://alertmanager-operated.monitoring.svc:9093"


@pytest.mark.parametrize(
    ("service", "prefix"),
    [
        ("evil.example.com/x?", "/"),
        ("169.254.169.254:80/latest#", "/"),
        ("x:99999", "/"),
        ("[x", "/"),
        ("user@host", "/"),
        ("a" * 64, "/"),
        (["x"], {"a": 1}),
        (None, "/../../x"),
        (None, "/x?y=/"),
        (None, "/x#y"),
        (None, "/x y\n"),
    ],
)
def test_no_object_leads_anywhere_but_to_a_service_beside_it(service: Any, prefix: Any) -> None:
    spec = {"serviceName": service, "routePrefix": prefix}
    assert read_prometheus(prometheus(**spec)).url == "http://prometheus-operated.monitoring.svc:9090"


def test_a_strategy_that_is_not_known_is_taken_for_the_narrowest() -> None:
    assert read_alertmanager(alertmanager()).strategy is Strategy.ON_NAMESPACE
    assert read_alertmanager(alertmanager(strategy="Later")).strategy is Strategy.ON_NAMESPACE
    assert read_alertmanager(alertmanager(strategy="None")).strategy is Strategy.NONE


def test_objects_of_any_shape_can_be_read() -> None:
    specs: list[Any] = [None, [], "x", {"ruleSelector": [], "excludedFromEnforcement": "x", "web": []}]
    for spec in specs:
        found = read_prometheus({"metadata": {"namespace": "a"}, "spec": spec})
        assert found.selects.objects is None
    assert read_alertmanager({}).namespace == ""


def test_the_older_form_of_an_exception_counts_as_well() -> None:
    spared = [{"ruleNamespace": "obs", "ruleName": "tracekeeper-default"}]
    found = read_prometheus(prometheus(enforcedNamespaceLabel="ns", prometheusRulesExcludedFromEnforce=spared))
    assert not found.enforces("obs", "tracekeeper-default")
    assert found.enforces("obs", "tracekeeper-other") and found.enforces("shop", "tracekeeper-default")
