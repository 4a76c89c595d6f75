"""Annotations by which one pod's sidecar is other than its TracingConfig says: resources, image, ports, buffer. Pure.

What cannot be followed is left out, and told: a typing error must cost neither the pod nor its traces.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from tracekeeper_spec.config import Resources, Sidecar, TracingConfig
from tracekeeper_spec.resolve import ResolvedSpec
from tracekeeper_spec.units import parse_amount, parse_quantity, show

from . import names
from .pod import Pod
from .sidecar import Options

T = TypeVar("T")

AMOUNTS = {
    names.CPU_REQUEST: ("requests", "cpu"),
    names.CPU_LIMIT: ("limits", "cpu"),
    names.MEMORY_REQUEST: ("requests", "memory"),
    names.MEMORY_LIMIT: ("limits", "memory"),
}
BETWEEN = {
    names.CPU_REQUEST: ("1m", "16"),
    names.CPU_LIMIT: ("10m", "16"),
    names.MEMORY_REQUEST: ("1Mi", "64Gi"),
    names.MEMORY_LIMIT: ("64Mi", "64Gi"),
}
"""With less, the sidecar could not run, and the pod would not start; with more, no node would have room for it."""
PORTS = (names.GRPC_PORT, names.HTTP_PORT, names.METRICS_PORT)
LEAST_PORT, MOST_PORT = 1024, 65535
LEAST_BUFFER, MOST_BUFFER = 1 << 20, 1 << 40
"""As `spec.sidecar` has them."""
MOST_NAME = 255
"""Characters of an image's name without tag and digest."""
MOST_IMAGE = 600
"""Characters of all of it."""
_HOST = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*(?::[0-9]{1,5})?"
_PART = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_DIGEST = r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}"
_IMAGE = re.compile(rf"((?:{_HOST}|{_PART})(?:/{_PART})+)(?::[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?(?:@(?:{_DIGEST}))?")
"""As nodes read it (the grammar of distribution/reference): for a name that is not one, a pod waits for ever."""


@dataclass(frozen=True, slots=True)
class Overridden:
    """What the sidecar is made from."""

    spec: ResolvedSpec
    image: str
    faults: tuple[str, ...]
    """What could not be followed, for the Event."""


@dataclass(slots=True)
class _Reader:
    annotations: Mapping[str, str]
    faults: list[str] = field(default_factory=list)

    def read(self, key: str, reader: Callable[[str], T]) -> T | None:
        """The value, None where there is none or it cannot be followed."""
        text = self.annotations.get(key)
        if text is None:
            return None
        try:
            return reader(text.strip())
        except ValueError as error:
            self.refuse(key, str(error))
            return None

    def refuse(self, key: str, why: str) -> None:
        self.faults.append(f"annotation {key} is not followed: {why}")


def override(pod: Pod, spec: ResolvedSpec, options: Options, enforcer: TracingConfig | None = None) -> Overridden:
    """Decide about one pod, whose sidecar is as `enforcer` says if there is one."""
    given = [key for key in (*AMOUNTS, *PORTS, names.BUFFER_SIZE, names.IMAGE) if key in pod.annotations]
    if not given:
        return Overridden(spec, options.image, ())
    if enforcer is not None:
        why = f"spec.sidecar is enforced by {enforcer.namespace}/{enforcer.name}, for single pods too"
        return Overridden(spec, options.image, (f"of the annotations {', '.join(given)} none is followed: {why}",))
    reader = _Reader(pod.annotations)
    sidecar = replace(
        _ports(_buffer(spec.sidecar, reader), reader), resources=_resources(spec.sidecar.resources, reader)
    )
    image = reader.read(names.IMAGE, lambda text: _image(text, options.registries))
    return Overridden(replace(spec, sidecar=sidecar), image or options.image, tuple(reader.faults))


def _resources(config: Resources, reader: _Reader) -> Resources:
    """What is not annotated follows, so that no request exceeds its limit."""
    requests, limits = dict(config.requests), dict(config.limits)
    columns = {"requests": requests, "limits": limits}
    given = {key: amount for key in AMOUNTS if (amount := reader.read(key, partial(_amount, key))) is not None}
    for asking, limiting in ((names.CPU_REQUEST, names.CPU_LIMIT), (names.MEMORY_REQUEST, names.MEMORY_LIMIT)):
        asked, capped = given.get(asking), given.get(limiting)
        if asked is not None and capped is not None and parse_amount(asked) > parse_amount(capped):
            reader.refuse(asking, f"{asked} is more than {limiting}, {capped}")
            del given[asking]
    for key, amount in given.items():
        column, name = AMOUNTS[key]
        columns[column][name] = amount
    for key in given:
        column, name = AMOUNTS[key]
        if name in requests and name in limits and parse_amount(requests[name]) > parse_amount(limits[name]):
            other = requests if column == "limits" else limits
            other[name] = columns[column][name]
    return Resources(requests, limits)


def _buffer(sidecar: Sidecar, reader: _Reader) -> Sidecar:
    size = reader.read(names.BUFFER_SIZE, _buffer_size)
    if size is None:
        return sidecar
    old = sidecar.storage
    return replace(sidecar, storage=replace(old, size=size, history=old.history * size // old.size))


def _ports(sidecar: Sidecar, reader: _Reader) -> Sidecar:
    otlp = sidecar.receivers.otlp
    before = (otlp.grpc_port, otlp.http_port, sidecar.ports.metrics)
    given = [reader.read(key, _port) for key in PORTS]
    grpc, http, metrics = wanted = [new or old for new, old in zip(given, before, strict=True)]
    zipkin = sidecar.receivers.zipkin
    taken = [*wanted, zipkin.port] if zipkin is not None and zipkin.port is not None else wanted
    if len(set(taken)) < len(taken):
        for key, port in zip(PORTS, given, strict=True):
            if port is not None and taken.count(port) > 1:
                reader.refuse(key, f"{port} would be two ports of the sidecar's at once")
        return sidecar
    receivers = replace(sidecar.receivers, otlp=replace(otlp, grpc_port=grpc, http_port=http))
    return replace(sidecar, receivers=receivers, ports=replace(sidecar.ports, metrics=metrics))


def _amount(key: str, text: str) -> str:
    least, most = BETWEEN[key]
    if not parse_amount(least) <= parse_amount(text) <= parse_amount(most):
        raise ValueError(f"{show(text)} is not between {least} and {most}; is it the right unit?")
    return text


def _buffer_size(text: str) -> int:
    size = parse_quantity(text)
    if not LEAST_BUFFER <= size <= MOST_BUFFER:
        raise ValueError(f"{show(text)} is not between 1Mi and 1Ti")
    return size


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and LEAST_PORT <= int(text[:6]) <= MOST_PORT):
        raise ValueError(f"{show(text)} is no port between {LEAST_PORT} and {MOST_PORT}")
    return int(text)


def _image(text: str, registries: Sequence[str]) -> str:
    found = _IMAGE.fullmatch(text) if len(text) <= MOST_IMAGE else None
    if found is None or len(found[1]) > MOST_NAME:
        raise ValueError(f"{show(text)} is not the name of an image")
    if not any(text.startswith(f"{registry}/") for registry in registries):
        raise ValueError(
            f"{show(text)} is from nowhere that is allowed; whoever runs Tracekeeper allows a registry by the chart's "
            "value sidecar.imageRegistries"
        )
    return text
