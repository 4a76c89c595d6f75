"""`tracekeeper-sidecar check`: every fault of a manifest at once, in the words that admission uses too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from tracekeeper_sidecar.control.source import ManifestSource
from tracekeeper_sidecar.errors import PolicyError
from tracekeeper_spec.alert.review import review
from tracekeeper_spec.faults import Fault
from tracekeeper_spec.manifest import load_manifest
from tracekeeper_spec.processor import Processor


def check_file(file: str) -> list[str]:
    """All faults of the manifest in `file`, each with its path, those of single rules for alerts among them; empty when
    there are none."""
    try:
        ManifestSource(file, None).read()
    except PolicyError as error:
        return error.faults
    except OSError as error:
        return [f"{file}: cannot be read: {error.strerror or error}"]
    config, _ = load_manifest(Path(file).read_text(encoding="utf-8"), file)
    if config is None:
        return []
    faults = [*review(config).faults, *_not_installed(config.spec.processors or ())]
    return [f"{file}: {fault}" for fault in faults]


def _not_installed(processors: Iterable[Processor]) -> Iterator[Fault]:
    """Steps whose class is not here. Only the sidecar's image knows what is in it: admission cannot tell."""
    for index, processor in enumerate(processors):
        if processor.custom is None:
            continue
        from tracekeeper_sidecar.process.custom.find import NotInstalled, find  # noqa: PLC0415 - few configs have one

        try:
            find(processor.custom.entry_point)
        except NotInstalled as error:
            yield Fault(f"spec.processors[{index}].custom.entryPoint", str(error))
