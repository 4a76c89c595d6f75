"""Ids of OpenAI's trace ingest, and its trace items: what they say of every span of their trace.

An item: {"object": "trace", "id": "trace_<32 hex>", "workflow_name": str, "group_id": str | null,
"metadata": object | null}. It is sent when a trace begins, and has no times.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from tracekeeper_sidecar.errors import WireError
from tracekeeper_sidecar.wire import otlp_build, propagation
from tracekeeper_sidecar.wire.json_text import shown
from tracekeeper_sidecar.wire.propagation import Parent

LONGEST_ID: Final = 256
"""Characters of an id; the SDK's have 38 and 29."""
SMALL: Final = 2048
"""Characters of a trace's metadata up to which it is on every span; larger ones are on spans without a parent alone."""
LARGEST: Final = 16 * 1024
"""Characters of a trace's metadata beyond which it is left out, and its size said instead."""

_TRACE: Final = re.compile(r"trace_([0-9a-fA-F]{32})")
_SPAN: Final = re.compile(r"span_([0-9a-fA-F]{16})[0-9a-fA-F]{0,48}")


@dataclass(frozen=True, slots=True)
class Trace:
    """What a trace item says, ready to be put on its spans."""

    parent: Parent | None = None
    """What its spans without a parent hang below."""
    service: str = ""
    """`service.name`, where its metadata has it."""
    common: bytes = b""
    """Attributes of each of its spans, as otlp_build gives them."""
    top: bytes = b""
    """Further attributes of those without a parent."""

    @property
    def size(self) -> int:
        """Bytes that remembering it takes, about."""
        state = len(self.parent.state) if self.parent is not None else 0
        return 400 + len(self.common) + len(self.top) + len(self.service) + state


UNKNOWN: Final = Trace()
"""A trace whose item has not been seen."""


def trace_id(text: str) -> bytes:
    """The 16 bytes that stand for it: its own 32 digits, or, where it has none, the beginning of its SHA-256."""
    found = _TRACE.fullmatch(text)
    made = bytes.fromhex(found[1]) if found else _hash(text, 16)
    return made if any(made) else _hash(text, 16)


def span_id(text: str) -> bytes:
    """The 8 bytes that stand for it: its first 16 digits, or, where it has fewer, the beginning of its SHA-256.

    The SDK's ids are the first 24 digits of a random UUID (version 4), of whose first 16 all but four bits are random.
    """
    found = _SPAN.fullmatch(text)
    made = bytes.fromhex(found[1]) if found else _hash(text, 8)
    return made if any(made) else _hash(text, 8)


def _hash(text: str, size: int) -> bytes:
    return sha256(otlp_build.utf8(text)).digest()[:size]


def identifier(item: Mapping[str, object], name: str) -> str:
    """The id in the member `name`; raises WireError where there is none."""
    value = item.get(name)
    if not isinstance(value, str):
        raise WireError(name, "missing" if value is None else f"{shown(value)}; must be a string")
    if not 0 < len(value) <= LONGEST_ID:
        raise WireError(name, f"{len(value)} characters; must be 1 to {LONGEST_ID}")
    return value


def read(item: Mapping[str, object]) -> tuple[str, Trace]:
    """A trace item's id, and what it says; raises WireError naming the member. What has an unexpected type is kept as
    JSON, under its own name."""
    name = identifier(item, "id")
    common = _name(item, "workflow_name", "gen_ai.workflow.name") + _name(item, "group_id", "gen_ai.conversation.id")
    known = {"object", "id", "workflow_name", "group_id", "metadata", "tracing_api_key"}
    rest = {key: value for key, value in item.items() if key not in known and value is not None}
    top = otlp_build.text("openai.agents.trace", otlp_build.compact(rest)) if rest else b""
    metadata = item.get("metadata")
    if metadata is None or metadata == {}:
        return name, Trace(common=common, top=top)
    written = otlp_build.compact(metadata)
    if len(written) > LARGEST:
        common += otlp_build.integer("openai.agents.trace.metadata_size", len(written))
    elif len(written) > SMALL:
        top += otlp_build.text("openai.agents.trace.metadata", written)
    else:
        common += otlp_build.text("openai.agents.trace.metadata", written)
    if not isinstance(metadata, dict):
        return name, Trace(common=common, top=top)
    if isinstance(user := metadata.get("user_id"), str) and 0 < len(user) <= SMALL:
        common += otlp_build.text("user.id", user)
    service = metadata.get("service.name")
    return name, Trace(_carried(metadata), service[:256] if isinstance(service, str) else "", common, top)


def _carried(metadata: Mapping[str, object]) -> Parent | None:
    """The parent that the metadata names, by members with the names of headers, in any case."""
    headers = {}
    for key, value in metadata.items():
        if isinstance(value, str) and (lower := key.lower()) in propagation.NAMES:
            headers[lower] = value
    return propagation.parse(headers) if headers else None


def _name(item: Mapping[str, object], member: str, canonical: str) -> bytes:
    """Raises WireError where it is too long to be on every span."""
    value = item.get(member)
    if value is None or value == "":
        return b""
    written = value if isinstance(value, str) else otlp_build.compact(value)
    if len(written) > SMALL:
        raise WireError(member, f"{len(written)} characters; must be at most {SMALL}")
    return otlp_build.text(canonical if isinstance(value, str) else f"openai.agents.{member}", written)
