"""Every reason that `doctor` and `explain` give is on the page about them."""

from __future__ import annotations

import argparse
import ast
from pathlib import Path

from tracekeeper_cli.__main__ import _parser

ROOT = Path(__file__).resolve().parents[3]
PLACE = {"Finding": 2, "Cause": 0}
"""Which argument is the reason."""


def reasons() -> set[str]:
    found = set()
    for file in (ROOT / "operator/tracekeeper_cli").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in PLACE:
                argument = node.args[PLACE[node.func.id]]
                if isinstance(argument, ast.Constant):
                    found.add(str(argument.value))
    return found


def test_every_reason_is_on_the_page() -> None:
    page = (ROOT / "docs/reference/cli.md").read_text()
    found = reasons()
    assert len(found) > 25
    assert [reason for reason in sorted(found) if f"`{reason}`" not in page] == []


def test_every_command_is_on_the_page() -> None:
    page = (ROOT / "docs/reference/cli.md").read_text()
    (commands,) = (each for each in _parser()._actions if isinstance(each, argparse._SubParsersAction))
    assert [name for name in commands.choices if f"| `{name}" not in page] == []
