"""Dividing large requests, so that no frame of the log is large.

A request may have 64 MiB. Each delivery entry holds a few frames at a time, in the shape in which it sends them; were a
request of that size one frame, two entries would need more memory than the sidecar has by default, again after every
restart. So it becomes frames of about a MiB, which are made and stored a few at a time.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator

from tracekeeper_sidecar.errors import LogTooLarge
from tracekeeper_sidecar.wire.cut import NO_LIMIT, cut, measure

LARGE = 4 << 20
"""Bytes of a request up to which it is one frame."""
PART = 1 << 20
"""Bytes of a part; only a single span may have more."""
PART_SPANS = 2048
"""Spans of a part: as many as a batch has by default, so that no delivery entry has to cut it again."""
LARGEST_PART = 8 << 20
"""Bytes of a single span, with its resource and scope. Backends take less."""
GROUP = 4
"""Parts in memory at once: enough to share a commit."""
_GROWTH = 2
"""How many times its size a request may grow by what every part repeats: resource and scope."""


async def divide(payload: bytes) -> AsyncIterator[list[tuple[bytes, int]]]:
    """Groups of (part, spans), in order, made in a thread. Raises LogTooLarge before the first when a part would be
    too large; ValueError when the payload is not OTLP, which its receiver has made sure of."""
    spans = PART_SPANS
    total, largest = await asyncio.to_thread(measure, payload, spans, PART)
    if total > _GROWTH * len(payload):  # Small spans below a resource that is larger than many of them.
        spans = NO_LIMIT
        total, largest = await asyncio.to_thread(measure, payload, spans, PART)
    if largest > LARGEST_PART or total > _GROWTH * len(payload):
        raise LogTooLarge(
            f"this request of {len(payload)} bytes holds spans of up to {largest} bytes, each with its resource and "
            f"scope; a span may have {LARGEST_PART}, and resources of many spans much less. Make attributes smaller "
            "(OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT)"
        )
    parts = cut(payload, spans, PART)
    while group := await asyncio.to_thread(lambda: list(itertools.islice(parts, GROUP))):
        yield group
