"""Who is told of alerts: the channels of the section `alerts`, each of which becomes a receiver of Alertmanager.

Every credential is a reference to a key of a Secret in the config's namespace. These references are found by
`secrets.channel_uses` alone, never by `secrets.secret_uses`, whose values are copied to whoever may use the config.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from tracekeeper_spec.alert.severity import Severity
from tracekeeper_spec.secret_ref import SecretKeyRef, SecretSource


class ChannelType(StrEnum):
    SLACK = "Slack"
    EMAIL = "Email"
    PAGER_DUTY = "PagerDuty"
    WEBHOOK = "Webhook"
    OPS_GENIE = "OpsGenie"


@dataclass(frozen=True, slots=True)
class Slack:
    webhook_url: SecretSource
    channel: str | None
    """None: the one that the webhook belongs to."""


@dataclass(frozen=True, slots=True)
class Email:
    """Alertmanager fills in what a receiver leaves out from its own settings, and would hand the platform's password
    to a tenant's server: hence a user name and a password always."""

    to: tuple[str, ...]
    from_: str
    smarthost: str
    """`host:port`"""
    username: str
    password: SecretSource
    require_tls: bool


@dataclass(frozen=True, slots=True)
class PagerDuty:
    """Either key is there, the other is None."""

    integration_key: SecretSource | None
    """Of an integration of the type Events API v2."""
    service_key: SecretSource | None
    """Of an integration of the type Prometheus (Events API v1)."""
    url: str | None
    """None: PagerDuty's own."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """Either is there, the other is None."""

    url: str | None
    secret_key_ref: SecretKeyRef | None
    """Where the address itself is a credential."""


@dataclass(frozen=True, slots=True)
class OpsGenie:
    api_key: SecretSource
    url: str | None
    """None: OpsGenie's own."""


@dataclass(frozen=True, slots=True)
class Channel:
    """The member named after `type` is there, the others are None."""

    name: str
    type: ChannelType
    severities: tuple[Severity, ...]
    """Which alerts it takes; never none."""
    send_resolved: bool
    slack: Slack | None = None
    email: Email | None = None
    pager_duty: PagerDuty | None = None
    webhook: Webhook | None = None
    ops_genie: OpsGenie | None = None

    def references(self) -> Iterator[tuple[str, SecretKeyRef]]:
        """Every key of a Secret that it needs, with the field below the channel that does: `slack.webhookURL`."""
        if self.slack:
            yield "slack.webhookURL", self.slack.webhook_url.secret_key_ref
        if self.email:
            yield "email.password", self.email.password.secret_key_ref
        if self.pager_duty and self.pager_duty.integration_key:
            yield "pagerDuty.integrationKey", self.pager_duty.integration_key.secret_key_ref
        if self.pager_duty and self.pager_duty.service_key:
            yield "pagerDuty.serviceKey", self.pager_duty.service_key.secret_key_ref
        if self.webhook and self.webhook.secret_key_ref:
            yield "webhook", self.webhook.secret_key_ref
        if self.ops_genie:
            yield "opsGenie.apiKey", self.ops_genie.api_key.secret_key_ref
