"""What must hold between the fields of `processors[].attributes`, and what is worked out; see `checks`."""

from __future__ import annotations

import math
from collections.abc import Iterator

from tracekeeper_spec.attributes import Attributes, Move, PodField, Set, Target, ValueType
from tracekeeper_spec.schema import Finding, Values
from tracekeeper_spec.units import show

SOURCES = ("value", "fromPod", "fromLabel", "fromAnnotation", "fromContext")
_SECRET_HEADERS = ("authorization", "cookie", "proxy-authorization")
_PLACES = (("copy", "to"), ("rename", "to"))


def make_set(
    key: str,
    value: str | None,
    value_type: ValueType,
    from_pod: PodField | None,
    from_label: str | None,
    from_annotation: str | None,
    from_context: str | None,
    if_missing: bool,
) -> Set:
    header = from_context.lower() if from_context is not None else None
    return Set(key, value, value_type, from_pod, from_label, from_annotation, header, if_missing)


def make_attributes(
    target: Target,
    match: str | None,
    copy: tuple[Move, ...],
    rename: tuple[Move, ...],
    delete: tuple[str, ...],
    set: tuple[Set, ...],
) -> Attributes:
    return Attributes(target, match or "", copy, rename, delete, set)


def one_source(values: Values) -> Iterator[Finding]:
    names = {
        "value": "value",
        **{f"from{end}": f"from_{end.lower()}" for end in ("Pod", "Label", "Annotation", "Context")},
    }
    if any(attribute not in values for attribute in names.values()):
        return  # One has a fault of its own.
    given = [name for name, attribute in names.items() if values[attribute] is not None]
    if not given:
        yield "value", "is required", f"or write one of {', '.join(SOURCES[1:])}"
    for name in given[1:]:
        yield name, f"does not go with {given[0]}", "a value comes from one place: remove one of them"


def value_suits_type(values: Values) -> Iterator[Finding]:
    kind, value = values.get("value_type"), values.get("value")
    if kind in (None, ValueType.TEXT) or "value" not in values:
        return
    if value is None:
        yield "valueType", "goes with value alone", "what comes from elsewhere is a text: remove it"
    elif read_value(kind, value) is None:
        example = {ValueType.INTEGER: "200", ValueType.DECIMAL: "0.5", ValueType.BOOLEAN: "true or false"}[kind]
        yield "value", f"must be a value of the type {kind}, not {show(value)}", f"such as {example}"


def read_value(kind: ValueType, text: str) -> str | int | float | bool | None:
    """What a text means as a value of this type; None where it is none."""
    try:
        match kind:
            case ValueType.TEXT:
                return text
            case ValueType.BOOLEAN:
                return {"true": True, "false": False}.get(text)
            case ValueType.INTEGER:
                number = int(text)
                return number if -(2**63) <= number < 2**63 else None
            case ValueType.DECIMAL:
                decimal = float(text)
                return decimal if math.isfinite(decimal) else None
    except ValueError:
        return None


def header_is_no_secret(values: Values) -> Iterator[Finding]:
    name = values.get("from_context")
    if isinstance(name, str) and name.lower() in _SECRET_HEADERS:
        yield "fromContext", f"must not be {name}, which holds a credential", "spans are read by many"


def keys_are_clear(values: Values) -> Iterator[Finding]:
    """No key is written twice, or deleted and written, or renamed twice: each would depend on an order that nobody
    sees."""
    written: dict[str, str] = {}
    for field, _ in _PLACES:
        for index, move in enumerate(values.get(field) or ()):
            path = f"{field}[{index}]"
            if move.from_ == move.to:
                yield f"{path}.to", "is the same as from", "remove the entry"
            if (first := written.setdefault(move.to, path)) != path:
                yield f"{path}.to", f"{show(move.to)} is written by {first} already", "remove one of them"
    for index, each in enumerate(values.get("set") or ()):
        path = f"set[{index}]"
        first = written.setdefault(each.key, path)
        if first != path and not (each.if_missing and not first.startswith("set")):
            yield (
                f"{path}.key",
                f"{show(each.key)} is written by {first} already",
                "remove one of them, or set ifMissing",
            )
    yield from _gone_once(values, written)


def _gone_once(values: Values, written: dict[str, str]) -> Iterator[Finding]:
    gone: dict[str, str] = {}
    for index, move in enumerate(values.get("rename") or ()):
        path = f"rename[{index}]"
        if (first := gone.setdefault(move.from_, path)) != path:
            yield f"{path}.from", f"{show(move.from_)} is renamed by {first} already", "write a copy for the other name"
    for index, key in enumerate(values.get("delete") or ()):
        path = f"delete[{index}]"
        if (first := gone.setdefault(key, path)) != path:
            what = "renamed" if first.startswith("rename") else "deleted"
            yield path, f"{show(key)} is {what} by {first} already", "remove one of them"
        if key in written:
            yield path, f"{show(key)} is written by {written[key]}", "remove one of them"


def does_something(values: Values) -> Iterator[Finding]:
    names = ("copy", "rename", "delete", "set")
    if all(name in values for name in names) and not any(values[name] for name in names):
        yield "set", "is required", "or write copy, rename or delete"


def match_suits_target(values: Values) -> Iterator[Finding]:
    if values.get("target") is not Target.RESOURCE or not values.get("match"):
        return
    from tracekeeper_spec.condition import compile_condition  # noqa: PLC0415 - as in walk
    from tracekeeper_spec.condition.names import Place  # noqa: PLC0415

    if any(slot.place is not Place.RESOURCE_ATTRIBUTE for slot in compile_condition(values["match"]).slots):
        hint = "ask for resource.attributes alone, or write target: Span"
        yield "match", "speaks of a span, and target is Resource, which many spans share", hint
