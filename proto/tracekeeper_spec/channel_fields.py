"""The declaration of `spec.alerts.channels`; see `fields`, of which it is a part."""

from __future__ import annotations

from tracekeeper_spec.alert.severity import Severity
from tracekeeper_spec.backend_fields import SECRET_KEY_REF, SECRET_SOURCE
from tracekeeper_spec.channel import Channel, ChannelType, Email, OpsGenie, PagerDuty, Slack, Webhook
from tracekeeper_spec.schema import Boolean, Choice, Field, ListOf, Object, Text, Union
from tracekeeper_spec.texts import DNS_LABEL, ENDPOINT, USERNAME

# None of these can hold `{{`: Alertmanager would take it for the start of a template.
SLACK_CHANNEL = Text(
    80, r"^[#@]?[^ \t\r\n{}<>#@]+$", "a channel such as #alerts, a person such as @kim, or an ID such as C0123456789"
)
ADDRESS = Text(254, r"^[^ \t\r\n@,;:<>\"\\{}()]+@[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?$", "an e-mail address")
SMARTHOST = Text(
    259,
    r"^[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?:[1-9][0-9]{0,4}$",
    "host and port of a mail server, such as smtp.example.com:587",
)

SLACK = Object(
    Slack,
    (
        Field("webhookURL", SECRET_SOURCE, "The address of an incoming webhook, from a Secret.", required=True),
        Field("channel", SLACK_CHANNEL, "Where to post.", default_note="the channel that the webhook belongs to"),
    ),
)

EMAIL = Object(
    Email,
    (
        Field("to", ListOf(ADDRESS, 16, min_items=1), "Who gets it.", required=True),
        Field("from", ADDRESS, "Who it comes from.", required=True),
        Field("smarthost", SMARTHOST, "The mail server that takes it, as host:port.", required=True),
        Field(
            "username",
            USERNAME,
            "Who Alertmanager is, for that server. Without one it would offer its own user name and password.",
            required=True,
        ),
        Field("password", SECRET_SOURCE, "The password, from a Secret.", required=True),
        Field("requireTLS", Boolean(), "Whether to send nothing without TLS (STARTTLS).", default=True),
    ),
)

PAGER_DUTY = Object(
    PagerDuty,
    (
        Field("integrationKey", SECRET_SOURCE, "Key of an Events API v2 integration, from a Secret."),
        Field("serviceKey", SECRET_SOURCE, "Key of a Prometheus integration (Events API v1), from a Secret."),
        Field(
            "url",
            ENDPOINT,
            "Where Events API v2 is, for accounts elsewhere: https://events.eu.pagerduty.com/v2/enqueue",
            default_note="https://events.pagerduty.com/v2/enqueue",
        ),
    ),
    one_of=("integrationKey", "serviceKey"),
)

WEBHOOK = Object(
    Webhook,
    (
        Field("url", ENDPOINT, "Where Alertmanager posts its own JSON."),
        Field("secretKeyRef", SECRET_KEY_REF, "The key of a Secret that holds the address, where it is a credential."),
    ),
    one_of=("url", "secretKeyRef"),
)

OPS_GENIE = Object(
    OpsGenie,
    (
        Field("apiKey", SECRET_SOURCE, "Key of an API integration, from a Secret.", required=True),
        Field(
            "url",
            ENDPOINT,
            "Where the API is: https://api.eu.opsgenie.com, or anything that speaks as OpsGenie does.",
            default_note="https://api.opsgenie.com",
        ),
    ),
)

CHANNEL = Object(
    Channel,
    (
        Field("name", DNS_LABEL, "Name of the channel, for `tracekeeper alerts test`.", required=True),
        Field("type", Choice(ChannelType), "What kind of channel it is.", required=True),
        Field(
            "severities",
            ListOf(Choice(Severity), 3, min_items=1),
            "Which alerts it takes.",
            default=[severity.value for severity in Severity],
            default_note="all",
        ),
        Field("sendResolved", Boolean(), "Whether it is told, too, when an alert is over.", default=True),
        Field("slack", SLACK, "For `type: Slack`."),
        Field("email", EMAIL, "For `type: Email`."),
        Field("pagerDuty", PAGER_DUTY, "For `type: PagerDuty`."),
        Field("webhook", WEBHOOK, "For `type: Webhook`: anything that takes Alertmanager's JSON."),
        Field("opsGenie", OPS_GENIE, "For `type: OpsGenie`, and what speaks like it."),
    ),
    union=Union(
        "type",
        {
            "Slack": "slack",
            "Email": "email",
            "PagerDuty": "pagerDuty",
            "Webhook": "webhook",
            "OpsGenie": "opsGenie",
        },
    ),
)

CHANNELS = ListOf(CHANNEL, 16, unique="name")
