# cython: annotation_typing=False, language_level=3
"""The seam for processors: what changes a request's bytes before they are stored, redaction first of all.

Processors see the raw request, which has been scanned, and give back a request. What fails in one fails the request:
it is refused, and nothing that should have been redacted reaches the disk. Compiled with the types in processing.pxd;
without processors the bytes pass through as they are, and nothing is copied.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

Processor: TypeAlias = Callable[[bytes], bytes]


class Processing:
    """The processors of a config, in their order."""

    def __init__(self, processors: tuple[Processor, ...] = ()) -> None:
        self._processors = processors

    def run(self, body: bytes, spans: int) -> bytes:
        """`body`, a request of `spans` spans, as it is to be stored. Raises whatever a processor raises."""
        for processor in self._processors:
            body = processor(body)
        return body
