"""The parser against anything: it never raises, and what it takes, the CRD's schema takes, too."""

from __future__ import annotations

import copy
from typing import Any

import jsonschema
import yaml
from hypothesis import given
from hypothesis import strategies as st

from spec_cases import FULL, SCHEDULED, changed, manifest
from spec_crd import crd_schema
from spec_faults import FAULTY
from spec_watch_cases import WATCHED
from tracekeeper_spec import schema
from tracekeeper_spec.fields import SPEC
from tracekeeper_spec.parse import parse_manifest, parse_spec
from tracekeeper_spec.units import format_duration, format_quantity, parse_duration, parse_quantity

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just(10**3000)
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(SCALARS.filter(bool), inner, max_size=4)
)
WORDS = [
    "a",
    "OTLP",
    "GRPC",
    "10s",
    "1Gi",
    "http://a:1",
    "Bearer",
    "In",
    "name",
    "type",
    "otlp",
    "backends",
    "delivery",
]


def paths(value: object, at: str = "") -> list[str]:
    """The path of everything inside `value`."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = [(f"{at}.{key}".lstrip("."), item) for key, item in items]
    return [path for path, _ in found] + [deep for path, item in found for deep in paths(item, path)]


FULL_ONES = [FULL, WATCHED]
PLACES = [(full, path) for full in FULL_ONES for path in paths(full) if "kubernetes" not in path]


def valid(node: schema.Node) -> st.SearchStrategy[Any]:
    """Values that `node` declares to be right."""
    match node:
        case schema.Boolean():
            return st.booleans()
        case schema.Integer(minimum=low, maximum=high):
            return st.integers(low, high)
        case schema.Fraction(minimum=least, maximum=most):
            return st.floats(least, most)
        case schema.Condition():
            return st.sampled_from(["span.is_root", "span.duration > 1s", "span.name"])
        case schema.Choice(values=values):
            return st.sampled_from([item.value for item in values])
        case schema.Duration(minimum=low, maximum=high):
            return st.integers(round(parse_duration(low) * 1000), round(parse_duration(high) * 1000)).map(
                lambda milliseconds: format_duration(milliseconds / 1000)
            )
        case schema.Size(minimum=low, maximum=high):
            return st.integers(parse_quantity(low), parse_quantity(high)).map(format_quantity)
        case schema.Amount():
            return st.sampled_from(["1", "500m", 3, "0.5", "1Gi", "1e3", "12M"])
        case schema.Text(max_length=longest):
            return st.sampled_from(["a", "b", "http://a:1", "https://b:2", "09:30", "Etc/UTC"]).filter(
                lambda text: len(text) <= longest
            )
        case schema.TextMap(key=key, value=value, max_items=most):
            return st.dictionaries(valid(key), valid(value), max_size=min(most, 3))
        case schema.Free():
            return st.dictionaries(st.sampled_from(["a", "b"]), st.none() | st.integers(0, 9) | st.lists(st.text("ab")))
        case schema.ListOf(item=item, min_items=least, max_items=most):
            return st.lists(valid(item), min_size=least, max_size=min(most, 3))
        case schema.Object(fields=fields, union=union):
            members = union.members.values() if union else ()
            required = {field.name: valid(field.node) for field in fields if field.required or field.name in members}
            optional = {field.name: valid(field.node) for field in fields if field.name not in required}
            return st.fixed_dictionaries(required, optional=optional).map(lambda found: fitting(found, union))


def fitting(found: dict[str, Any], union: schema.Union | None) -> dict[str, Any]:
    """Without the members that belong to another type than it has."""
    if union is None:
        return found
    others = {member for kind, member in union.members.items() if kind != found[union.tag]}
    return {name: value for name, value in found.items() if name not in others}


@given(ANYTHING)
def test_no_object_makes_it_raise(obj: object) -> None:
    config, faults = parse_manifest(obj)
    assert config is None and faults
    parse_manifest(manifest(obj))
    assert all(str(fault) for fault in parse_spec(obj)[1])


VALUES = ANYTHING | st.sampled_from(WORDS)


@given(st.sampled_from(FULL_ONES), st.lists(st.tuples(st.sampled_from(PLACES), VALUES), min_size=1, max_size=3))
def test_no_change_of_a_config_makes_it_raise(
    full: dict[str, Any], changes: list[tuple[tuple[dict[str, Any], str], object]]
) -> None:
    spec: dict[str, Any] = full
    for (_, path), value in changes:
        try:
            spec = changed(spec, path, value)
        except (KeyError, IndexError, TypeError):
            continue  # it is a place of the other one, or an earlier change took it away
    config, faults = parse_manifest(manifest(spec))
    assert (config is None) == bool(faults)
    assert all(str(fault).startswith(fault.path) for fault in faults)


def test_a_number_without_a_decimal_text_is_a_fault_like_others() -> None:
    for full, path in PLACES:
        _, faults = parse_manifest(manifest(changed(full, path, 10**6000)))
        assert faults and all(len(str(fault)) < 300 for fault in faults)


SERVER = jsonschema.Draft202012Validator(crd_schema())


@given(valid(SPEC))
def test_what_the_parser_takes_the_crd_takes(spec: dict[str, Any]) -> None:
    _, faults = parse_spec(spec)
    if not faults:
        SERVER.validate(manifest(spec))


def test_the_full_configs_have_every_field_and_the_crd_takes_them() -> None:
    for full in (*FULL_ONES, SCHEDULED):
        SERVER.validate(manifest(full))
        assert parse_spec(full)[1] == []
    every = [*(path for _, path in PLACES), *paths(SCHEDULED)]
    written = {".".join(step for step in path.split(".") if not step.isdigit()) for path in every}
    assert declared(SPEC) <= written


def declared(node: schema.Node, at: str = "") -> set[str]:
    if isinstance(node, schema.ListOf):
        return declared(node.item, at)
    if not isinstance(node, schema.Object):
        return set()
    here = {f"{at}{field.name}" for field in node.fields}
    return here.union(*(declared(field.node, f"{at}{field.name}.") for field in node.fields))


def test_most_valid_looking_configs_are_indeed_taken() -> None:
    """Else the test above would compare nothing."""
    taken = 0

    @given(valid(SPEC))
    def count(spec: dict[str, Any]) -> None:
        nonlocal taken
        taken += not parse_spec(spec)[1]

    count()
    assert taken >= 10


def test_parsing_changes_nothing() -> None:
    before = copy.deepcopy(FULL)
    for case in FAULTY:
        parse_manifest(manifest(case.spec))
    assert before == FULL


def test_a_config_reads_the_same_after_a_journey_through_yaml() -> None:
    assert parse_spec(yaml.safe_load(yaml.safe_dump(FULL))) == parse_spec(FULL)
