"""Whatever channels a TracingConfig has, Alertmanager takes the file: no tenant's may cost the others theirs."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

import promtool
from alert_channels import put, secret, tenant
from tracekeeper_operator.alerts.alertmanager_file import EMPTY_BASE, FILE, alertmanager_file
from tracekeeper_spec.channel_fields import ADDRESS, SLACK_CHANNEL, SMARTHOST
from tracekeeper_spec.parse import parse_spec
from tracekeeper_spec.schema import Text
from tracekeeper_spec.texts import ENDPOINT, USERNAME


def text(form: Text) -> some.SearchStrategy[str]:
    """What has this form, as far as a pattern says it; not what `look` refuses, which parsing leaves out."""
    return some.from_regex(form.pattern, fullmatch=True).filter(lambda found: len(found) <= form.max_length)


ADDRESSES = some.lists(text(ADDRESS), min_size=1, max_size=3)
KINDS: tuple[some.SearchStrategy[dict[str, Any]], ...] = (
    some.fixed_dictionaries({"channel": text(SLACK_CHANNEL), "webhookURL": some.just(secret("any"))}).map(
        lambda made: {"type": "Slack", "slack": made}
    ),
    some.fixed_dictionaries(
        {"to": ADDRESSES, "from": text(ADDRESS), "smarthost": text(SMARTHOST), "username": text(USERNAME)}
    ).map(lambda made: {"type": "Email", "email": {**made, "password": secret("any")}}),
    text(ENDPOINT).map(lambda url: {"type": "Webhook", "webhook": {"url": url}}),
    text(ENDPOINT).map(lambda url: {"type": "PagerDuty", "pagerDuty": {"serviceKey": secret("any"), "url": url}}),
    text(ENDPOINT).map(lambda url: {"type": "OpsGenie", "opsGenie": {"apiKey": secret("any"), "url": url}}),
    some.just({"type": "Webhook", "webhook": secret("any")}),
)
VALUES = some.one_of(
    some.binary(max_size=80), text(ENDPOINT).map(str.encode), some.text(max_size=80).map(lambda found: found.encode())
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(some.lists(some.one_of(*KINDS), min_size=1, max_size=16), VALUES)
def test_alertmanager_takes_any_channel_that_is_written(kinds: list[dict[str, Any]], value: bytes) -> None:
    named = [{"name": f"n{index}", **kind} for index, kind in enumerate(kinds)]
    written = [each for each in named if parse_spec({"alerts": {"channels": [each]}})[1] == []]
    with tempfile.TemporaryDirectory() as folder:
        shop = tenant("shop/agents", written, {"any": {"key": value}})
        file = alertmanager_file(EMPTY_BASE, [shop], folder)
        put(file, Path(folder))
        code, said = promtool.said(promtool.amtool(), "check-config", Path(folder) / FILE)
        assert code == 0, f"{said}\n{file.data[FILE].decode()}"
    receivers = {item["name"]: item for item in yaml.safe_load(file.data[FILE])["receivers"]}
    left_out = {fault.channel for fault in file.faults}
    for each in written:
        name = f"tracekeeper/shop/agents/{each['name']}"
        assert (name in receivers) is (each["name"] not in left_out)
        if each["type"] == "Slack" and name in receivers:
            assert receivers[name]["slack_configs"][0]["channel"] == each["slack"]["channel"]
