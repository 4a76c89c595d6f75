"""The CRD in the chart, without Helm: the template has conditions on lines of their own only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
TEMPLATE = ROOT / "charts/tracekeeper/templates/crd.yaml"


def crd() -> dict[str, Any]:
    """The definition with every condition taken as true."""
    lines = TEMPLATE.read_text(encoding="utf-8").splitlines()
    definition = yaml.safe_load("\n".join(line for line in lines if not line.lstrip().startswith("{{")))
    assert isinstance(definition, dict)
    return definition


def crd_schema() -> dict[str, Any]:
    """Its OpenAPI schema; fields that it does not know are refused, as `kubectl apply` does."""
    schema = crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    schema["properties"]["metadata"]["additionalProperties"] = True
    _close(schema)
    return dict(schema)


def _close(schema: dict[str, Any]) -> None:
    if "properties" in schema:
        schema.setdefault("additionalProperties", False)
        for inner in schema["properties"].values():
            _close(inner)
    if "items" in schema:
        _close(schema["items"])
