"""Reads any value by a schema: what it means, and everything that is wrong with it. Never raises."""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from tracekeeper_spec.faults import Fault, join
from tracekeeper_spec.schema import (
    Amount,
    Boolean,
    Choice,
    Condition,
    Duration,
    Field,
    Fraction,
    Free,
    Integer,
    ListOf,
    Node,
    Object,
    Size,
    Text,
    TextMap,
)
from tracekeeper_spec.units import parse_amount, parse_duration, parse_quantity, show

MAX_UNKNOWN = 20
"""Unknown fields of one object that are named; the rest are counted."""
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


class _Bad:
    """The type of BAD."""


BAD: Final = _Bad()
"""In place of a value that has faults."""


def read(node: Node, value: object, path: str, faults: list[Fault]) -> Any:
    """What `value` means by `node`, or BAD after adding everything that is wrong with it to `faults`."""
    if value is None:
        faults.append(Fault(path, "is empty", "give it a value, or remove it"))
        return BAD
    return _READERS[type(node)](node, value, path, faults)


def _read_boolean(node: Boolean, value: object, path: str, faults: list[Fault]) -> Any:
    if isinstance(value, bool):
        return value
    return _wrong(faults, path, f"must be true or false, not {show(value)}")


def _read_integer(node: Integer, value: object, path: str, faults: list[Fault]) -> Any:
    if isinstance(value, bool) or not isinstance(value, int):
        hint = "leave the quotes out" if isinstance(value, str) and value.isdigit() else ""
        return _wrong(faults, path, f"must be a whole number, not {show(value)}", hint)
    if not node.minimum <= value <= node.maximum:
        return _wrong(faults, path, f"must be from {node.minimum} to {node.maximum}, not {show(value)}")
    return value


def _read_fraction(node: Fraction, value: object, path: str, faults: list[Fault]) -> Any:
    bounds = f"from {node.minimum:.15g} to {node.maximum:.15g}"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return _wrong(faults, path, f"must be a number {bounds}, not {show(value)}")
    # Written so that NaN is not in it.
    if not node.minimum <= value <= node.maximum:
        percent = node.maximum <= 1 and node.maximum < value <= 100
        hint = f"write {value / 100:.15g} for {value:.15g} %" if percent else ""
        return _wrong(faults, path, f"must be {bounds}, not {show(value)}", hint)
    return float(value)


def _read_text(node: Text, value: object, path: str, faults: list[Fault]) -> Any:
    if not isinstance(value, str):
        hint = "put it in quotes" if isinstance(value, (int, float)) else ""
        return _wrong(faults, path, f"must be {node.expects}, not {show(value)}", hint)
    if len(value) < node.min_length:
        return _wrong(faults, path, f"must be {node.expects}, and is empty")
    if len(value) > node.max_length:
        return _wrong(faults, path, f"must have at most {node.max_length} characters, and has {len(value)}")
    if _SURROGATE.search(value) is not None:
        return _wrong(faults, path, "has half of a pair of characters in it, which no text can have", "write it anew")
    if node.look is not None and (found := node.look(value)) is not None:
        return _wrong(faults, path, *found)
    # The value is not repeated: a text of the wrong form may be a password in the wrong place.
    if node.pattern and not re.fullmatch(node.pattern, value):
        return _wrong(faults, path, f"must be {node.expects}")
    return value


def _read_condition(node: Condition, value: object, path: str, faults: list[Fault]) -> Any:
    # The language takes 2 MB and as many hundredths of a second to import, and few configs have a condition.
    from tracekeeper_spec.condition import MAX_LENGTH, find_problems, find_trace_problems  # noqa: PLC0415

    if read(Text(MAX_LENGTH, expects="a condition"), value, path, faults) is BAD:
        return BAD
    problems = find_trace_problems(str(value)) if node.whole_trace else find_problems(str(value))
    faults.extend(Fault(path, problem.sentence, problem.hint) for problem in problems)
    return BAD if problems else value


def _read_choice(node: Choice, value: object, path: str, faults: list[Fault]) -> Any:
    names = [item.value for item in node.values]
    if isinstance(value, str) and value in names:
        return node.values(value)
    expected = names[0] if len(names) == 1 else f"one of {', '.join(names)}"
    return _wrong(faults, path, f"must be {expected}, not {show(value)}", nearest(value, names))


def _read_duration(node: Duration, value: object, path: str, faults: list[Fault]) -> Any:
    if not isinstance(value, str):
        hint = f"write {value}s for seconds" if isinstance(value, int) and 0 < value < 100_000 else ""
        return _wrong(faults, path, f"must be a duration such as 10s, not {show(value)}", hint)
    try:
        seconds = parse_duration(value)
    except ValueError as error:
        return _wrong(faults, path, str(error))
    if not parse_duration(node.minimum) <= seconds <= parse_duration(node.maximum):
        return _wrong(faults, path, f"must be from {node.minimum} to {node.maximum}, not {value}")
    return seconds


def _read_size(node: Size, value: object, path: str, faults: list[Fault]) -> Any:
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return _wrong(faults, path, f"must be a size such as 512Mi, not {show(value)}")
    try:
        size = parse_quantity(value)
    except ValueError as error:
        return _wrong(faults, path, str(error))
    if not parse_quantity(node.minimum) <= size <= parse_quantity(node.maximum):
        return _wrong(faults, path, f"must be from {node.minimum} to {node.maximum}, not {value}")
    return size


def _read_amount(node: Amount, value: object, path: str, faults: list[Fault]) -> Any:
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        hint = 'put it in quotes, for example "500m"' if isinstance(value, float) else ""
        return _wrong(faults, path, f"must be a quantity such as 500m or 256Mi, not {show(value)}", hint)
    try:
        positive = parse_amount(value) > 0
    except ValueError as error:
        return _wrong(faults, path, str(error))
    return str(value) if positive else _wrong(faults, path, f"must be more than zero, not {show(value)}")


def _read_text_map(node: TextMap, value: object, path: str, faults: list[Fault]) -> Any:
    if not isinstance(value, Mapping):
        return _wrong(faults, path, f"must be a mapping of names to values, not {show(value)}")
    if len(value) > node.max_items:
        return _wrong(faults, path, f"must have at most {node.max_items} entries, and has {len(value)}")
    before = len(faults)
    result = {}
    for key, item in value.items():
        read(node.key, key, f"{path}[{show(key)}] (the name)", faults)
        result[key] = read(node.value, item, f"{path}[{show(key)}]", faults)
    return BAD if len(faults) > before else result


def _read_free(node: Free, value: object, path: str, faults: list[Fault]) -> Any:
    if not isinstance(value, Mapping):
        return _wrong(faults, path, f"must be a mapping, not {show(value)}")
    if (found := _not_json(value, path, node.max_depth)) is not None:
        return _wrong(faults, *found)
    size = len(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode(errors="replace"))
    if size > node.max_bytes:
        return _wrong(faults, path, f"must have at most {node.max_bytes} bytes as JSON, and has {size}")
    return value


def _not_json(value: object, path: str, depth: int) -> tuple[str, str] | None:
    """The path of the first thing in `value` that JSON, or a JSON of this depth, does not have, and what is wrong."""
    if value is None or isinstance(value, (bool, str)):
        return None
    if isinstance(value, int):
        return None if -(2**63) <= value < 2**63 else (path, "must be a number of at most 64 bits")
    if isinstance(value, float):
        return None if math.isfinite(value) else (path, f"must be a number that JSON has, not {show(value)}")
    if not isinstance(value, (list, Mapping)):
        return path, f"must be something that JSON has, not {show(value)}"
    if depth == 0:
        return path, "is nested too deeply"
    if isinstance(value, list):
        inner = [(f"{path}[{index}]", item) for index, item in enumerate(value)]
    else:
        for key in value:
            if not isinstance(key, str):
                return f"{path}[{show(key)}]", "must have a text as its name"
        inner = [(f"{path}[{show(key)}]", item) for key, item in value.items()]
    return next((found for below, item in inner if (found := _not_json(item, below, depth - 1)) is not None), None)


def _read_list(node: ListOf, value: object, path: str, faults: list[Fault]) -> Any:
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
        return _wrong(faults, path, f"must be a list, not {show(value)}", "start each item with a dash")
    before = len(faults)
    if len(value) < node.min_items:
        faults.append(Fault(path, "must have at least one item", "remove the field to get its default"))
    if len(value) > node.max_items:
        faults.append(Fault(path, f"must have at most {node.max_items} items, and has {len(value)}"))
    head = value[: node.max_items]
    items = tuple(read(node.item, item, f"{path}[{index}]", faults) for index, item in enumerate(head))
    if node.unique:
        _report_twins(node.unique, head, path, faults)
    return BAD if len(faults) > before else items


def _report_twins(key: str, items: Sequence[object], path: str, faults: list[Fault]) -> None:
    seen: dict[str, int] = {}
    for index, item in enumerate(items):
        name = item.get(key) if isinstance(item, Mapping) else None
        if isinstance(name, str) and seen.setdefault(name, index) != index:
            first = f"{path}[{seen[name]}]"
            faults.append(Fault(f"{path}[{index}].{key}", f"{show(name)} is already the name of {first}"))


def _read_object(node: Object, value: object, path: str, faults: list[Fault]) -> Any:
    if not isinstance(value, Mapping):
        hint = f"its fields are {', '.join(field.name for field in node.fields)}"
        return _wrong(faults, path, f"must be a mapping, not {show(value)}", hint)
    before = len(faults)
    _report_unknown(node, value, path, faults)
    values = {field.attribute: _read_field(field, value, path, faults) for field in node.fields}
    good = {name: item for name, item in values.items() if item is not BAD}
    _report_union(node, value, path, faults)
    _report_one_of(node, value, path, faults)
    for check in node.checks:
        found = check.find(good) if check.find else ()
        faults.extend(Fault(join(path, below), problem, hint) for below, problem, hint in found)
    return BAD if len(faults) > before else node.make(**values)


def _read_field(field: Field, value: Mapping[Any, object], path: str, faults: list[Fault]) -> Any:
    if field.name in value:
        return read(field.node, value[field.name], join(path, field.name), faults)
    if field.required:
        return _wrong(faults, join(path, field.name), "is required", _required_hint(field.node))
    return None if field.default is None else read(field.node, field.default, join(path, field.name), faults)


def _required_hint(node: Node) -> str:
    match node:
        case Choice(values=values):
            return "write " + " or ".join(item.value for item in values)
        case Text(expects=expects) if expects != "a string":
            return f"write {expects}"
        case _:
            return ""


def _report_union(node: Object, value: Mapping[Any, object], path: str, faults: list[Fault]) -> None:
    if node.union is None:
        return
    tag = value.get(node.union.tag)
    if not isinstance(tag, str) or tag not in node.union.members:
        return
    for kind, member in node.union.members.items():
        if kind == tag and member not in value and kind not in node.union.optional:
            faults.append(Fault(join(path, member), f"is required, because {node.union.tag} is {tag}"))
        if kind != tag and member in value:
            hint = f"remove it, or write {node.union.tag}: {kind}"
            faults.append(Fault(join(path, member), f"does not go with {node.union.tag}: {tag}", hint))


def _report_one_of(node: Object, value: Mapping[Any, object], path: str, faults: list[Fault]) -> None:
    if node.one_of and sum(name in value for name in node.one_of) != 1:
        found = "both are there" if any(name in value for name in node.one_of) else "none is there"
        faults.append(Fault(path, f"must have exactly one of {' and '.join(node.one_of)}, and {found}"))


def _report_unknown(node: Object, value: Mapping[Any, object], path: str, faults: list[Fault]) -> None:
    names = {field.name for field in node.fields}
    unknown = [key for key in value if not (isinstance(key, str) and key in names)]
    for key in unknown[:MAX_UNKNOWN]:
        text = key if isinstance(key, str) and re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", key) else f"[{show(key)}]"
        faults.append(Fault(join(path, text), "is not a known field", _place_of(node, key)))
    if len(unknown) > MAX_UNKNOWN:
        faults.append(Fault(path, f"has {len(unknown) - MAX_UNKNOWN} more fields that are not known"))


def _place_of(node: Object, key: object) -> str:
    """A hint for the unknown field `key`: a name like it here, else one below here, else the names there
    are."""
    names = [field.name for field in node.fields]
    if hint := nearest(key, names):
        return hint
    for field in node.fields:
        below = field.node.item if isinstance(field.node, ListOf) else field.node
        if isinstance(below, Object) and any(inner.name == key for inner in below.fields):
            return f"it belongs in {field.name}"
    return f"the fields here are {', '.join(names)}"


def nearest(value: object, names: list[str]) -> str:
    """`did you mean X?` with the one of `names` that is most like `value`, or an empty text."""
    if not isinstance(value, str) or len(value) > 64:
        return ""
    plain = {name.lower(): name for name in names}
    close = difflib.get_close_matches(value.lower().replace("_", ""), plain, n=1, cutoff=0.7)
    return f"did you mean {plain[close[0]]}?" if close else ""


def _wrong(faults: list[Fault], path: str, problem: str, hint: str = "") -> Any:
    faults.append(Fault(path, problem, hint))
    return BAD


_READERS: dict[type, Callable[[Any, object, str, list[Fault]], Any]] = {
    Boolean: _read_boolean,
    Integer: _read_integer,
    Fraction: _read_fraction,
    Text: _read_text,
    Condition: _read_condition,
    Choice: _read_choice,
    Duration: _read_duration,
    Size: _read_size,
    Amount: _read_amount,
    TextMap: _read_text_map,
    Free: _read_free,
    ListOf: _read_list,
    Object: _read_object,
}
