"""Pipelines of ours, by name: the section `processors` of a TracingConfig, all else at its defaults."""

from __future__ import annotations

from typing import Any

import masking
import yaml

REDACT: dict[str, Any] = {
    "name": "redact",
    "type": "Redact",
    "redact": {"keyPatterns": list(masking.KEYS), "detectors": list(masking.DETECTORS)},
}
PIPELINES: dict[str, list[dict[str, Any]]] = {
    "off": [],
    "redact": [REDACT],
    "all": [
        {"name": "normalize", "type": "Normalize"},
        REDACT,
        {"name": "price", "type": "Price"},
        {"name": "detect", "type": "Detect"},
    ],
}
TITLES = {"off": "no processors", "redact": "Redact", "all": "Normalize, Redact, Price, Detect"}


def section(name: str) -> str:
    """The lines of a manifest, below `spec`; none where there is no processor."""
    if not PIPELINES[name]:
        return ""
    lines = yaml.safe_dump({"processors": PIPELINES[name]}, sort_keys=False).splitlines()
    return "".join(f"  {line}\n" for line in lines)
