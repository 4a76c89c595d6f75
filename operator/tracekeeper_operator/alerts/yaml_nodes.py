"""YAML that is changed without being understood: a scalar stays the text that somebody wrote, whatever YAML of what
age takes it for.

Alertmanager reads by other rules than PyYAML does (`12:30` is a text to the one, 750 to the other), so that a file
must not go through Python's values. All is done on PyYAML's nodes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

Value: TypeAlias = "str | bool | Sequence[Value] | Mapping[str, Value]"
MAX_CHARACTERS = 1024 * 1024
"""Kubernetes keeps nothing larger."""
MAX_PAIRS = 100_000
"""Keys and values after merging."""
MAX_DEPTH = 20
"""Of merges in what is merged."""
_MERGE = "tag:yaml.org,2002:merge"


class YamlError(ValueError):
    """The text is no YAML, or not what is looked for. Its message is for people."""


def compose(text: str) -> MappingNode:
    """The mapping that `text` consists of, merge keys (`<<`) worked in. Raises YamlError."""
    if len(text) > MAX_CHARACTERS:
        raise YamlError(f"it has more than {MAX_CHARACTERS} characters")
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise YamlError(f"{place}{error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise YamlError(" ".join(str(error).split())[:200]) from None
    if not isinstance(root, MappingNode):
        raise YamlError("it is not a mapping")
    _merge(root)
    return root


def _merge(root: Node) -> None:
    """Put what `<<` stands for in its place, everywhere below `root`."""
    order: list[Node] = []
    seen: set[int] = set()
    left = [root]
    while left:
        each = left.pop()
        if id(each) in seen or isinstance(each, ScalarNode):
            continue
        seen.add(id(each))
        order.append(each)
        left += [part for pair in each.value for part in pair] if isinstance(each, MappingNode) else each.value
    pairs = 0
    for each in order:
        if isinstance(each, MappingNode) and any(key.tag == _MERGE for key, _ in each.value):
            each.value = _merged(each, ())
        pairs += len(each.value)
        if pairs > MAX_PAIRS:
            raise YamlError(f"it has more than {MAX_PAIRS} keys, merged ones included")


def _merged(mapping: MappingNode, above: tuple[int, ...]) -> list[tuple[Node, Node]]:
    """Its pairs; what it says itself comes before what it merges, and the first that is merged before the next."""
    if id(mapping) in above or len(above) > MAX_DEPTH:
        raise YamlError("its merge keys (<<) go round in circles")
    own = [pair for pair in mapping.value if pair[0].tag != _MERGE]
    known = {key.value for key, _ in own if isinstance(key, ScalarNode)}
    for value in [value for key, value in mapping.value if key.tag == _MERGE]:
        for other in value.value if isinstance(value, SequenceNode) else [value]:
            if not isinstance(other, MappingNode):
                raise YamlError("a merge key (<<) stands for something else than a mapping")
            more = [
                (copied(key), copied(item))
                for key, item in _merged(other, (*above, id(mapping)))
                if not isinstance(key, ScalarNode) or key.value not in known
            ]
            own += more
            known |= {key.value for key, _ in more if isinstance(key, ScalarNode)}
            if len(own) > MAX_PAIRS:
                raise YamlError(f"it has more than {MAX_PAIRS} keys, merged ones included")
    return own


def serialize(root: Node) -> str:
    """Raises YamlError."""
    try:
        text = yaml.serialize(
            root, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper), width=1000, allow_unicode=True
        )
    except (yaml.YAMLError, RecursionError) as error:
        raise YamlError(" ".join(str(error).split())[:200]) from None
    return str(text)


def node(value: Value) -> Node:
    """What `value` is in YAML. Texts are quoted, always."""
    if isinstance(value, bool):
        return ScalarNode("tag:yaml.org,2002:bool", "true" if value else "false")
    if isinstance(value, str):
        return ScalarNode("tag:yaml.org,2002:str", value, style='"')
    if isinstance(value, Mapping):
        pairs = [(_key(name), node(item)) for name, item in value.items()]
        return MappingNode("tag:yaml.org,2002:map", pairs, flow_style=False)
    return SequenceNode("tag:yaml.org,2002:seq", [node(item) for item in value], flow_style=False)


def copied(scalar: Node) -> Node:
    """A scalar of its own, so that no anchor is needed for it; anything else as it is."""
    if not isinstance(scalar, ScalarNode):
        return scalar
    return ScalarNode(scalar.tag, scalar.value, style=scalar.style)


def keys(mapping: MappingNode) -> list[str]:
    """Its keys, as they are written."""
    return [key.value for key, _ in mapping.value if isinstance(key, ScalarNode)]


def get(mapping: MappingNode, name: str) -> Node | None:
    """The value of a key; None when it is not there, or when nothing stands there."""
    found = next((item for key, item in mapping.value if isinstance(key, ScalarNode) and key.value == name), None)
    return None if isinstance(found, ScalarNode) and found.tag == "tag:yaml.org,2002:null" else found


def text(mapping: MappingNode, name: str) -> str:
    """The text of a key; empty when it is not there, or none."""
    found = get(mapping, name)
    return str(found.value) if isinstance(found, ScalarNode) else ""


def put(mapping: MappingNode, name: str, value: Node) -> None:
    """Set a key, in the place where it was if it was there."""
    for index, (key, _) in enumerate(mapping.value):
        if isinstance(key, ScalarNode) and key.value == name:
            mapping.value[index] = (key, value)
            return
    mapping.value.append((_key(name), value))


def remove(mapping: MappingNode, name: str) -> None:
    mapping.value[:] = [
        pair for pair in mapping.value if not (isinstance(pair[0], ScalarNode) and pair[0].value == name)
    ]


def mapping_at(mapping: MappingNode, name: str, where: str) -> MappingNode | None:
    """The mapping under a key. Raises YamlError if something else is there."""
    found = get(mapping, name)
    if found is not None and not isinstance(found, MappingNode):
        raise YamlError(f"{where}{name} is not a mapping")
    return found


def list_at(mapping: MappingNode, name: str, where: str) -> list[Node]:
    """What the list under a key holds. Raises YamlError if something else is there."""
    found = get(mapping, name)
    if found is None:
        return []
    if not isinstance(found, SequenceNode):
        raise YamlError(f"{where}{name} is not a list")
    return list(found.value)


def mappings_at(mapping: MappingNode, name: str, where: str) -> Iterator[MappingNode]:
    """Each of the mappings that the list under a key holds. Raises YamlError if it holds something else."""
    for index, item in enumerate(list_at(mapping, name, where)):
        if not isinstance(item, MappingNode):
            raise YamlError(f"{where}{name}[{index}] is not a mapping")
        yield item


def _key(name: str) -> ScalarNode:
    return ScalarNode("tag:yaml.org,2002:str", name)
