"""Run with `pip install -e . && pytest`, in a virtual environment that has Tracekeeper."""

from __future__ import annotations

import pytest
from team_from_route import TeamFromRoute

from tracekeeper_sidecar.kit.trial import Isolated, check, make_span, run

CONFIG = {"teams": {"/pay": "billing", "/pay/refunds": "care"}, "drop": ["/healthz"]}


def test_the_longest_beginning_says_whose_it_is() -> None:
    routes = ["/pay/cards", "/pay/refunds/{id}", "/other"]
    result = run(TeamFromRoute(CONFIG), [make_span("GET", {"http.route": route}) for route in routes])
    assert [span.attributes.get("team") for span in result.spans] == ["billing", "care", None]


def test_probes_are_dropped_unless_they_fail() -> None:
    probes = [make_span("GET", {"http.route": "/healthz"}, status=status) for status in ("ok", "error")]
    result = run(TeamFromRoute(CONFIG), probes)
    assert result.dropped == 1 and [span.status for span in result.spans] == ["error"]


def test_a_config_that_cannot_be_meant_is_refused() -> None:
    with pytest.raises(ValueError, match="knows teams and drop alone"):
        TeamFromRoute({"team": {}})


def test_it_keeps_to_the_contract() -> None:
    report = check(TeamFromRoute, CONFIG, [make_span("GET", {"http.route": "/pay/cards"})])
    assert report.problems == []


def test_it_does_the_same_where_the_sidecar_runs_it() -> None:
    with Isolated(TeamFromRoute, CONFIG) as step:
        [span] = run(step, [make_span("GET", {"http.route": "/pay/cards"})]).spans
    assert span.attributes["team"] == "billing"
