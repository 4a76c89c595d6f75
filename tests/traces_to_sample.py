"""Traces as applications send them, for tests of sampling: a root and its children, each span in a request of its own
if need be."""

from __future__ import annotations

import random
from collections.abc import Sequence

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

START = 1_700_000_000_000_000_000


def trace(
    chance: random.Random, spans: int = 4, *, error: bool = False, seconds: float = 0.1, state: str = ""
) -> list[Span]:
    """The root comes last, as it ends last."""
    trace_id, root = chance.randbytes(16), chance.randbytes(8)
    made = []
    for number in range(spans):
        is_root = number == spans - 1
        made.append(
            Span(
                trace_id=trace_id,
                span_id=root if is_root else chance.randbytes(8),
                parent_span_id=b"" if is_root else root,
                name="root" if is_root else f"child {number}",
                kind=Span.SPAN_KIND_SERVER if is_root else Span.SPAN_KIND_CLIENT,
                start_time_unix_nano=START,
                end_time_unix_nano=START + int(seconds * 1e9),
                status=Status(code=Status.STATUS_CODE_ERROR if error and is_root else Status.STATUS_CODE_UNSET),
                trace_state=state,
            )
        )
    return made


def request_of(spans: Sequence[Span], service: str = "shop") -> bytes:
    """One export of these spans."""
    message = ExportTraceServiceRequest()
    resource = message.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = service
    resource.scope_spans.add().spans.extend(spans)
    return message.SerializeToString()
