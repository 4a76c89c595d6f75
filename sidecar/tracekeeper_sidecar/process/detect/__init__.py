"""The step `Detect`: says on spans what goes wrong in their traces, while it does."""

from __future__ import annotations

from tracekeeper_sidecar.process.build import Means
from tracekeeper_sidecar.process.detect.step import DetectStep
from tracekeeper_spec.detect import Detect
from tracekeeper_spec.processor import Processor


def make(processor: Processor, means: Means) -> DetectStep:
    """The step that `processor` asks for."""
    return DetectStep(processor.name, processor.type, processor.detect or Detect())
