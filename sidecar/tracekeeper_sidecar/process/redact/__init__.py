"""The step Redact: what nobody may read is hidden before anything is stored, counted or sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tracekeeper_sidecar.process.build import Means
    from tracekeeper_sidecar.process.step import Step
    from tracekeeper_spec.processor import Processor


def make(processor: Processor, means: Means) -> Step:
    """The step that the config asks for."""
    from tracekeeper_sidecar.process.redact.step import Redacting  # noqa: PLC0415 - its metrics are known without it

    wish = processor.redact
    assert wish is not None
    ref = wish.hash_key.secret_key_ref if wish.hash_key is not None else None
    key = means.secrets.get(ref.name, ref.key) if ref is not None else None
    return Redacting(processor.name, str(processor.type), wish, key)
