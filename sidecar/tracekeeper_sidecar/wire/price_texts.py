"""The attributes that prices are told by, as they stand in a span."""

from __future__ import annotations

from typing import Final

from tracekeeper_sidecar.wire import calls
from tracekeeper_sidecar.wire.varint import delimited, encode


def _attribute(name: str, value: bytes) -> bytes:
    return delimited(9, delimited(1, name.encode()) + delimited(2, value))


def _head(name: str) -> bytes:
    """One that is a double, up to its eight bytes."""
    return _attribute(name, b"\x21" + bytes(8))[:-8]


COST: Final = _head("gen_ai.usage.cost")
TRACE_COST: Final = _head("tracekeeper.trace.cost")
REPORTED: Final = _head("tracekeeper.cost.reported")
"""These three are followed by a double, little-endian."""
REPORTED_KEY: Final = delimited(1, b"tracekeeper.cost.reported")
"""The name alone, for a value of any type."""
SOURCES: Final = [_attribute("tracekeeper.cost.source", delimited(1, each)) if each else b"" for each in calls.SOURCES]
"""By their numbers."""


def price(text: bytes) -> bytes:
    """Which price it was."""
    return _attribute("tracekeeper.cost.price", delimited(1, text))


def book(version: str) -> bytes:
    """An attribute of a resource: the book that calls of it are priced by which name no price."""
    return delimited(1, delimited(1, b"tracekeeper.cost.book") + delimited(2, delimited(1, version.encode())))


def resource(attribute: bytes) -> bytes:
    """One that has no more to say than that."""
    return delimited(1, attribute)


def unknown_calls(count: int) -> bytes:
    """How many calls of a trace have no price."""
    return _attribute("tracekeeper.trace.cost.unknown", b"\x18" + encode(count))
