"""Every row of the table does what it says, on a span that has nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest

import normalize_world as world
from tracekeeper_sidecar.process.normalize import keys
from tracekeeper_sidecar.process.normalize.dialects import DIALECTS, TELLING
from tracekeeper_sidecar.process.normalize.row import OPERATIONS, SPAN_NAME, Dialect, How, Kind, KindRow, Row
from tracekeeper_spec.normalize import DialectName

ROWS = [(dialect, row) for dialect in DIALECTS for row in dialect.rows]
KINDS = [(dialect, row, value) for dialect in DIALECTS for row in dialect.kinds for value in row.values]

COMES: dict[How, tuple[Any, Any]] = {
    How.TEXT: ("some text", "some text"),
    How.CONTENT: ('{"city": "Lyon"}', '{"city": "Lyon"}'),
    How.PROVIDER: ("az.ai.openai", "azure.ai.openai"),
    How.TOKENS: (17, 17),
    How.NUMBER: (0.5, 0.5),
    How.WHOLE: (64, 64),
    How.DOLLARS: (0.25, 0.25),
    How.SUM: ('{"input": 0.25, "output": 0.5}', 0.75),
    How.SECONDS: (250, 0.25),
    How.SINCE: ('"2025-10-09T08:53:20.250000Z"', 0.25),
    How.LIST: ("stop", ["stop"]),
}


def span_of(dialect: Dialect, row: Row, value: Any) -> dict[str, Any]:
    """A span that has the row's source, and a kind for which the row serves."""
    made: dict[str, Any] = {}
    if row.kinds:
        kind_row = next((each for each in dialect.kinds if each.source != keys.OPERATION), None)
        if kind_row is not None:
            made[kind_row.source] = next(
                text for text, component in kind_row.values.items() if component.kind in row.kinds
            )
        else:
            made[keys.OPERATION] = next(text for text, kind in OPERATIONS.items() if kind in row.kinds)
    if row.member:
        for name in reversed(row.member.split(".")):
            value = {name: value}
        value = json.dumps(value)
    if row.beside:
        made[row.beside] = 1
    if row.source != SPAN_NAME:
        made[row.source] = value
    return made


def told_by(dialect: Dialect) -> dict[str, Any]:
    """A key that alone has spans of the dialect looked into."""
    loud = [
        row for row in dialect.rows if row.source not in dialect.silent and row.source != SPAN_NAME and not row.kinds
    ]
    return {loud[0].source: ""}


@pytest.mark.parametrize(
    ("dialect", "row"), ROWS, ids=[f"{dialect.name}-{row.source}-{row.member}-{row.canonical}" for dialect, row in ROWS]
)
def test_a_row_leads_to_its_canonical_attribute(dialect: Dialect, row: Row) -> None:
    comes, goes = COMES[row.how]
    if row.source == SPAN_NAME:
        goes = "a span"
    before = span_of(dialect, row, comes)
    if row.source in dialect.silent and not row.kinds:
        before |= told_by(dialect)
    elif row.source in dialect.silent and keys.OPERATION in before:
        before |= told_by(dialect)

    after = world.one(before)

    assert after[row.canonical] == goes
    assert after[keys.DIALECT] in (dialect.name, "openinference")
    assert before.items() <= after.items()


@pytest.mark.parametrize(
    ("dialect", "row", "value"), KINDS, ids=[f"{dialect.name}-{row.source}-{value}" for dialect, row, value in KINDS]
)
def test_a_dialects_word_says_the_kind(dialect: Dialect, row: KindRow, value: str) -> None:
    component = row.values[value]
    if row.source == keys.OPERATION:
        after = world.one({keys.OPERATION: value})
        assert after[keys.KIND] == component.kind
        return
    after = world.one({row.source: value.upper()})

    if component.operation:
        assert after[keys.OPERATION] == component.operation
        assert keys.KIND not in after
        assert OPERATIONS[component.operation] == component.kind
    else:
        assert after[keys.KIND] == component.kind
        assert keys.OPERATION not in after


def test_all_kinds_are_known() -> None:
    said = {component.kind for dialect in DIALECTS for row in dialect.kinds for component in row.values.values()}

    # A runner and a hand-off are told by the OpenAI Agents SDK alone, which the receiver takes.
    assert said | {Kind.RUNNER, Kind.HANDOFF} == set(Kind)


def test_a_config_can_name_each_dialect() -> None:
    names = {name.name.lower() for name in DialectName}
    assert {dialect.name for dialect in DIALECTS} == names == set(TELLING)


def test_no_row_is_there_twice() -> None:
    assert len({(dialect.name, row.source, row.member, row.having, row.canonical) for dialect, row in ROWS}) == len(
        ROWS
    )


def test_what_is_silent_alone_changes_nothing() -> None:
    for dialect in DIALECTS:
        for key in dialect.silent:
            assert world.new({key: "some text"}) == {}, key
