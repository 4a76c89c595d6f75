"""What is written on a span: an attribute, an event for each thing seen, and a link to the trace before.

No content is ever in it: names of agents, tools and models, and numbers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from tracekeeper_sidecar.wire import otlp_build
from tracekeeper_sidecar.wire.detect_found import (
    CONTEXT,
    CUT_OFF,
    FAILURES,
    FAN_OUT,
    GAVE_UP,
    LOOP,
    MODEL,
    PING_PONG,
    RING,
    TOKENS,
    UNDECLARED,
    Found,
    Link,
)
from tracekeeper_sidecar.wire.varint import delimited, fields
from tracekeeper_spec.detect import Detector

DETECTED: Final = "tracekeeper.detected"
"""Name of the attribute (an array of detectors' names), and of events."""
RELATION: Final = "tracekeeper.link"
"""Attribute of a link: why it is there."""
DETECTORS: Final = tuple(str(detector) for detector in Detector)
"""Names by the numbers that `wire.detect` has."""

_ATTRIBUTE, _MOST = 9, 32
_KEY = DETECTED.encode()
_DISOWNED = b"application.detected"
_OWNED = re.compile(rb"(\x14|\x94\x80*\x00)" + re.escape(_KEY))
"""With its length before it, in one byte or, as nobody writes it, in more."""
assert len(_KEY) == len(_DISOWNED)


def disowned(body: bytes, places: Sequence[tuple[int, int]]) -> bytes:
    """The request in which the spans at these places say by another name what they say was detected: one as long, so
    that nothing else moves."""
    made = bytearray(body)
    for begin, end in places:
        made[begin:end] = _OWNED.sub(rb"\1" + _DISOWNED, body[begin:end])
    return bytes(made)


def written(span: bytes, found: Sequence[Found], links: Sequence[Link]) -> bytes:
    """The content of the span with what was found, and with links. What an earlier Detect has written stays."""
    names = [DETECTORS[one.detector] for one in found]
    if names and _KEY in span:
        span, before = _without(span)
        names = [*before, *names]
    made = [span]
    if names:
        made.append(otlp_build.texts(DETECTED, list(dict.fromkeys(names))[:_MOST]))
    made += [otlp_build.event(one.ended, DETECTED, _attributes(one)) for one in found]
    made += [_link(link) for link in links]
    return b"".join(made)


def _without(span: bytes) -> tuple[bytes, list[str]]:
    """The span without the attribute, and what that said."""
    kept, names = [], []
    for part in fields(span, 0, len(span)):
        told = _told(span, part.value, part.end) if part.number == _ATTRIBUTE and part.wire == 2 else None
        if told is None:
            kept.append(span[part.start : part.end])
        else:
            names += told
    return b"".join(kept), names


def _told(data: bytes, begin: int, end: int) -> list[str] | None:
    """What an attribute of ours says already; None for any other attribute."""
    key, value = b"", b""
    for part in fields(data, begin, end):
        if part.number == 1 and part.wire == 2:
            key = data[part.value : part.end]
        elif part.number == 2 and part.wire == 2:
            value = data[part.value : part.end]
    if key != _KEY:
        return None
    names = []
    for array in fields(value, 0, len(value)):
        if array.number == 5 and array.wire == 2:
            for item in fields(value, array.value, array.end):
                names += [
                    value[text.value : text.end].decode(errors="replace")
                    for text in fields(value, item.value, item.end)
                    if item.number == 1 and item.wire == 2 and text.number == 1 and text.wire == 2
                ]
    return names


def _attributes(found: Found) -> bytes:
    made = otlp_build.text("tracekeeper.detector", DETECTORS[found.detector])
    made += otlp_build.text("tracekeeper.detected.message", sentence(found))
    made += otlp_build.integer("tracekeeper.detected.seen", found.seen)
    made += otlp_build.integer("tracekeeper.detected.limit", found.limit)
    return made + (otlp_build.text("gen_ai.agent.name", found.agent) if found.agent else b"")


def _link(link: Link) -> bytes:
    why = delimited(1, RELATION.encode()) + delimited(2, delimited(1, b"conversation.previous"))
    return delimited(13, delimited(1, link.trace) + delimited(2, link.span) + delimited(4, why))


def sentence(found: Found) -> str:
    """What was seen, in words."""
    seen, subject, other = found.seen, found.subject, found.other
    match found.detector:
        case _ if found.detector == LOOP:
            how = "with the same arguments" if other else "with arguments that are not recorded"
            return f"{subject} was called {seen} times in this trace {how}"
        case _ if found.detector == CONTEXT:
            return f"the input has grown from {subject} to {seen} tokens, {other} calls one after another"
        case _ if found.detector == TOKENS:
            per = " a minute" if subject else ""
            return f"this trace has used {seen} tokens{per}"
        case _ if found.detector == FAILURES:
            if found.form == GAVE_UP:
                return f"{seen} calls of tools have failed one after another, and the trace has ended"
            if other:
                return f"{seen} of {other} calls of tools have failed, {subject or 'a tool'} last"
            return f"{seen} calls of tools have failed one after another, {subject or 'a tool'} last"
        case _ if found.detector == PING_PONG:
            if found.form == RING:
                return f"three agents have handed over round in a ring {seen} times in a row, {subject} to {other} last"
            return f"{subject} and {other} have handed over to each other {seen} times in a row"
        case _ if found.detector == UNDECLARED:
            return f"{subject} has handed over to {other}, which is not declared"
        case _ if found.detector == FAN_OUT:
            return f"{seen} calls of models and tools in one trace"
        case _ if found.detector == MODEL:
            return f"{other} has answered, and not {subject}"
        case _:
            assert found.detector == CUT_OFF
            return f"{seen} answers of this trace were cut off because they had become too long"
