"""A test of one channel: the alert that is sent, and what its Alertmanager makes of it. Pure.

The alert carries a label that leads to that channel alone (`alert/routing`). Alertmanager counts what it has sent by
the kind of a channel, and not by the channel, so that other alerts may have added to what is seen.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tracekeeper_cli.errors import CLIError
from tracekeeper_spec.alert.routing import CONFIG_LABEL, TEST_ALERT, TEST_LABEL
from tracekeeper_spec.channel import Channel, ChannelType
from tracekeeper_spec.config import TracingConfig

LASTS = 120.0
"""Seconds until the alert counts as over."""
INTEGRATIONS = {
    ChannelType.SLACK: "slack",
    ChannelType.EMAIL: "email",
    ChannelType.PAGER_DUTY: "pagerduty",
    ChannelType.WEBHOOK: "webhook",
    ChannelType.OPS_GENIE: "opsgenie",
}
"""What Alertmanager's metrics call them."""
CALLS, FAILED = "alertmanager_notification_requests_total", "alertmanager_notification_requests_failed_total"
"""Not notifications: one is counted before it is known whether it can be sent, and as failed only after long tries."""
_SAMPLE = re.compile(r'^(\w+)\{[^}]*\bintegration="(\w+)"[^}]*\} ([0-9.eE+]+)$', re.MULTILINE)


def channels_of(config: TracingConfig) -> tuple[Channel, ...]:
    return config.spec.alerts.channels if config.spec.alerts is not None else ()


def chosen(configs: Sequence[TracingConfig], name: str, config: str | None) -> tuple[TracingConfig, Channel]:
    """The config that is meant, and its channel `name`. Raises CLIError."""
    having = [(each, channel) for each in configs for channel in channels_of(each) if channel.name == name]
    found = [pair for pair in having if config in (None, pair[0].name)]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(each.name for each, _ in found)
        raise CLIError(f"channel {name} is in several TracingConfigs ({names}): say which with --config")
    there = sorted({f"{each.name}: {channel.name}" for each in configs for channel in channels_of(each)})
    where = f"TracingConfig {config}" if config else "no TracingConfig of this namespace"
    has = "has no channel of this name" if config else "has a channel of this name"
    raise CLIError(f"{name}: {where} {has}; there are {', '.join(there) or 'none at all'}")


def alert(config: TracingConfig, channel: Channel, now: float, mark: str) -> dict[str, Any]:
    """For Alertmanager's API; `mark` tells this test from others, `now` is Unix time."""
    begin = datetime.datetime.fromtimestamp(now, datetime.UTC)
    return {
        "labels": {
            "alertname": TEST_ALERT,
            "severity": channel.severities[0].value,
            "namespace": config.namespace,
            CONFIG_LABEL: f"{config.namespace}/{config.name}",
            TEST_LABEL: channel.name,
            "tracekeeper_test": mark,
        },
        "annotations": {
            "summary": f"This is a test of the channel {channel.name}",
            "description": "Somebody has asked for it with `tracekeeper alerts test`. Nothing is wrong.",
        },
        "startsAt": begin.isoformat(),
        "endsAt": (begin + datetime.timedelta(seconds=LASTS)).isoformat(),
    }


def receivers(alerts: Iterable[Mapping[str, Any]], mark: str) -> list[str] | None:
    """Where Alertmanager routes the test; None while it does not show it."""
    for item in alerts:
        labels = item.get("labels")
        if isinstance(labels, Mapping) and labels.get("tracekeeper_test") == mark:
            return [str(each.get("name")) for each in item.get("receivers") or () if isinstance(each, Mapping)]
    return None


def leads_there(names: Iterable[str], config: TracingConfig, channel: Channel) -> bool:
    """Whether the channel is among these receivers: ours of a plain file, or the Prometheus operator's of an
    AlertmanagerConfig, which it calls `NAMESPACE/OBJECT/RECEIVER`."""
    plain = f"tracekeeper/{config.namespace}/{config.name}/{channel.name}"
    return any(
        name == plain or (name.endswith(f"/{channel.name}") and not name.startswith("tracekeeper/")) for name in names
    )


@dataclass(frozen=True, slots=True)
class Counts:
    """Of the calls of one kind of channel, since Alertmanager has started."""

    calls: float = 0.0
    failed: float = 0.0


def counts(metrics: str, channel: Channel) -> Counts:
    """From what Alertmanager exposes."""
    wanted = INTEGRATIONS[channel.type]
    found = dict.fromkeys((CALLS, FAILED), 0.0)
    for name, integration, value in _SAMPLE.findall(metrics):
        if integration == wanted and name in found:
            found[name] += float(value)
    return Counts(found[CALLS], found[FAILED])


def verdict(channel: Channel, before: Counts, now: Counts) -> tuple[bool, str] | None:
    """Whether it went well, and what is said of it; None while nothing was sent."""
    kind = INTEGRATIONS[channel.type]
    calls, failed = now.calls - before.calls, now.failed - before.failed
    if failed > 0:
        return False, f"{failed:g} of {calls:g} calls by {kind} failed: Alertmanager's log says why, and it tries again"
    if calls > 0:
        note = f"Alertmanager counts by kind: other alerts by {kind} may be among them"
        return True, f"sent by {kind}: +{calls:g}, failed: +0. Look for it in the channel. ({note})"
    return None
