"""From what the API or a file holds to a TracingConfig, or to everything that is wrong with it. Never
raises."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tracekeeper_spec.config import API_VERSION, KIND, ConfigSpec, TracingConfig
from tracekeeper_spec.faults import Fault, join, shorten
from tracekeeper_spec.fields import SPEC
from tracekeeper_spec.schema import Text
from tracekeeper_spec.secrets import reserved_names
from tracekeeper_spec.texts import DNS_LABEL, DNS_SUBDOMAIN
from tracekeeper_spec.units import show
from tracekeeper_spec.walk import BAD, nearest, read

_TOP = ("apiVersion", "kind", "metadata", "spec", "status")


def parse_manifest(obj: object) -> tuple[TracingConfig | None, list[Fault]]:
    """The config in `obj` (a whole object with apiVersion, kind, metadata and spec), and all of its faults.

    The config is None if there is any fault. That `backends` are there is not asked here, because configs may
    come to be merged: see `resolve.check_resolved`.
    """
    if not isinstance(obj, Mapping):
        return None, [Fault("", f"must be a {KIND}, not {show(obj)}", f"start with apiVersion: {API_VERSION}")]
    faults: list[Fault] = []
    _check_header(obj, faults)
    metadata = obj.get("metadata")
    if not isinstance(metadata, Mapping):
        faults.append(Fault("metadata", "must be a mapping with a name"))
        metadata = {"name": "unnamed"}
    name = _name(metadata, "name", DNS_SUBDOMAIN, faults)
    namespace = _name(metadata, "namespace", DNS_LABEL, faults)
    spec, found = parse_spec(obj["spec"]) if "spec" in obj else (ConfigSpec(), [_no_spec()])
    faults += [*found, *reserved_names(spec)]
    if faults:
        return None, shorten(faults)
    generation = metadata.get("generation")
    config = TracingConfig(
        name=name,
        namespace=namespace,
        uid=_text(metadata, "uid"),
        generation=generation if isinstance(generation, int) else 0,
        created=_text(metadata, "creationTimestamp"),
        spec=spec,
        written=dict(obj["spec"]),
    )
    return config, []


def parse_spec(obj: object, path: str = "spec") -> tuple[ConfigSpec, list[Fault]]:
    """The spec in `obj`, and all of its faults, with paths that start with `path`.

    With faults, the spec holds the sections that have none: good for telling about it, not for acting on it.
    """
    faults: list[Fault] = []
    spec = read(SPEC, obj, path, faults)
    if not isinstance(obj, Mapping):
        return ConfigSpec(), faults
    faults += _strangers(obj, path)
    if not faults and isinstance(spec, ConfigSpec):
        return spec, []
    sections: dict[str, Any] = {}
    for field in SPEC.fields:
        section = read(field.node, obj[field.name], path, []) if field.name in obj else None
        sections[field.attribute] = None if section is BAD else section
    return ConfigSpec(**sections), shorten(faults)


def _strangers(spec: Mapping[Any, object], path: str) -> list[Fault]:
    """Names in delivery that no backend has; found in what was written, whatever else is wrong with it."""
    names = [name for _, name in _members(spec.get("backends"), "name") if isinstance(name, str)]
    if not names:
        return []
    wanted = [
        (f"{entry}.backends[{index}]", name)
        for entry, backends in _members(spec.get("delivery"), "backends")
        for index, name in enumerate(_items(backends))
    ]
    return [
        Fault(join(path, f"delivery{below}"), f"there is no backend {show(name)}", nearest(name, names))
        for below, name in wanted
        if isinstance(name, str) and name not in names
    ]


def _members(value: object, key: str) -> list[tuple[str, object]]:
    """Index and member `key` of the objects in a list, both of which may be anything."""
    objects = enumerate(_items(value))
    return [(f"[{index}]", item.get(key)) for index, item in objects if isinstance(item, Mapping)]


def _items(value: object) -> Sequence[object]:
    return value[:16] if isinstance(value, Sequence) and not isinstance(value, (str, bytes)) else ()


def _check_header(obj: Mapping[Any, object], faults: list[Fault]) -> None:
    for key, expected in (("apiVersion", API_VERSION), ("kind", KIND)):
        if key not in obj:
            faults.append(Fault(key, "is required", f"write {key}: {expected}"))
        elif obj[key] != expected:
            faults.append(Fault(key, f"must be {expected}, not {show(obj[key])}"))
    for key in obj:
        if key not in _TOP:
            hint = "it belongs in spec" if any(field.name == key for field in SPEC.fields) else ""
            text = key if isinstance(key, str) and re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", key) else show(key)
            faults.append(Fault(text, "is not a known field", hint or f"the fields here are {', '.join(_TOP)}"))


def _name(metadata: Mapping[Any, object], key: str, form: Text, faults: list[Fault]) -> str:
    if key not in metadata:
        if key == "name":
            faults.append(Fault("metadata.name", "is required"))
        return "default"
    return str(read(form, metadata[key], f"metadata.{key}", faults))


def _text(metadata: Mapping[Any, object], key: str) -> str:
    value = metadata.get(key)
    return value if isinstance(value, str) else ""


def _no_spec() -> Fault:
    return Fault("spec", "is required", "it says where spans go: see spec.backends")
