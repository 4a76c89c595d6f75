"""The step `Price`: says on spans what calls of models cost, and on local roots what their traces do."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tracekeeper_sidecar.process.build import Means
    from tracekeeper_sidecar.process.step import Step
    from tracekeeper_spec.processor import Processor


def make(processor: Processor, means: Means) -> Step:
    """The step that `processor` asks for. What any step of the config says of prices holds: a call has one price."""
    from tracekeeper_sidecar.process.price.step import PriceStep  # noqa: PLC0415 - its metrics are known without it

    return PriceStep(processor.name, processor.type, means.price)
