"""Says where in a request something was found, without what was found."""

from __future__ import annotations

from typing import NamedTuple

from tracekeeper_sidecar.process.redact.engine import Engine, Outcome
from tracekeeper_sidecar.process.redact.matcher import Note
from tracekeeper_sidecar.wire.redact import PLACES, Part
from tracekeeper_sidecar.wire.varint import fields

_NAME = 5


class Found(NamedTuple):
    """One finding."""

    span: int
    """Its number in the request; -1 for what belongs to a resource or a scope."""
    name: str
    """Of the span, redacted."""
    field: str
    """As in `events[2].attributes`."""
    key: str
    """Of the attribute that it is in, redacted; empty where it is in none."""
    note: Note


def explained(engine: Engine, body: bytes) -> tuple[Outcome, list[Found]]:
    """What becomes of a request that the scanner has accepted, and each finding in it."""
    noted: list[tuple[Part, Note]] = []
    outcome = engine.redact(body, lambda part, note: noted.append((part, note)))
    return outcome, [_found(engine, body, part, note) for part, note in noted]


def _found(engine: Engine, body: bytes, part: Part, note: Note) -> Found:
    place, index, span = PLACES[part[0]], part[7], part[8]
    if index >= 0:
        holder, _, member = place.partition(".")
        place = f"{holder}[{index}]" + (f".{member}" if member else "")
    name = _text(engine, body, part[5], part[6], _NAME) if span >= 0 else ""
    key = _text(engine, body, part[1], part[2], 1) if place.endswith("attributes") else ""
    return Found(span, name, place, key, note)


def _text(engine: Engine, body: bytes, begin: int, end: int, number: int) -> str:
    """The field of the message at [begin, end), redacted."""
    found = b""
    for field in fields(body, begin, end):
        if field.number == number and field.wire == 2:
            found = body[field.value : field.end]
    return engine.text(found).decode(errors="replace")
