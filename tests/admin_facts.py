"""Moments of a sidecar's parts, for tests of what is said about them."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from tracekeeper_sidecar.forward.backend import BackendHealth

_EMPTY: dict[str, Any] = {
    "str": "",
    "bool": True,
    "int": 0,
    "float": 0.0,
    "Mapping[str, int]": {},
    "Mapping[tuple[str, str], int]": {},
}


def backend_health(**said: Any) -> BackendHealth:
    """A backend of which nothing is known but what is said here."""
    return BackendHealth(
        **{field.name: said.get(field.name, _EMPTY[str(field.type)]) for field in fields(BackendHealth)}
    )
