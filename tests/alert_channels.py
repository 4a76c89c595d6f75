"""Channels of TracingConfigs, for tests: as people write them, and as the operator holds them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tracekeeper_operator.alerts.alertmanager_file import AlertmanagerFile, Tenant
from tracekeeper_spec.alert.routing import Routing, routing
from tracekeeper_spec.config import ConfigSpec
from tracekeeper_spec.parse import parse_spec
from tracekeeper_spec.secrets import DocumentSecrets

Channel = Mapping[str, Any]


def secret(name: str, key: str = "key") -> dict[str, Any]:
    return {"secretKeyRef": {"name": name, "key": key}}


def channels(url: str = "http://127.0.0.1:9", smarthost: str = "localhost:9") -> list[dict[str, Any]]:
    """One of each type; all that they say goes to `url` and `smarthost`."""
    address = "team@example.com"
    return [
        {"name": "oncall", "type": "PagerDuty", "severities": ["critical"]}
        | {"pagerDuty": {"integrationKey": secret("pager"), "url": f"{url}/pager/enqueue"}},
        {"name": "team", "type": "Slack", "severities": ["warning", "critical"]}
        | {"slack": {"channel": "#alerts", "webhookURL": secret("slack")}},
        {"name": "post", "type": "Email", "severities": ["info", "critical"]}
        | {
            "email": {"to": [address, "boss@example.com"], "from": "alerts@example.com", "smarthost": smarthost}
            | {"username": "alerts", "password": secret("post"), "requireTLS": False}
        },
        {"name": "hook", "type": "Webhook", "webhook": {"url": f"{url}/hook"}},
        {"name": "hidden", "type": "Webhook", "webhook": secret("hook")},
        {"name": "genie", "type": "OpsGenie", "severities": ["critical"]}
        | {"opsGenie": {"apiKey": secret("genie"), "url": f"{url}/genie/"}},
        {"name": "old", "type": "PagerDuty", "severities": ["info"], "pagerDuty": {"serviceKey": secret("pager")}},
    ]


def values(url: str = "http://127.0.0.1:9") -> dict[str, Mapping[str, bytes]]:
    """The Secrets that `channels` refers to."""
    texts = {"pager": "key-of-pager", "slack": f"{url}/slack\n", "post": "key-of-post", "hook": f"{url}/hidden"}
    return {name: {"key": text.encode()} for name, text in {**texts, "genie": "key-of-genie"}.items()}


def spec(written: list[Any], renotify: str = "5m") -> ConfigSpec:
    """A config with these channels."""
    found, faults = parse_spec({"alerts": {"renotify": renotify, "channels": written}})
    assert faults == []
    return found


def routes(config: str, written: list[Any], *, root: bool = False) -> Routing:
    alerts = spec(written).alerts
    assert alerts is not None
    return routing(alerts, config, root=root)


def tenant(
    config: str, written: list[Any], secrets: Mapping[str, Mapping[str, bytes]], *, root: bool = False
) -> Tenant:
    return Tenant(routes(config, written, root=root), DocumentSecrets(secrets))


def impatient(tenant: Tenant) -> Tenant:
    """The same without the waits that keep people's phones quiet."""
    quick = dataclasses.replace(tenant.routing, group_wait=0.3, group_interval=0.1, repeat_interval=3600)
    return dataclasses.replace(tenant, routing=quick)


def put(file: AlertmanagerFile, folder: Path) -> None:
    """Write it as the kubelet would."""
    folder.mkdir(exist_ok=True)
    for key, value in file.data.items():
        (folder / key).write_bytes(value)
