"""`tracekeeper-sidecar check`: every fault of a manifest at once, in the words that admission uses too."""

from __future__ import annotations

from tracekeeper_sidecar.control.source import ManifestSource
from tracekeeper_sidecar.errors import PolicyError


def check_file(file: str) -> list[str]:
    """All faults of the manifest in `file`, each with its path; empty when there are none."""
    try:
        ManifestSource(file, None).read()
    except PolicyError as error:
        return error.faults
    except OSError as error:
        return [f"{file}: cannot be read: {error.strerror or error}"]
    return []
