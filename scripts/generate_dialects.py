"""Makes the tables in docs/reference/processors/normalize.md from the step's own table of dialects.

The page is written by hand but for what stands between the two marks.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tracekeeper_sidecar.process.normalize.dialects import DIALECTS
from tracekeeper_sidecar.process.normalize.row import SPAN_NAME, Dialect, KindRow, MessageRow, Row
from tracekeeper_sidecar.process.normalize.values import PROVIDERS
from tracekeeper_spec.normalize import DialectName

PAGE = Path(__file__).resolve().parent.parent / "docs/reference/processors/normalize.md"
BEGIN = "<!-- From here to the next such mark `make docs` writes. -->\n"
END = "<!-- To here. -->\n"


def render() -> str:
    """The page's text. Raises ValueError when its marks are not there, once each."""
    page = PAGE.read_text(encoding="utf-8")
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        raise ValueError(f"{PAGE} must have both marks, once each")
    before, _, rest = page.partition(BEGIN)
    return before + BEGIN + "\n".join(_tables()) + END + rest.partition(END)[2]


def _tables() -> Iterator[str]:
    for dialect in DIALECTS:
        yield from ("", f"### `{DialectName[dialect.name.upper()]}`: {dialect.title}", "")
        yield from (f"`tracekeeper.dialect` is `{dialect.name}`.", "")
        yield from _about(dialect)
    yield from ("", "### Providers that have another name now", "", "| as it came | canonical |", "|---|---|")
    yield from (f"| `{old}` | `{new}` |" for old, new in PROVIDERS.items())
    yield ""


def _about(dialect: Dialect) -> Iterator[str]:
    if not (dialect.rows or dialect.kinds or dialect.messages):
        yield "Its receiver writes the canonical names: see [what it makes of spans](../openai-ingest.md#attributes)."
        return
    if dialect.scopes or dialect.marks:
        told = [f"scopes `{scope}…`" for scope in dialect.scopes]
        told += [f"`{mark}…`" if mark.endswith(".") else f"`{mark}`" for mark in dialect.marks]
        yield f"Told, besides by the attributes below, by {', '.join(told)}."
    if dialect.exclusive:
        providers = ", ".join(f"`{name}`" for name in dialect.exclusive)
        unless = ", ".join(f"`{key}`" for key in dialect.inclusive_marks)
        but = f", unless there is {unless}" if unless else ""
        yield f"Tokens of input are without the cached ones for {providers}{but}."
    if dialect.silent:
        yield "Only on spans that something else has told: " + ", ".join(f"`{key}`" for key in dialect.silent) + "."
    yield from ("", "| canonical | from | how |", "|---|---|---|")
    for row in dialect.rows:
        yield _row(row)
    for message in dialect.messages:
        yield _message(message)
    for kind in dialect.kinds:
        yield from _kinds(kind)


def _row(row: Row) -> str:
    source = row.source if row.source == SPAN_NAME else f"`{row.source}`"
    if row.plus:
        source += f" + `{row.plus}`"
    how = [str(row.how)]
    if row.member:
        how.insert(0, f"member `{row.member}` of its JSON")
    if row.having:
        how.append(f"where the JSON has `{row.having}`")
    if row.exclusive:
        how.append("exclusive")
    if row.beside:
        how.append(f"where there is `{row.beside}`")
    if row.kinds:
        how.append(f"on spans of kind {' or '.join(row.kinds)}")
    return f"| `{row.canonical}` | {source} | {'; '.join(how)} |"


def _message(row: MessageRow) -> str:
    source = row.source if not row.source.startswith("event ") else row.source.removeprefix("event ")
    source = f"`{source}…`" if source.endswith(".") else f"`{source}`"
    if row.source.startswith("event "):
        source = f"event {source}"
    return f"| `{row.canonical}` | {source} | {row.form}; {row.role} where no role is said |"


def _kinds(row: KindRow) -> Iterator[str]:
    for value, component in row.values.items():
        canonical = f"`gen_ai.operation.name` = `{component.operation}`"
        if not component.operation:
            canonical = f"`tracekeeper.kind` = `{component.kind}`"
        yield f"| {canonical} | `{row.source}` = `{value}` | in any case of letters; rank {row.rank} |"
