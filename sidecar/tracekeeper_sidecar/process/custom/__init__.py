"""Steps that users write: a Python class, run in a process of its own.

    spans     what the author sees of spans
    messages  what the two processes say to each other, and in what form
    worker    the other process: loads the class and runs it
    child     its parent's side: starts, watches, kills and restarts it
    step      the step of the pipeline

Nothing is imported here: the other process imports this package, too, and need not have what the sidecar has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tracekeeper_sidecar.process.build import Means
    from tracekeeper_sidecar.process.step import Step
    from tracekeeper_spec.processor import Processor


def make(processor: Processor, means: Means) -> Step:
    """The step for a processor of type Custom. Its process is started when the first request comes."""
    from tracekeeper_sidecar.process.custom.step import CustomStep  # noqa: PLC0415 - not for the other process

    assert processor.custom is not None
    return CustomStep(processor.name, str(processor.type), processor.custom)
