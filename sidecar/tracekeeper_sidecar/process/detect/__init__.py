"""The step `Detect`: says on spans what goes wrong in their traces, while it does."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tracekeeper_sidecar.process.build import Means
    from tracekeeper_sidecar.process.step import Step
    from tracekeeper_spec.processor import Processor


def make(processor: Processor, means: Means) -> Step:
    """The step that `processor` asks for."""
    from tracekeeper_sidecar.process.detect.step import DetectStep  # noqa: PLC0415 - its metrics are known without it
    from tracekeeper_spec.detect import Detect  # noqa: PLC0415
    from tracekeeper_spec.processor import ProcessorType  # noqa: PLC0415

    return DetectStep(
        processor.name, processor.type, processor.detect or Detect(), ProcessorType.DETECT in means.earlier
    )
