"""The step Detect with a story of calls led through it, and what it has written into the spans."""

from __future__ import annotations

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from corpus.detect.story import BEGIN, Story, requests
from tracekeeper_sidecar.process.detect.step import DetectStep
from tracekeeper_sidecar.process.step import Request
from tracekeeper_spec.detect import Detect


def watching(**options: object) -> DetectStep:
    """A step of its own, with all else at its defaults."""
    return DetectStep("watch", "Detect", Detect(**options))  # type: ignore[arg-type] # whatever a test says


def told(step: DetectStep, story: Story, name: str = "a", at: int = BEGIN) -> list[tuple[int, str]]:
    """The span by its number, and the message, of each event that is written."""
    found, number = [], 0
    for body in requests(name, story):
        request = Request(body, body.count(b"gen_ai.operation.name"), at)
        step.run(request)
        for resource in ExportTraceServiceRequest.FromString(request.body).resource_spans:
            for span in resource.scope_spans[0].spans:
                found += [(number, event.attributes[1].value.string_value) for event in span.events]
                number += 1
    return found
