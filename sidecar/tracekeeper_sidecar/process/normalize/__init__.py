"""The step Normalize: spans of all dialects of generative AI come to speak OpenTelemetry's."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tracekeeper_sidecar.process.build import Means
    from tracekeeper_sidecar.process.step import Step
    from tracekeeper_spec.processor import Processor


def make(processor: Processor, means: Means) -> Step:
    """The step that the config asks for."""
    # Only who normalises needs the table of dialects: it takes time to read, and memory.
    from tracekeeper_sidecar.process.normalize.step import Normalize  # noqa: PLC0415 - see above
    from tracekeeper_sidecar.process.normalize.table import Table  # noqa: PLC0415 - see above

    wanted = processor.normalize
    assert wanted is not None
    table = Table([dialect.name.lower() for dialect in wanted.dialects], wanted.messages)
    return Normalize(processor.name, str(processor.type), table, wanted.keep_originals)
