"""values.yaml, its schema and its reference page say the same."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
CHART = ROOT / "charts/tracekeeper"
sys.path.insert(0, str(ROOT / "scripts"))

import generate_values  # noqa: E402  (a script, found by the line above)

FREE = {"global", "nodeAffinity", "podAffinity", "podAntiAffinity"}  # shapes that are not ours to check


def test_every_value_is_documented() -> None:
    undocumented = [
        value.path for value in generate_values.values((CHART / "values.yaml").read_text()) if not value.meaning
    ]
    assert undocumented == []


def test_a_value_without_a_comment_is_noticed() -> None:
    text = "# Says so.\na: 1\nb:\n  # Also.\n  c: {}\n  d: 2\n"
    assert [(value.path, value.meaning) for value in generate_values.values(text)] == [
        ("a", "Says so."),
        ("b.c", "Also."),
        ("b.d", ""),
    ]


def test_the_reference_page_is_current() -> None:
    committed = (ROOT / "docs/reference/chart-values.md").read_text()
    assert committed == generate_values.render(), "run `make docs` and commit docs/reference/chart-values.md"


def resolved(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = root["definitions"][schema["$ref"].rsplit("/", 1)[-1]]
    return schema


def objects(name: str, schema: dict[str, Any], root: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Every object in the schema, with the name it has."""
    schema = resolved(schema, root)
    found = [(name, schema)] if schema.get("type") == "object" else []
    for child, inner in schema.get("properties", {}).items():
        found += objects(child, inner, root)
    if "items" in schema:
        found += objects(f"{name}[]", schema["items"], root)
    return found


def test_the_schema_leaves_no_object_open() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    listed = objects("values", schema, schema)
    assert len(listed) > 10
    open_ones = [name for name, found in listed if found.get("additionalProperties", True) is True and name not in FREE]
    assert open_ones == []


def test_schema_and_values_name_the_same_keys() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())

    def compare(path: str, node: dict[str, Any], shape: dict[str, Any]) -> None:
        shape = resolved(shape, schema)
        if "properties" not in shape or not node:
            return
        assert set(node) == set(shape["properties"]) - FREE, path
        for name, value in node.items():
            if isinstance(value, dict):
                compare(f"{path}.{name}", value, shape["properties"][name])

    compare("values", yaml.safe_load((CHART / "values.yaml").read_text()), schema)


@pytest.mark.parametrize("field", ["version", "appVersion"])
def test_the_chart_has_the_projects_version(field: str) -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    command = r's/^version = "\(.*\)"/\1/p'
    project = subprocess.run(
        ["sed", "-n", command, ROOT / "pyproject.toml"], capture_output=True, text=True, check=True, timeout=10
    )
    assert chart[field] == project.stdout.strip()
