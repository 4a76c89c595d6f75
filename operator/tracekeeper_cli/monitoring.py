"""Where the cluster's Prometheus and Alertmanager are, and the way there: as the operator's flags say, else as the
Prometheus operator runs them. A person may name another place."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tracekeeper_cli.errors import CLIError
from tracekeeper_cli.terminal import plain
from tracekeeper_cli.tunnel import tunnel
from tracekeeper_cli.world import Object, World, containers, meta

TIMEOUT = 15.0
"""Seconds for one call."""
MOST = 64 * 1024 * 1024
"""Bytes of an answer that are read."""


@dataclass(frozen=True, slots=True)
class Program:
    """One of the two."""

    name: str
    plural: str
    """Of the Prometheus operator's kind."""
    flag: str
    """Of the operator, with its address; without it, `--` and the value's name is this command line's own."""
    option: str
    port: int

    @property
    def service(self) -> str:
        """That the Prometheus operator makes for all of the kind in a namespace."""
        return f"{self.name.lower()}-operated"


ALERTMANAGER = Program("Alertmanager", "alertmanagers", "--alertmanager-url", "--alertmanager", 9093)
PROMETHEUS = Program("Prometheus", "prometheuses", "--prometheus-url", "--prometheus", 9090)


@dataclass(frozen=True, slots=True)
class Place:
    """An address, or (with `service`) a Service of the cluster that has it."""

    url: str
    namespace: str = ""
    service: str = ""
    port: int = 0

    def __str__(self) -> str:
        return f"Service {self.namespace}/{self.service}:{self.port}" if self.service else self.url


def named(program: Program, text: str) -> Place:
    """What a person wrote: a URL, or NAMESPACE/SERVICE[:PORT]. Raises CLIError."""
    if re.match(r"https?://", text):
        return Place(text.rstrip("/"))
    found = re.fullmatch(r"([a-z0-9-]{1,63})/([a-z0-9.-]{1,253})(?::([0-9]{1,5}))?", text)
    if found is None:
        raise CLIError(f"{program.option} {plain(text)}: write http://HOST:PORT, or NAMESPACE/SERVICE:PORT")
    return Place("http://", found[1], found[2], int(found[3] or program.port))


def find(program: Program, world: World, servers: Sequence[Object] | None) -> Place | None:
    """Where the operator has it, else the oldest of the Prometheus operator's objects (`servers`); None: nowhere."""
    if url := _flag(world, program.flag):
        return _placed(url, program, world.operator)
    for server in sorted(servers or (), key=lambda item: str(meta(item).get("creationTimestamp", ""))):
        spec = server.get("spec") or {}
        path = str(spec.get("routePrefix") or "/").rstrip("/")
        service = str(spec.get("serviceName") or program.service)
        return Place(f"http://{path}", str(meta(server).get("namespace")), service, program.port)
    return None


def _flag(world: World, flag: str) -> str:
    for part in world.parts:
        for container in containers(part.get("spec", {}).get("template", {})):
            for argument in container.get("args") or ():
                name, _, value = str(argument).partition("=")
                if name == flag and value:
                    return value
    return ""


def _placed(url: str, program: Program, operator: str) -> Place:
    """A Service's name leads to it from within the cluster alone."""
    parts = urlsplit(url)
    names = (parts.hostname or "").split(".")
    within = len(names) == 1 or names[2:3] == ["svc"]
    if not within or names == ["localhost"] or not names[0]:
        return Place(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return Place(f"{parts.scheme}://{parts.path.rstrip('/')}", names[1] if names[1:] else operator, names[0], port)


@contextmanager
def way(program: Program, place: Place, context: str | None) -> Iterator[str]:
    """The address at which this machine reaches it, while it is needed. Raises CLIError."""
    if not place.service:
        yield place.url
        return
    hint = f"May you forward ports there? {program.option} takes another way: http://HOST:PORT"
    with tunnel(place.namespace, place.service, place.port, context, to=program.name, hint=hint) as address:
        scheme, _, path = place.url.partition("://")
        yield f"{scheme}://{address}{path}"


def ask(url: str, body: Any = None) -> bytes:
    """What it answers to a GET, or to a POST of `body` as JSON. Raises CLIError."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={"Content-Type": "application/json"} if data else {})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            said: bytes = answer.read(MOST)
            return said
    except urllib.error.HTTPError as error:
        with error:
            why = " ".join(error.read(500).decode(errors="replace").split())
        raise CLIError(f"{url} answers {error.code}: {plain(why)}") from None
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise CLIError(f"{url} does not answer: {plain(str(error))}") from None


def ask_json(url: str) -> Any:
    """Raises CLIError."""
    try:
        return json.loads(ask(url))
    except ValueError as error:
        raise CLIError(f"{url} answers with something else than JSON: {error}") from None


def members(value: Any, key: str) -> Iterator[Mapping[str, Any]]:
    """The objects in a list that an object may have."""
    found = value.get(key) if isinstance(value, Mapping) else None
    for item in found if isinstance(found, list) else ():
        if isinstance(item, Mapping):
            yield item
