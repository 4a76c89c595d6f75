"""The reference of the chart's values, from the comments in its values.yaml; scripts/generate.py writes it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

VALUES = Path(__file__).resolve().parent.parent / "charts/tracekeeper/values.yaml"
KEY = re.compile(r"^(?P<indent> *)(?P<name>[A-Za-z]\w*):")
HEAD = """# Values of the Helm chart

Generated from `charts/tracekeeper/values.yaml` by `make docs`. Anything that is not listed here is refused when
installing, and so is a value of the wrong type. Only `image.registry` must be given.

| value | default | meaning |
|---|---|---|
"""


@dataclass(frozen=True, slots=True)
class Value:
    """One value: its dotted path, its default, and the comment above it, which is empty when there is none."""

    path: str
    default: object
    meaning: str


def comments(text: str) -> dict[str, str]:
    """The comment right above each key, by dotted path; keys without one are absent."""
    found: dict[str, str] = {}
    parents: list[str] = []
    block: list[str] = []
    for line in text.splitlines():
        stripped = line.strip()
        key = KEY.match(line)
        if stripped.startswith("#"):
            block.append(stripped.removeprefix("#").strip())
            continue
        if key:
            parents[len(key["indent"]) // 2 :] = [key["name"]]
            if block:
                found[".".join(parents)] = " ".join(block)
        block = []
    return found


def values(text: str) -> list[Value]:
    """Every value in the order of the file. A map with a comment is one value, one without is a group of values."""
    meanings = comments(text)

    def walk(node: dict[str, object], prefix: str) -> Iterator[Value]:
        for name, value in node.items():
            path = f"{prefix}{name}"
            if isinstance(value, dict) and value and path not in meanings:
                yield from walk(value, f"{path}.")
            else:
                yield Value(path, value, meanings.get(path, ""))

    return list(walk(yaml.safe_load(text), ""))


def render() -> str:
    """docs/reference/chart-values.md. Raises ValueError for values that nobody documented."""
    listed = values(VALUES.read_text(encoding="utf-8"))
    if missing := [value.path for value in listed if not value.meaning]:
        raise ValueError(f"charts/tracekeeper/values.yaml: no comment above {', '.join(missing)}")
    rows = [f"| `{value.path}` | `{json.dumps(value.default)}` | {value.meaning} |" for value in listed]
    return HEAD + "\n".join(rows) + "\n"
