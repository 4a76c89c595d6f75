"""The step that throws spans away by conditions."""

from __future__ import annotations

from tracekeeper_sidecar.process.build import Means
from tracekeeper_sidecar.process.step import Plain, Request
from tracekeeper_sidecar.wire.drop import Drop
from tracekeeper_sidecar.wire.match import Matcher
from tracekeeper_spec.condition import compile_condition
from tracekeeper_spec.filter import Filter
from tracekeeper_spec.processor import Processor


class FilterStep(Plain):
    """One processor of type Filter. Should it fail, spans go on: too many of them are a smaller loss."""

    def __init__(self, name: str, kind: str, filter: Filter) -> None:
        """Raises ConditionError for a condition that the policy's checks would not pass."""
        super().__init__(name, kind)
        self._drop = Drop([Matcher(compile_condition(text)) for text in filter.drop])

    def run(self, request: Request) -> None:
        """Take out the spans for which a condition holds."""
        body, gone = self._drop.run(request.body)
        if gone:
            request.filter(self.name, body, gone)


def make(processor: Processor, means: Means) -> FilterStep:
    """The step for a processor of type Filter. Raises ConditionError."""
    assert processor.filter is not None
    return FilterStep(processor.name, str(processor.type), processor.filter)
