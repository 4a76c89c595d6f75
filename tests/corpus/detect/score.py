"""What the detectors say of the labelled traces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from corpus.detect.labelled import DECLARED, Case
from corpus.detect.story import BEGIN, requests
from tracekeeper_sidecar.process.detect.step import DetectStep
from tracekeeper_sidecar.process.step import Request
from tracekeeper_spec.detect import Detect, Detector, Handoffs

SPEC = Detect(handoffs=tuple(Handoffs(agent, tuple(others)) for agent, others in DECLARED.items()))


@dataclass(slots=True)
class Score:
    """Of one detector; cases by their names."""

    labelled: int = 0
    found: int = 0
    missed: list[Case] = field(default_factory=list)
    false: list[Case] = field(default_factory=list)


def detected(case: Case) -> Counter[Detector]:
    """How often each detector has spoken, as a backend sees it: by the events on spans."""
    step, said = DetectStep("detect", "Detect", SPEC), Counter[Detector]()
    for body in requests(case.name, case.story):
        request = Request(body, body.count(b"x"), BEGIN)
        step.run(request)
        for resource in ExportTraceServiceRequest.FromString(request.body).resource_spans:
            for span in resource.scope_spans[0].spans:
                for event in span.events:
                    if event.name == "tracekeeper.detected":
                        names = {item.key: item.value.string_value for item in event.attributes}
                        said[Detector(names["tracekeeper.detector"])] += 1
    return said


def scores(cases: Iterable[Case]) -> dict[Detector, Score]:
    """Of all detectors."""
    found = {detector: Score() for detector in Detector}
    for case in cases:
        said = detected(case)
        for detector, score in found.items():
            if detector in case.labels:
                score.labelled += 1
                score.found += detector in said
                if detector not in said:
                    score.missed.append(case)
            elif detector in said:
                score.false.append(case)
    return found
