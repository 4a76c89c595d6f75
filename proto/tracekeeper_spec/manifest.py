"""TracingConfigs in YAML files (JSON included), with the line of each fault."""

from __future__ import annotations

import re
from typing import Any

import yaml

from tracekeeper_spec.config import API_VERSION, KIND, TracingConfig
from tracekeeper_spec.faults import Fault, shorten
from tracekeeper_spec.parse import parse_manifest
from tracekeeper_spec.units import show

MAX_CHARACTERS = 1024 * 1024
"""Kubernetes stores no larger object, and reading YAML is slow."""


class _Twins(yaml.SafeLoader):
    """SafeLoader that notes keys written twice, of which YAML libraries silently keep the last."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.twins: list[Fault] = []

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                problem = f"{show(key.value)} is written twice, first in line {seen[key.value]}"
                self.twins.append(Fault("", problem, "remove one of them", line))
            elif isinstance(key, yaml.ScalarNode):
                seen[key.value] = line
        return node


def load_manifest(text: str, file: str) -> tuple[TracingConfig | None, list[Fault]]:
    """The one TracingConfig in `text`, and all of its faults, each with its line where that is known.

    The config is None if there is any fault. `file` is the name to show. Never raises, whatever the text is.
    """
    if len(text) > MAX_CHARACTERS:
        return None, [Fault("", f"is larger than {MAX_CHARACTERS} characters", "is this the right file?", 0, file)]
    loader = None
    try:
        loader = _Twins(text)
        nodes = _documents(loader)
        obj = loader.construct_document(nodes[0]) if len(nodes) == 1 else None
    except yaml.YAMLError as error:
        return None, [_syntax(error, file)]
    except (ValueError, RecursionError, OverflowError, TypeError, AttributeError) as error:
        # PyYAML lets these out for numbers and dates that Python cannot hold, and for very deep nesting.
        return None, [Fault("", f"cannot be read as YAML: {str(error)[:200]}", "", 0, file)]
    finally:
        if loader is not None:
            loader.dispose()
    if len(nodes) != 1:
        return None, [_count(nodes, file)]
    config, faults = parse_manifest(obj)
    found = [*loader.twins, *(_placed(fault, nodes[0]) for fault in faults)]
    in_order = shorten(sorted(found, key=lambda fault: fault.line))
    located = [Fault(f.path, f.problem, f.hint, f.line, file) for f in in_order]
    return (None if located else config), located


def _documents(loader: _Twins) -> list[Any]:
    """The nodes of the documents that hold anything, three at most."""
    nodes: list[Any] = []
    while len(nodes) < 3 and loader.check_node():
        node = loader.get_node()
        empty = isinstance(node, yaml.ScalarNode) and node.value == ""
        nodes += [] if empty else [node]
    return nodes


def _count(nodes: list[Any], file: str) -> Fault:
    if not nodes:
        return Fault("", "is empty", f"write a {KIND}: apiVersion: {API_VERSION}, kind: {KIND}, …", 0, file)
    line = nodes[1].start_mark.line + 1
    return Fault("", "holds several documents, and one is expected", "put each into a file of its own", line, file)


def _syntax(error: yaml.YAMLError, file: str) -> Fault:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "cannot be read"
    where = f" (column {mark.column + 1})" if mark else ""
    return Fault("", f"is not valid YAML: {problem}{where}", "", mark.line + 1 if mark else 0, file)


def _placed(fault: Fault, root: Any) -> Fault:
    """`fault` with the line of its field, or of the nearest one around it that is in the file."""
    node, line = root, root.start_mark.line + 1
    for name, index in re.findall(r"([^.\[\]]+)|\[([0-9]+)\]", fault.path):
        step = _member(node, name, index)
        if step is None:
            break
        line, node = step
    return Fault(fault.path, fault.problem, fault.hint, line)


def _member(node: Any, name: str, index: str) -> tuple[int, Any] | None:
    """Line and node of a mapping's key or of a list's item."""
    if isinstance(node, yaml.MappingNode) and name:
        for key, value in node.value:
            if key.value == name:
                return key.start_mark.line + 1, value
    if isinstance(node, yaml.SequenceNode) and index and int(index[:9]) < len(node.value):
        item = node.value[int(index[:9])]
        return item.start_mark.line + 1, item
    return None
