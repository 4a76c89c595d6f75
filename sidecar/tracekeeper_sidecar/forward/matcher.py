"""The part of a request that a delivery entry takes."""

from __future__ import annotations

from typing import Protocol


class Matcher(Protocol):
    """A compiled `match` of one delivery entry."""

    def split(self, body: bytes) -> tuple[bytes, int, int]:
        """The spans of a serialised ExportTraceServiceRequest that match, as a request; how many they are; and how
        many do not match. The body itself comes back when all do. Raises ValueError when it is no such request."""
