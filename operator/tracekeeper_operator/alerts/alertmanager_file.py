"""A complete alertmanager.yml: the platform's own, with the routes and receivers of TracingConfigs in it. Pure.

It is for an Alertmanager that no Prometheus operator looks after, and is the key FILE of a Secret, beside TEMPLATES and
a key for each credential; all of it is to be mounted at FOLDER.

What the platform wrote stays as it was, with three exceptions. Our routes come first, each with `continue`, so that the
platform's routes see every alert too (its last resort, the receiver of the root route, gets what no route has matched).
Our receivers and inhibitions come after its own. And the user name and password that it has for mail as a whole go into
each of its own receivers instead, because Alertmanager would use them for a tenant's mail server as well.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from tracekeeper_spec.alert.routing import Inhibition, Matcher, Routing
from tracekeeper_spec.channel import Channel
from tracekeeper_spec.secrets import Secrets
from tracekeeper_spec.units import format_duration

from . import templates
from .channel_receiver import Unusable, receiver
from .yaml_nodes import (
    Value,
    YamlError,
    compose,
    copied,
    get,
    keys,
    list_at,
    mapping_at,
    mappings_at,
    node,
    put,
    remove,
    serialize,
    text,
)

SECRET = "tracekeeper-alertmanager"
FILE, TEMPLATES = "alertmanager.yml", "tracekeeper.tmpl"
FOLDER = "/etc/tracekeeper/alertmanager"
MOST = 1_000_000
"""Bytes of all keys together: Kubernetes keeps no Secret above 1 MiB."""
PREFIX = "tracekeeper/"
"""Of the names of our receivers, and of nobody else's."""
EMPTY_BASE = "route:\n  receiver: nobody\nreceivers:\n- name: nobody\n"
"""Where the platform has no alertmanager.yml of its own: what is not for a channel is told to nobody."""

_MAIL = ("auth_username", "auth_password", "auth_password_file", "auth_secret", "auth_identity")
_HTTP = ("enable_http2", "proxy_url", "no_proxy", "proxy_from_environment")
_TLS = ("ca", "ca_file", "insecure_skip_verify", "min_version", "max_version")


class BaseError(ValueError):
    """The platform's alertmanager.yml cannot be used; the message says why. What was written before stays."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """A config that has channels."""

    routing: Routing
    secrets: Secrets
    """Of its namespace."""
    forbidden: frozenset[str] = frozenset()
    """Names of those among them that the operator may not read."""


@dataclass(frozen=True, slots=True)
class ChannelFault:
    """A channel that is left out."""

    config: str
    """`namespace/name`"""
    channel: str
    problem: str
    hint: str = ""

    def __str__(self) -> str:
        found = f"channel {self.channel}: {self.problem}"
        return f"{found} ({self.hint})" if self.hint else found


@dataclass(frozen=True, slots=True)
class AlertmanagerFile:
    """What is to be written."""

    data: Mapping[str, bytes]
    """Of the Secret, by key."""
    marker: str
    """The name of a receiver that only this content has: once Alertmanager shows it, it has loaded this."""
    faults: tuple[ChannelFault, ...]
    remarks: tuple[str, ...]
    """About the platform's file: what is probably not meant so."""


def alertmanager_file(base: str, tenants: Sequence[Tenant], folder: str = FOLDER) -> AlertmanagerFile:
    """All channels of `tenants` in the platform's `base`. Raises BaseError.

    It takes about a millisecond for a channel, so call it in a thread.
    """
    try:
        root = compose(base)
        _check(root)
        http = _http(root)
        _keep_mail_to_itself(root)
        data: dict[str, bytes] = {TEMPLATES: templates.definitions().encode()}
        faults: list[ChannelFault] = []
        room = MOST - len(base.encode()) * 2 - len(data[TEMPLATES])
        routes: list[Node] = []
        receivers: list[Node] = []
        inhibitions: list[Node] = []
        for tenant in sorted(tenants, key=lambda tenant: tenant.routing.config):
            for made in _channels(tenant, folder, http):
                if isinstance(made, ChannelFault):
                    faults.append(made)
                    continue
                room -= made.size
                if room < 0:
                    problem = f"the Secret {SECRET} is full: it may have {MOST} bytes"
                    faults.append(ChannelFault(tenant.routing.config, made.name, problem, "use fewer channels"))
                    continue
                routes += map(node, made.routes)
                receivers.append(node(made.receiver))
                if made.credential is not None:
                    data[credential_key(tenant.routing.config, made.name)] = made.credential
            inhibitions += [node(_inhibition(each)) for each in tenant.routing.inhibitions]
        _extend(root, "receivers", receivers)
        if inhibitions:
            _extend(root, "inhibit_rules", inhibitions)
        _extend(root, "templates", [node(f"{folder}/{TEMPLATES}")])
        route = mapping_at(root, "route", "")
        assert route is not None
        root.flow_style = route.flow_style = False
        put(route, "routes", _list([*routes, *list_at(route, "routes", "route.")]))
        marker = _mark(root)
        data[FILE] = serialize(root).encode()
        if sum(map(len, data.values())) > MOST:
            raise YamlError(f"with the channels in it, it has more than {MOST} bytes")
    except YamlError as error:
        raise BaseError(str(error)) from None
    return AlertmanagerFile(data, marker, tuple(faults), tuple(_remarks(base)))


def credential_key(config: str, channel: str) -> str:
    """The key of a channel's credential: `shop.agents.oncall`. It is told from FILE and TEMPLATES by its two dots."""
    namespace, _, name = config.partition("/")
    if len(name) > 120:
        name = hashlib.sha256(name.encode()).hexdigest()[:32]
    return f"{namespace}.{name}.{channel}"


def receiver_name(config: str, channel: str) -> str:
    return f"{PREFIX}{config}/{channel}"


@dataclass(frozen=True, slots=True)
class _Made:
    name: str
    routes: tuple[Mapping[str, Value], ...]
    receiver: Mapping[str, Value]
    credential: bytes | None

    @property
    def size(self) -> int:
        """Bytes that it takes at most: what is nested is indented."""
        return 2 * len(repr(self.routes)) + 2 * len(repr(self.receiver)) + 2 * len(self.credential or b"")


def _unread(channel: Channel, tenant: Tenant) -> Unusable | None:
    """Of a Secret that may be there, and that nobody lets the operator see. One that it has seen stays in use."""
    for field, ref in channel.references():
        if ref.name in tenant.forbidden and tenant.secrets.get(ref.name, ref.key) is None:
            return Unusable(f"{field}: the operator may not read Secret {ref.name!r}", "see rbac.secretNamespaces")
    return None


def _channels(tenant: Tenant, folder: str, http: Mapping[str, Value]) -> Iterator[_Made | ChannelFault]:
    routing = tenant.routing
    for each in routing.receivers:
        path = f"{folder}/{credential_key(routing.config, each.name)}"
        made = _unread(each.channel, tenant) or receiver(each.channel, tenant.secrets, path, http)
        if isinstance(made, Unusable):
            yield ChannelFault(routing.config, each.name, made.problem, made.hint)
            continue
        name = receiver_name(routing.config, each.name)
        routes = tuple(_route(routing, name, (*routing.matchers, *matchers)) for matchers in (each.matchers, each.test))
        yield _Made(each.name, routes, {"name": name, **made[0]}, made[1])


def _route(routing: Routing, name: str, matchers: Sequence[Matcher]) -> Mapping[str, Value]:
    return {
        "receiver": name,
        "matchers": [str(matcher) for matcher in matchers],
        "group_by": list(routing.group_by),
        "group_wait": format_duration(routing.group_wait),
        "group_interval": format_duration(routing.group_interval),
        "repeat_interval": format_duration(routing.repeat_interval),
        "continue": True,
    }


def _inhibition(inhibition: Inhibition) -> Mapping[str, Value]:
    return {
        "source_matchers": [str(matcher) for matcher in inhibition.source],
        "target_matchers": [str(matcher) for matcher in inhibition.target],
        "equal": list(inhibition.equal),
    }


def _check(root: MappingNode) -> None:
    """What must hold so that ours can be put in. Raises YamlError."""
    names = keys(root)
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise YamlError(f"{twice} is there twice")
    route = mapping_at(root, "route", "")
    if route is None:
        raise YamlError("it has no route")
    receivers = [text(item, "name") for item in mappings_at(root, "receivers", "")]
    wanted = text(route, "receiver")
    if not wanted or wanted not in receivers:
        raise YamlError(f"route.receiver is {wanted!r}, which is none of its receivers")
    ours = next((name for name in receivers if name.startswith(PREFIX)), None)
    if ours:
        raise YamlError(f"it has a receiver {ours!r}, and names that begin with {PREFIX!r} are Tracekeeper's own")
    for name in ("inhibit_rules", "templates"):
        list_at(root, name, "")
    list_at(route, "routes", "route.")


def _keep_mail_to_itself(root: MappingNode) -> None:
    """What `global` has for mail servers as a whole goes into each receiver of the platform that lacks it, as
    Alertmanager's own reading would have it."""
    settings = mapping_at(root, "global", "")
    if settings is None:
        return
    general = {name: found for name in _MAIL if (found := get(settings, f"smtp_{name}")) is not None}
    for item in mappings_at(root, "receivers", ""):
        for config in mappings_at(item, "email_configs", "receivers[].") if general else ():
            own = {name for name in _MAIL if text(config, name)}
            if own & {"auth_password", "auth_password_file"}:
                own |= {"auth_password", "auth_password_file"}
            for name, value in general.items():
                if name not in own:
                    put(config, name, copied(value))
    for name in general:
        remove(settings, f"smtp_{name}")


def _http(root: MappingNode) -> Mapping[str, Value]:
    """How the platform's requests leave: by which proxy, and whom they trust. Not who they are from, and
    not to addresses that nobody wrote."""
    settings = mapping_at(root, "global", "")
    general = mapping_at(settings, "http_config", "global.") if settings else None
    trust = mapping_at(general, "tls_config", "global.http_config.") if general else None
    found = dict(_plain(general, _HTTP))
    tls = dict(_plain(trust, _TLS))
    return {"follow_redirects": False, **found, **({"tls_config": tls} if tls else {})}


def _plain(mapping: MappingNode | None, names: Sequence[str]) -> Iterator[tuple[str, Value]]:
    for name in names:
        found = get(mapping, name) if mapping else None
        if isinstance(found, ScalarNode):
            switch = found.tag == "tag:yaml.org,2002:bool"
            yield name, found.value.lower() in ("true", "yes", "on") if switch else str(found.value)


def _extend(root: MappingNode, name: str, more: Sequence[Node]) -> None:
    put(root, name, _list([*list_at(root, name, ""), *more]))


def _list(items: list[Node]) -> Node:
    return SequenceNode("tag:yaml.org,2002:seq", items, flow_style=False)


def _mark(root: MappingNode) -> str:
    """Put in a receiver that nothing leads to, whose name tells this content from any other."""
    marker = f"{PREFIX}content/{hashlib.sha256(serialize(root).encode()).hexdigest()[:16]}"
    _extend(root, "receivers", [node({"name": marker})])
    return marker


def _remarks(base: str) -> Iterator[str]:
    for item in list_at(compose(base), "templates", ""):
        if isinstance(item, ScalarNode) and not item.value.startswith("/"):
            yield f"templates: {item.value!r} is looked for in {FOLDER} now: write the whole path"
