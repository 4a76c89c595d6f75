"""`tracekeeper-sidecar check`: every fault of a manifest at once, in the words that admission uses too."""

from __future__ import annotations

from pathlib import Path

from tracekeeper_sidecar.control.source import ManifestSource
from tracekeeper_sidecar.errors import PolicyError
from tracekeeper_spec.alert.review import review
from tracekeeper_spec.manifest import load_manifest


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
    return [f"{file}: {fault}" for fault in review(config).faults] if config is not None else []
