"""Plain files for a Prometheus and an Alertmanager that no Prometheus operator looks after: read, written, reloaded.

What is in them is decided in `plain_rules` and `alertmanager_file`.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import aiohttp

from tracekeeper_spec.alert.builtin import operator_rules
from tracekeeper_spec.alert.compiled import Compiled
from tracekeeper_spec.alert.routing import Routing, routing

from .. import names
from ..clock import Clock
from ..errors import KubeError, NotFound
from ..kinds import CONFIG_MAPS, SECRETS
from ..kube import Kube, Object
from ..secret_read import read_secret
from . import reload as reloading
from .alertmanager_file import EMPTY_BASE, FILE, SECRET, AlertmanagerFile, BaseError, Tenant, alertmanager_file
from .channel_secrets import ChannelSecrets
from .deliver import Way, Ways
from .loaded import PATIENCE, Written
from .options import AlertOptions
from .plain_rules import MAPS, OPERATOR_KEY, pack, rule_file, rule_key
from .prometheus_rule import OPERATOR
from .wanted import Alerting

logger = logging.getLogger(__name__)

READ_EVERY = 900.0
"""Seconds after which our own files are read again, in case that somebody else has changed them."""
BASE_EVERY = 300.0
"""Seconds after which the platform's alertmanager.yml is read again."""
SETTLED = 600.0
"""Seconds from the beginning in which routes of configs stay that nobody has been able to read yet."""


@dataclass
class _Files:
    """What is there, as it was read or written last."""

    maps: dict[str, Mapping[str, str]] = field(default_factory=dict)
    secret: Mapping[str, bytes] | None = None
    read_at: float = float("-inf")


class Plain:
    """Does nothing unless the chart names a namespace. One task calls it."""

    def __init__(self, kube: Kube, options: AlertOptions, clock: Clock) -> None:
        self._kube, self._options, self._clock = kube, options, clock
        self._secrets = ChannelSecrets(kube, clock)
        self._files = _Files()
        self._began = clock.monotonic()
        self._texts: dict[str, tuple[Compiled, str, str]] = {}
        """By the key of a file: what it was made from, its text, and a digest of that. Making them takes long."""
        self._changed: dict[str, tuple[str, float]] = {}
        """By the key of a file, a digest of it and when that came."""
        self._problem = ""
        """Why they could not be read or written the last time."""
        self._left_out: frozenset[str] = frozenset()
        self._notes: dict[str, tuple[str, ...]] = {}
        """By config, about its channels."""
        self._base = EMPTY_BASE
        self._base_at = float("-inf")
        self._base_problem = ""
        self._made: AlertmanagerFile | None = None
        """The last content that could be made."""
        self._made_from = ""
        """A digest of what that, or the attempt that failed since, was made from."""
        self._unmade = ""
        """Why that attempt failed; empty when it did not."""
        self._reloads: dict[str, reloading.Reload] = {}
        """By address."""
        self._reload_problems: dict[str, str] = {}

    @property
    def waiting(self) -> bool:
        """Whether a program has not shown its new content yet."""
        return any(not each.done for each in self._reloads.values())

    async def write(
        self, items: Sequence[Alerting], chosen: Ways, unread: Collection[tuple[str, str]]
    ) -> KubeError | None:
        """Bring the files to what they should be; why that failed."""
        if not self._options.plain_namespace:
            return None
        try:
            await self._read_files()
            await self._write_rules(items if chosen.rules is Way.PLAIN else (), chosen, unread)
            await self._write_routes(items if chosen.routes is Way.PLAIN else (), unread)
        except KubeError as error:
            self._problem = str(error)
            return error
        self._problem = ""
        return None

    async def reload(self, loaded: bool) -> None:
        """Tell Prometheus and Alertmanager to read again what they do not show. `loaded`: Prometheus shows all
        rules."""
        if not self._options.plain_namespace:
            return
        now = self._clock.monotonic()
        marker = self._made.marker if self._made is not None else ""
        rules = hashlib.sha256(repr(sorted(self._changed.items())).encode()).hexdigest()
        async with aiohttp.ClientSession() as session:
            if url := self._options.prometheus_url:
                state = self._state(url, rules, now)
                # What is gone from the files does not show, so calls go on until the kubelet has brought them for sure.
                sure = loaded and now - state.began >= PATIENCE
                await self._call(session, url, reloading.taken(state) if sure else state, now)
            if marker and (url := self._options.alertmanager_url):
                state = self._state(url, marker, now)
                if reloading.is_due(state, now) and await reloading.alertmanager_shows(session, url, marker):
                    state = reloading.taken(state)
                await self._call(session, url, state, now)

    def written(self, item: Alerting) -> Written:
        """How it went for one config."""
        key = rule_key(item.config)
        _, since = self._changed.get(key, ("", 0.0))
        full = "there is no room left for its rules: all ConfigMaps are full" if key in self._left_out else ""
        problem = full or self._problem
        place = (key, item.compiled.group) if key in self._changed else None
        return Written(place, self._clock.monotonic() - since, problem, self.notes(item))

    def notes(self, item: Alerting) -> tuple[str, ...]:
        """What is to be said of a config's channels."""
        if not item.alerts.channels:
            return ()
        trouble = self._base_problem or self._unmade
        base = f"the alertmanager.yml to put them into cannot be used: {trouble}; its last good form stays"
        problem = self._reload_problems.get(self._options.alertmanager_url, "")
        found = (*self._notes.get(item.config, ()), base if trouble else "", problem)
        return tuple(text for text in found if text)

    async def _read_files(self) -> None:
        now = self._clock.monotonic()
        if now - self._files.read_at < READ_EVERY:
            return
        namespace, found = self._options.plain_namespace, _Files(read_at=now)
        for name in MAPS:
            try:
                data = (await self._kube.get(CONFIG_MAPS, namespace, name)).get("data")
            except NotFound:
                continue
            found.maps[name] = {str(key): str(value) for key, value in (data or {}).items()}
        try:
            secret = await self._kube.get(SECRETS, namespace, SECRET)
            found.secret = read_secret(secret, list(secret.get("data") or ())).data
        except NotFound:
            found.secret = None
        self._files = found

    async def _write_rules(self, items: Iterable[Alerting], chosen: Ways, unread: Collection[tuple[str, str]]) -> None:
        self._texts = await asyncio.to_thread(_texts, [item.compiled for item in items], self._texts)
        files = {key: text for key, (_, text, _) in self._texts.items()}
        if chosen.rules is Way.PLAIN:
            if own := operator_rules(self._options.links):
                files[OPERATOR_KEY] = rule_file(OPERATOR, own)
            there = {key: text for data in self._files.maps.values() for key, text in data.items()}
            kept = {rule_key(f"{namespace}/{name}") for namespace, name in unread}
            files |= {key: there[key] for key in kept & there.keys()}
        packed = await asyncio.to_thread(pack, files)
        now = self._clock.monotonic()
        self._left_out = frozenset(packed.left_out)
        for name, data in packed.maps.items():
            if self._files.maps.get(name) != data:
                await self._kube.apply(CONFIG_MAPS, self._manifest(CONFIG_MAPS.kind, name, dict(data)))
                self._files.maps[name] = dict(data)
        digests = {key: self._texts[key][2] if key in self._texts else _digest(text) for key, text in files.items()}
        self._changed = {
            key: before if (before := self._changed.get(key)) is not None and before[0] == digest else (digest, now)
            for key, digest in digests.items()
            if key not in self._left_out
        }

    async def _write_routes(self, items: Iterable[Alerting], unread: Collection[tuple[str, str]]) -> None:
        found = [routing(item.alerts, item.config, root=item.root) for item in items if item.alerts.channels]
        self._notes = {}
        await self._read_base()
        await self._secrets.read(found)
        if self._base_problem or self._would_lose(unread):
            return
        made = await self._make(found)
        if made is None or self._unmade:
            return
        for fault in made.faults:
            self._notes[fault.config] = (*self._notes.get(fault.config, ()), str(fault))
        if self._files.secret == made.data:
            return
        values = {key: base64.b64encode(value).decode() for key, value in made.data.items()}
        await self._kube.apply(SECRETS, self._manifest(SECRETS.kind, SECRET, values))
        self._files.secret = dict(made.data)
        for remark in made.remarks:
            logger.warning("the base of alertmanager.yml: %s", remark)

    async def _make(self, found: Sequence[Routing]) -> AlertmanagerFile | None:
        """The last one that could be made; None before there was one."""
        owners = [each.config.partition("/")[0] for each in found]
        tenants = [
            Tenant(each, self._secrets.of(owner), self._secrets.forbidden(owner))
            for each, owner in zip(found, owners, strict=True)
        ]
        values = [
            [
                (tenant.secrets.get(ref.name, ref.key), ref.name in tenant.forbidden)
                for _, ref in receiver.channel.references()
            ]
            for tenant in tenants
            for receiver in tenant.routing.receivers
        ]
        # Of many configs it takes long, and the control stream would wait.
        digest = await asyncio.to_thread(lambda: _digest(repr((self._base, found, values))))
        if digest != self._made_from:
            self._made_from, self._unmade = digest, ""
            try:
                self._made = await asyncio.to_thread(alertmanager_file, self._base, tenants)
            except BaseError as error:
                self._unmade = str(error)
                logger.error("the base of alertmanager.yml cannot be used: %s; what was written before stays", error)
        return self._made

    async def _read_base(self) -> None:
        now = self._clock.monotonic()
        if not self._options.plain_base or now - self._base_at < BASE_EVERY:
            return
        kind, _, name = self._options.plain_base.partition("/")
        try:
            found = await self._kube.get(
                SECRETS if kind == SECRETS.kind else CONFIG_MAPS, self._options.plain_namespace, name
            )
        except NotFound:
            self._base_problem = f"{self._options.plain_base} does not exist in {self._options.plain_namespace}"
            return
        text = _base(kind, found)
        self._base_at = now
        self._base_problem = "" if text is not None else f"{self._options.plain_base} has no key {FILE}"
        if text is not None:
            self._base = text

    def _would_lose(self, unread: Collection[tuple[str, str]]) -> bool:
        """Whether there are routes of a config that is not known yet, but may be soon."""
        if self._clock.monotonic() - self._began > SETTLED or not self._files.secret:
            return False
        text = self._files.secret.get(FILE, b"").decode(errors="replace")
        return any(f"tracekeeper/{namespace}/{name}/" in text for namespace, name in unread)

    def _state(self, url: str, content: str, now: float) -> reloading.Reload:
        self._reloads[url] = reloading.want(self._reloads.get(url), content, now)
        return self._reloads[url]

    async def _call(self, session: aiohttp.ClientSession, url: str, state: reloading.Reload, now: float) -> None:
        if reloading.is_due(state, now):
            self._reload_problems[url] = await reloading.call(session, url)
            state = reloading.called(state, now)
        self._reloads[url] = state

    def _manifest(self, kind: str, name: str, data: Mapping[str, str]) -> Object:
        return {
            "apiVersion": "v1",
            "kind": kind,
            "metadata": {
                "namespace": self._options.plain_namespace,
                "name": name,
                "labels": {names.MANAGED_BY: names.MANAGER},
            },
            "data": dict(data),
        }


def _texts(
    items: Sequence[Compiled], before: Mapping[str, tuple[Compiled, str, str]]
) -> dict[str, tuple[Compiled, str, str]]:
    """The files of all that have rules; only what is new is made."""
    found: dict[str, tuple[Compiled, str, str]] = {}
    for compiled in items:
        if compiled.rules:
            key = rule_key(compiled.config)
            known = before.get(key)
            if known is None or known[0] is not compiled:
                text = rule_file(compiled.group, compiled.rules)
                known = compiled, text, _digest(text)
            found[key] = known
    return found


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _base(kind: str, found: Object) -> str | None:
    if kind == SECRETS.kind:
        value = (read_secret(found, {FILE}).data or {}).get(FILE)
        return value.decode(errors="replace") if value is not None else None
    text = (found.get("data") or {}).get(FILE)
    return str(text) if text is not None else None
