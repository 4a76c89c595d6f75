"""Channels of alerts that are wrong in one way each: the section `alerts`, where the fault is, what it says, and
whether the API server refuses it too."""

from __future__ import annotations

from typing import Any

REF = {"name": "creds", "key": "token"}
C = "spec.alerts.channels[0]"


def channel(type: str, **more: object) -> dict[str, Any]:
    """A section `alerts` with one channel."""
    return {"channels": [{"name": "team", "type": type, **more}]}


FAULTY_CHANNELS: list[tuple[Any, ...]] = [
    (channel("Slack"), f"{C}.slack", "is required, because type is Slack"),
    (channel("Teams"), f"{C}.type", "must be one of Slack, Email, PagerDuty, Webhook, OpsGenie"),
    (
        channel("Slack", slack={"webhookURL": {"secretKeyRef": REF}}, webhook={"url": "http://a"}),
        f"{C}.webhook",
        "does not go with type: Slack",
    ),
    (channel("Slack", slack={"webhookURL": "http://a"}), f"{C}.slack.webhookURL", "must be a mapping"),
    (channel("Webhook", webhook={}), f"{C}.webhook", "exactly one of url and secretKeyRef"),
    (channel("PagerDuty", pagerDuty={"url": "http://a"}), f"{C}.pagerDuty", "and none is there"),
    (channel("Webhook", webhook={"url": "http://me:word@a"}), f"{C}.webhook.url", "user name or password"),
    (channel("Webhook", webhook={"url": "http://a"}, severities=[]), f"{C}.severities", "at least one"),
    (
        channel("Slack", slack={"webhookURL": {"secretKeyRef": REF}, "channel": "{{ .x }}"}),
        f"{C}.slack.channel",
        "must be a channel such as #alerts",
    ),
    (
        channel("OpsGenie", opsGenie={"apiKey": {"secretKeyRef": {"name": "tracekeeper-policy", "key": "k"}}}),
        f"{C}.opsGenie.apiKey.secretKeyRef.name",
        "the operator's own",
        False,
    ),
]
