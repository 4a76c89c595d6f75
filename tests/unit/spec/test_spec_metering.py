"""Where metrics are pushed to, as it is written."""

from __future__ import annotations

from typing import Any

import pytest

from tracekeeper_spec.metering import Metering, Push, Pushgateway, PushHeader, PushOtlp, PushType, StatsD
from tracekeeper_spec.parse import parse_spec

GATEWAY = {"name": "jobs", "type": "Pushgateway", "pushgateway": {"endpoint": "http://pushgateway.obs:9091"}}
OTLP = {
    "name": "collector",
    "type": "OTLP",
    "interval": "30s",
    "otlp": {"endpoint": "https://collector.obs", "headers": [{"name": "X-Scope-OrgID", "value": "shop"}]},
}
STATSD = {"name": "dog", "type": "StatsD", "statsd": {"endpoint": "[::1]:8125", "prefix": "agents."}}


def test_a_push_says_what_is_spoken_and_where() -> None:
    spec, faults = parse_spec({"metrics": {"push": [GATEWAY, OTLP, STATSD]}})
    assert faults == []
    assert spec.metrics == Metering(
        (
            Push("jobs", PushType.PUSHGATEWAY, 60, pushgateway=Pushgateway("http://pushgateway.obs:9091")),
            Push(
                "collector",
                PushType.OTLP,
                30,
                otlp=PushOtlp("https://collector.obs", (PushHeader("X-Scope-OrgID", "shop"),)),
            ),
            Push("dog", PushType.STATSD, 60, statsd=StatsD("[::1]:8125", "agents.")),
        )
    )


@pytest.mark.parametrize(
    ("push", "fault"),
    [
        ({**GATEWAY, "type": "OTLP"}, "spec.metrics.push[0].pushgateway: does not go with type: OTLP"),
        ({**GATEWAY, "interval": "1s"}, "spec.metrics.push[0].interval: must be from 10s to 1h"),
        ({**STATSD, "statsd": {"endpoint": "statsd.obs"}}, "spec.metrics.push[0].statsd.endpoint: must be a host"),
        (
            {**STATSD, "statsd": {"endpoint": "a..b:8125"}},
            "spec.metrics.push[0].statsd.endpoint: has a part between dots",
        ),
        ({**STATSD, "statsd": {"endpoint": "a:65536"}}, "spec.metrics.push[0].statsd.endpoint: names the port 65536"),
        (
            {**GATEWAY, "pushgateway": {"endpoint": "http://u:p@gateway"}},
            "spec.metrics.push[0].pushgateway.endpoint: must not hold a user name or password",
        ),
    ],
)
def test_what_cannot_be_pushed_to_is_a_fault(push: dict[str, Any], fault: str) -> None:
    _, faults = parse_spec({"metrics": {"push": [push]}})
    assert any(str(found).startswith(fault) for found in faults), faults
