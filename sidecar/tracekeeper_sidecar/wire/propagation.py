"""Where a parent span is named by headers: W3C Trace Context, B3 in one header or in several, and Jaeger.

`parse` is strict: what is not exactly in a format is no parent, because a wrong one would tear a trace apart or glue
two together. Formats: W3C Trace Context (traceparent, tracestate), openzipkin/b3-propagation, and the client library
format of Jaeger's documentation (uber-trace-id).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

NAMES: Final = (
    "traceparent",
    "tracestate",
    "b3",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-sampled",
    "x-b3-flags",
    "uber-trace-id",
)
"""The headers that are looked at, in lower case."""

SAMPLED: Final = 1
LONGEST: Final = 1024
"""Characters of a header that are looked at; a longer one is none of these formats, or says more than a parent."""
_MOST_MEMBERS: Final = 32

_TRACEPARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_MEMBER: Final = re.compile(
    r"(?:[a-z][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13})"
    r"=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)
_B3: Final = re.compile(r"([0-9a-f]{32}|[0-9a-f]{16})-([0-9a-f]{16})(?:-([01d])(?:-[0-9a-f]{16})?)?", re.IGNORECASE)
_UBER: Final = re.compile(r"([0-9a-f]{1,32}):([0-9a-f]{1,16}):[0-9a-f]{1,16}:([0-9a-f]{1,2})", re.IGNORECASE)
_TRACE: Final = re.compile(r"[0-9a-f]{32}|[0-9a-f]{16}", re.IGNORECASE)
_SPAN: Final = re.compile(r"[0-9a-f]{16}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Parent:
    """The span that others hang below."""

    trace_id: bytes
    """16 bytes, not all zero; shorter ids are padded with zeros in front."""
    span_id: bytes
    """8 bytes, not all zero."""
    flags: int = 0
    """As W3C's: bit 0 says sampled."""
    state: str = ""
    """W3C's tracestate; empty where there is none."""


def parse(headers: Mapping[str, str]) -> Parent | None:
    """The parent that the headers name, by their lower-case names; None where they name none.

    Where there are several, W3C's goes first, then B3 in one header, B3 in several, and Jaeger's. One that is there and
    cannot be read does not keep the next from being looked at.
    """
    return (
        _w3c(headers) or _b3(headers.get("b3", "")) or _b3_headers(headers) or _jaeger(headers.get("uber-trace-id", ""))
    )


def _w3c(headers: Mapping[str, str]) -> Parent | None:
    text = headers.get("traceparent", "")
    found = _TRACEPARENT.fullmatch(text) if len(text) <= LONGEST else None
    if found is None or found[1] == "ff" or (found[1] == "00" and found[5] is not None):
        return None
    return _parent(found[2], found[3], int(found[4], 16), _state(headers.get("tracestate", "")))


def _state(text: str) -> str:
    """A tracestate, normalised; empty where it is not valid as a whole, as W3C has it: the parent stays."""
    if len(text) > LONGEST:
        return ""
    members = [member for member in (one.strip(" \t") for one in text.split(",")) if member]
    keys = {member.partition("=")[0] for member in members}
    if len(members) > _MOST_MEMBERS or len(keys) < len(members):
        return ""
    return ",".join(members) if all(_MEMBER.fullmatch(member) for member in members) else ""


def _b3(text: str) -> Parent | None:
    found = _B3.fullmatch(text) if len(text) <= LONGEST else None
    if found is None:
        return None
    return _parent(found[1], found[2], SAMPLED if found[3] in ("1", "d", "D") else 0)


def _b3_headers(headers: Mapping[str, str]) -> Parent | None:
    trace, span = headers.get("x-b3-traceid", ""), headers.get("x-b3-spanid", "")
    if _TRACE.fullmatch(trace) is None or _SPAN.fullmatch(span) is None:
        return None
    sampled = headers.get("x-b3-sampled", "").lower() in ("1", "true") or headers.get("x-b3-flags") == "1"
    return _parent(trace, span, SAMPLED if sampled else 0)


def _jaeger(text: str) -> Parent | None:
    if len(text) > LONGEST:
        return None
    found = _UBER.fullmatch(unquote(text) if "%" in text else text)
    return None if found is None else _parent(found[1], found[2], int(found[3], 16) & SAMPLED)


def _parent(trace: str, span: str, flags: int, state: str = "") -> Parent | None:
    trace_id, span_id = bytes.fromhex(trace.zfill(32)), bytes.fromhex(span.zfill(16))
    if not any(trace_id) or not any(span_id):
        return None
    return Parent(trace_id, span_id, flags, state)
