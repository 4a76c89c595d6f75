"""A config's routes and receivers as an AlertmanagerConfig: pure.

It may lie in the config's namespace, or, for a config of the root namespace, in that of the Alertmanager. References to
Secrets are by name, and mean the namespace in which it lies.

Alertmanager fills in what a receiver leaves out by its own global settings. So that these, and the credentials in them,
do not go to an address that a tenant wrote, receivers of tenants leave nothing out by which they would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tracekeeper_spec.alert.routing import NOBODY, Inhibition, Matcher, Receiver, Routing
from tracekeeper_spec.channel import Channel, ChannelType
from tracekeeper_spec.secret_ref import SecretKeyRef, SecretSource
from tracekeeper_spec.units import format_duration

from .. import names
from .channel_receiver import is_plain
from .kinds import ALERTMANAGER_CONFIGS
from .objects import Object, made, part_of_name
from .templates import DETAILS, HTML, LINK, PRIORITY, SEVERITY, SLACK_COLOR, SLACK_TEXT, TEXT, TEXTS, TITLE

NO_GLOBAL: Object = {"followRedirects": False}
"""What keeps Alertmanager's global `http_config` out of a receiver; redirects lead to addresses that nobody wrote."""


def own_name(config: str) -> str:
    """Of the object in the config's own namespace."""
    return names.OBJECT_PREFIX + part_of_name(config)


def far_name(config: str) -> str:
    """Of the object in the Alertmanager's namespace. No config there has an object of such a name."""
    return f"root.{part_of_name(config)}.{names.GROUP}"


def alertmanager_config(
    routes: Routing, namespace: str, name: str, labels: Mapping[str, str], *, root: bool, owner: Object | None
) -> Object:
    """The object that has these routes. `root`: they are the platform's own, whose global settings they may use."""
    usable = [each for each in routes.receivers if not refused(each.channel)]
    spec: Object = {
        "route": {
            "receiver": NOBODY,
            "matchers": _matchers(routes.matchers),
            "groupBy": list(routes.group_by),
            "groupWait": format_duration(routes.group_wait),
            "groupInterval": format_duration(routes.group_interval),
            "repeatInterval": format_duration(routes.repeat_interval),
            "routes": [route for receiver in usable for route in _routes(receiver)],
        },
        "receivers": [{"name": NOBODY}, *(_receiver(each, root=root) for each in usable)],
        "inhibitRules": [_inhibition(rule) for rule in routes.inhibitions],
    }
    return made(ALERTMANAGER_CONFIGS, namespace, name, labels, spec, of=routes.config, owner=owner)


def refused(channel: Channel) -> str:
    """Why the channel is left out, because the Prometheus operator would refuse the whole object; else empty."""
    for field, url in (
        ("webhook.url", channel.webhook.url if channel.webhook else None),
        ("pagerDuty.url", channel.pager_duty.url if channel.pager_duty else None),
        ("opsGenie.url", channel.ops_genie.url if channel.ops_genie else None),
    ):
        if url is not None and not is_plain(url):
            problem = "is not an address that Alertmanager takes: write http:// or https://, host and path"
            return f"channel {channel.name}: {field} {problem}"
    return ""


def references(routes: Routing) -> dict[str, set[str]]:
    """The Secrets that receivers need: names to keys."""
    found: dict[str, set[str]] = {}
    for receiver in routes.receivers:
        for _, reference in receiver.channel.references():
            found.setdefault(reference.name, set()).add(reference.key)
    return found


def _routes(receiver: Receiver) -> list[Object]:
    return [
        {"receiver": receiver.name, "matchers": _matchers(matchers), "continue": True}
        for matchers in (receiver.matchers, receiver.test)
    ]


def _receiver(receiver: Receiver, *, root: bool) -> Object:
    channel = receiver.channel
    field, make = _MAKERS[channel.type]
    config = {"sendResolved": channel.send_resolved, **make(channel)}
    if not root and channel.type is not ChannelType.EMAIL:
        config["httpConfig"] = dict(NO_GLOBAL)
    return {"name": receiver.name, field: [config]}


def _slack(channel: Channel) -> Object:
    slack = channel.slack
    assert slack is not None
    return {
        "apiURL": _key(slack.webhook_url),
        **({"channel": slack.channel} if slack.channel is not None else {}),
        "title": TEXTS[TITLE],
        "titleLink": TEXTS[LINK],
        "text": TEXTS[SLACK_TEXT],
        "color": TEXTS[SLACK_COLOR],
        "fallback": TEXTS[TITLE],
    }


def _email(channel: Channel) -> Object:
    email = channel.email
    assert email is not None
    return {
        "to": ", ".join(email.to),
        "from": email.from_,
        "smarthost": email.smarthost,
        "authUsername": email.username,
        "authPassword": _key(email.password),
        # Also for servers that want CRAM-MD5: without it, these would be shown what the global secret makes of theirs.
        "authSecret": _key(email.password),
        "requireTLS": email.require_tls,
        "tlsConfig": {"serverName": email.smarthost.rpartition(":")[0]},
        "headers": [{"key": "Subject", "value": TEXTS[TITLE]}],
        "html": TEXTS[HTML],
        "text": TEXTS[TEXT],
    }


def _pager_duty(channel: Channel) -> Object:
    duty = channel.pager_duty
    assert duty is not None
    found: Object = {
        "description": TEXTS[TITLE],
        "severity": TEXTS[SEVERITY],
        "details": _details(),
    }
    if duty.integration_key is not None:
        found["routingKey"] = _key(duty.integration_key)
    if duty.service_key is not None:
        found["serviceKey"] = _key(duty.service_key)
    if duty.url is not None:
        found["url"] = duty.url
    return found


def _webhook(channel: Channel) -> Object:
    webhook = channel.webhook
    assert webhook is not None
    if webhook.secret_key_ref is not None:
        return {"urlSecret": _reference(webhook.secret_key_ref)}
    return {"url": webhook.url}


def _ops_genie(channel: Channel) -> Object:
    genie = channel.ops_genie
    assert genie is not None
    return {
        "apiKey": _key(genie.api_key),
        **({"apiURL": genie.url} if genie.url is not None else {}),
        "message": TEXTS[TITLE],
        "description": TEXTS[TEXT],
        "priority": TEXTS[PRIORITY],
        "details": _details(),
    }


_MAKERS: Mapping[ChannelType, tuple[str, Callable[[Channel], Object]]] = {
    ChannelType.SLACK: ("slackConfigs", _slack),
    ChannelType.EMAIL: ("emailConfigs", _email),
    ChannelType.PAGER_DUTY: ("pagerdutyConfigs", _pager_duty),
    ChannelType.WEBHOOK: ("webhookConfigs", _webhook),
    ChannelType.OPS_GENIE: ("opsgenieConfigs", _ops_genie),
}


def _details() -> list[dict[str, str]]:
    return [{"key": key, "value": TEXTS[text]} for key, text in DETAILS.items()]


def _key(source: SecretSource) -> dict[str, str]:
    return _reference(source.secret_key_ref)


def _reference(reference: SecretKeyRef) -> dict[str, str]:
    return {"name": reference.name, "key": reference.key}


def _matchers(matchers: Iterable[Matcher]) -> list[dict[str, Any]]:
    return [{"name": each.name, "value": each.value, "matchType": str(each.type)} for each in matchers]


def _inhibition(rule: Inhibition) -> Object:
    return {
        "sourceMatch": _matchers(rule.source),
        "targetMatch": _matchers(rule.target),
        "equal": list(rule.equal),
    }
