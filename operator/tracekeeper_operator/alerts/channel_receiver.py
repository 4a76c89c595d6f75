"""One channel as a receiver of a plain alertmanager.yml, in the words of Alertmanager 0.25. Pure.

Whatever a receiver leaves out, Alertmanager takes from its own `global`, credentials included. So a receiver of ours
leaves out nothing by which the platform's credentials could come to an address that a tenant has named.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from tracekeeper_spec.channel import Channel, ChannelType, Email, OpsGenie, PagerDuty, Slack, Webhook
from tracekeeper_spec.secrets import Secrets

from . import templates
from .yaml_nodes import Value

MAX_CREDENTIAL = 4096
"""Bytes. Keys are short, and an address that is a credential is not long."""
PAGER_DUTY_URL = "https://events.pagerduty.com/v2/enqueue"
OPS_GENIE_URL = "https://api.opsgenie.com/"

# What Go's url.Parse takes without question; one that it refuses would make Alertmanager refuse the whole file.
_URL = re.compile(
    r"https?://([A-Za-z0-9]([-A-Za-z0-9._]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?"
    r"(/([-A-Za-z0-9._~!$&'()*+,;=:@/]|%[0-9A-Fa-f]{2})*)?(\?([-A-Za-z0-9._~!$&'()*+,;=:@/?]|%[0-9A-Fa-f]{2})*)?"
)


@dataclass(frozen=True, slots=True)
class Unusable:
    """Why there is no receiver for a channel."""

    problem: str
    hint: str = ""


def receiver(
    channel: Channel, secrets: Secrets, path: str, http: Mapping[str, Value]
) -> tuple[Mapping[str, Value], bytes | None] | Unusable:
    """The receiver without its name, and what the file at `path` must hold (None: nothing).

    `http` is the `http_config` that it shall have: how requests leave, and no credential.
    """
    found = _credential(channel, secrets)
    if isinstance(found, Unusable):
        return found
    common: dict[str, Value] = {"send_resolved": channel.send_resolved}
    match channel.type:
        case ChannelType.SLACK:
            assert channel.slack is not None
            return {"slack_configs": [{**common, **_slack(channel.slack, path), "http_config": http}]}, found
        case ChannelType.EMAIL:
            assert channel.email is not None
            return {"email_configs": [{**common, **_email(channel.email, path)}]}, found
        case ChannelType.PAGER_DUTY:
            assert channel.pager_duty is not None
            made = _pager_duty(channel.pager_duty, path)
            key = "pagerduty_configs"
        case ChannelType.OPS_GENIE:
            assert channel.ops_genie is not None
            made = _ops_genie(channel.ops_genie, path)
            key = "opsgenie_configs"
        case ChannelType.WEBHOOK:
            assert channel.webhook is not None
            made = _webhook(channel.webhook, found)
            key, found = "webhook_configs", None
    return made if isinstance(made, Unusable) else ({key: [{**common, **made, "http_config": http}]}, found)


def _credential(channel: Channel, secrets: Secrets) -> bytes | Unusable | None:
    for field, ref in channel.references():
        value = secrets.get(ref.name, ref.key)
        if value is None:
            return Unusable(f"{field}: Secret {ref.name!r} has no key {ref.key!r}, or does not exist", "create it")
        value = value.strip()
        if not 0 < len(value) <= MAX_CREDENTIAL or re.search(rb"[\x00-\x1f\x7f]", value):
            problem = (
                f"{field}: key {ref.key!r} of Secret {ref.name!r} is not one line of at most {MAX_CREDENTIAL} bytes"
            )
            return Unusable(problem, "write the value alone, without a line end")
        return value
    return None


def _slack(slack: Slack, path: str) -> dict[str, Value]:
    call = templates.call
    fields: dict[str, Value] = {
        "api_url_file": path,
        "title": call(templates.TITLE),
        "title_link": call(templates.LINK),
        "text": call(templates.SLACK_TEXT),
        "fallback": call(templates.TITLE),
        "color": call(templates.SLACK_COLOR),
    }
    return {**fields, "channel": slack.channel} if slack.channel else fields


def _email(email: Email, path: str) -> dict[str, Value]:
    return {
        "to": ", ".join(email.to),
        "from": email.from_,
        "smarthost": email.smarthost,
        "auth_username": email.username,
        "auth_password_file": path,
        "require_tls": email.require_tls,
        "headers": {"Subject": templates.call(templates.TITLE)},
        "html": templates.call(templates.HTML),
        "text": templates.call(templates.TEXT),
    }


def _pager_duty(pager: PagerDuty, path: str) -> dict[str, Value] | Unusable:
    url = pager.url or PAGER_DUTY_URL
    if not is_plain(url):
        return _not_plain("pagerDuty.url")
    return {
        "routing_key_file" if pager.integration_key else "service_key_file": path,
        "url": url,
        "client": "Tracekeeper",
        "description": templates.call(templates.TITLE),
        "severity": templates.call(templates.SEVERITY),
        "details": _details(),
    }


def _ops_genie(genie: OpsGenie, path: str) -> dict[str, Value] | Unusable:
    url = genie.url or OPS_GENIE_URL
    if not is_plain(url):
        return _not_plain("opsGenie.url")
    return {
        "api_key_file": path,
        "api_url": url if url.endswith("/") else f"{url}/",
        "message": templates.call(templates.TITLE),
        "description": templates.call(templates.TEXT),
        "source": "Tracekeeper",
        "priority": templates.call(templates.PRIORITY),
        "details": _details(),
    }


def _webhook(webhook: Webhook, value: bytes | None) -> dict[str, Value] | Unusable:
    """Alertmanager 0.25 has no `url_file` for it."""
    url = webhook.url or (value or b"").decode("ascii", "replace")
    return {"url": url} if is_plain(url) else _not_plain("webhook")


def _details() -> dict[str, Value]:
    return {name: templates.call(text) for name, text in templates.DETAILS.items()}


def is_plain(url: str) -> bool:
    """Whether Alertmanager surely takes it for the address of something."""
    found = _URL.fullmatch(url)
    return found is not None and (found[3] is None or 0 < int(found[3][1:]) < 65536)


def _not_plain(field: str) -> Unusable:
    return Unusable(f"{field}: is not an address that Alertmanager takes", "write http:// or https://, host and path")
