"""Filesystem and clock are parameters of the log: no module of it goes around them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tracekeeper_sidecar import log

MODULES = sorted(Path(log.__file__).parent.glob("*.py"))
SEAM = "files.py"
OUTSIDE = {"os", "io", "pathlib", "shutil", "tempfile", "mmap", "fcntl", "time", "datetime", "glob"}
BUILTINS = {"open", "input", "print"}


@pytest.mark.parametrize("module", [path for path in MODULES if path.name != SEAM], ids=lambda path: path.name)
def test_nothing_but_the_seam_touches_files_or_time(module: Path) -> None:
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            assert not OUTSIDE.intersection(alias.name.split(".")[0] for alias in node.names), ast.unparse(node)
        if isinstance(node, ast.ImportFrom):
            assert (node.module or "").split(".")[0] not in OUTSIDE, ast.unparse(node)
            assert not {"SystemFiles", "SystemClock"}.intersection(alias.name for alias in node.names)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in BUILTINS, ast.unparse(node)


def test_the_test_looks_at_the_modules_there_are() -> None:
    assert {"log.py", "writer.py", "reader.py", "recovery.py", "slots.py"} <= {path.name for path in MODULES}
