"""Asks Prometheus which rules it has, by its HTTP API.

Prometheus 2.42 cannot be asked for some groups only, so everybody's come, with all alerts that fire. They are read as a
stream, a group at a time, and of most nothing is kept. Where a name leads to several addresses (a headless Service),
each is asked: every replica has to have the rules.
"""

from __future__ import annotations

import asyncio
import codecs
import json
import socket
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import aiohttp

TIMEOUT = 10.0
"""Seconds for one answer."""
MOST = 32 * 1024 * 1024
"""Bytes of one answer that are read."""
MOST_GROUP = 8 * 1024 * 1024
"""Characters of one group; the alerts that fire are in it."""
MOST_REPLICAS = 4
START = '"groups":['

Place = tuple[str, str]
"""The name of a file, without its folder, and of a group in it."""


class PrometheusError(Exception):
    """Prometheus did not say which rules it has; the text says why."""


@dataclass(frozen=True, slots=True)
class LoadedRule:
    """One rule, as Prometheus has it. Times are seconds."""

    name: str
    health: str
    """`ok`, `err`, or `unknown` before it was evaluated."""
    error: str = ""
    for_: float = 0.0
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


Loaded = Mapping[Place, tuple[LoadedRule, ...]]
"""The groups of one replica that were asked for."""


class Groups:
    """Takes an answer apart as it comes."""

    def __init__(self) -> None:
        self._decoder, self._text = codecs.getincrementaldecoder("utf-8")(), ""
        self._json = json.JSONDecoder()
        self._begun = self._ended = False
        self._enough = 0
        """Characters before which it is no use to look for the end of a group."""

    def feed(self, chunk: bytes, *, last: bool = False) -> Iterator[Mapping[str, Any]]:
        """The groups that are complete now. Raises PrometheusError."""
        try:
            self._text += self._decoder.decode(chunk, last)
        except UnicodeDecodeError as error:
            raise PrometheusError("its answer is not UTF-8") from error
        if not self._begun and not self._begin():
            if last:
                raise PrometheusError("its answer is not that of Prometheus' /api/v1/rules")
            return
        while not self._ended:
            self._text = self._text.lstrip(" ,\r\n\t")
            if self._text.startswith("]"):
                self._ended, self._text = True, ""
            elif last or len(self._text) >= self._enough:
                try:
                    found, end = self._json.raw_decode(self._text)
                except ValueError:
                    self._enough = 2 * len(self._text)
                    if last or len(self._text) > MOST_GROUP:
                        raise PrometheusError("its answer ends early, or has a group that is too large") from None
                    return
                self._text, self._enough = self._text[end:], 0
                if isinstance(found, Mapping):
                    yield found
            else:
                return
        self._text = ""

    def _begin(self) -> bool:
        place = self._text.find(START)
        if place < 0:
            self._text = self._text[-len(START) :]
            return False
        self._text, self._begun = self._text[place + len(START) :], True
        return True


async def read_rules(url: str, wanted: Collection[Place]) -> list[Loaded]:
    """What each replica behind `url` has of these groups. Raises PrometheusError."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        async with asyncio.timeout(MOST_REPLICAS * TIMEOUT), aiohttp.ClientSession() as session:
            addresses = await _addresses(parts.hostname or "", port)
            return [
                await _ask(session, parts.scheme, parts.hostname or "", each, port, parts.path, wanted)
                for each in addresses
            ]
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise PrometheusError(str(error) or "no answer in time") from error


async def _addresses(host: str, port: int) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return sorted({str(info[4][0]) for info in found})[:MOST_REPLICAS]


async def _ask(
    session: aiohttp.ClientSession,
    scheme: str,
    host: str,
    address: str,
    port: int,
    path: str,
    wanted: Collection[Place],
) -> Loaded:
    shown = f"[{address}]" if ":" in address else address
    async with session.get(
        f"{scheme}://{shown}:{port}{path.rstrip('/')}/api/v1/rules",
        headers={"Host": f"{host}:{port}"},
        server_hostname=host if scheme == "https" else None,
        timeout=aiohttp.ClientTimeout(total=TIMEOUT),
        allow_redirects=False,
    ) as answer:
        if answer.status != 200:
            raise PrometheusError(f"HTTP {answer.status} {answer.reason}")
        groups, size = Groups(), 0
        found: dict[Place, tuple[LoadedRule, ...]] = {}
        async for chunk in answer.content.iter_any():
            size += len(chunk)
            if size > MOST:
                raise PrometheusError(f"its answer is larger than {MOST} bytes")
            _take(groups.feed(chunk), wanted, found)
        _take(groups.feed(b"", last=True), wanted, found)
        return found


def _take(
    groups: Iterator[Mapping[str, Any]], wanted: Collection[Place], found: dict[Place, tuple[LoadedRule, ...]]
) -> None:
    for group in groups:
        place = str(group.get("file", "")).rpartition("/")[2], str(group.get("name", ""))
        rules = group.get("rules")
        if place in wanted and isinstance(rules, list):
            found[place] = tuple(_rule(rule) for rule in rules if isinstance(rule, Mapping))


def _rule(rule: Mapping[str, Any]) -> LoadedRule:
    duration = rule.get("duration")
    return LoadedRule(
        str(rule.get("name", "")),
        str(rule.get("health", "")),
        str(rule.get("lastError") or ""),
        float(duration) if isinstance(duration, (int, float)) else 0.0,
        _texts(rule.get("labels")),
        _texts(rule.get("annotations")),
    )


def _texts(found: Any) -> dict[str, str]:
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, Mapping) else {}
