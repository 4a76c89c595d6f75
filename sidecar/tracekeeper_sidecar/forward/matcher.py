"""The part of a request that a delivery entry takes."""

from __future__ import annotations

from typing import Protocol


class Matcher(Protocol):
    """A compiled `match` of one delivery entry."""

    def split(self, body: bytes) -> tuple[bytes, int, int]:
        """The spans of a serialised ExportTraceServiceRequest that match, as a request; how many they are; and how
        many do not match. The body itself comes back when all do. Raises ValueError when it is no such request."""


def compiled(condition: str) -> Matcher | None:
    """None when it is empty: every span is taken. Raises ConditionError for what the policy's checks would not pass."""
    if not condition:
        return None
    from tracekeeper_sidecar.wire import match  # noqa: PLC0415 - few configs need it
    from tracekeeper_spec.condition import compile_condition  # noqa: PLC0415

    return match.Matcher(compile_condition(condition))
