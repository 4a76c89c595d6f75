"""`make demo-local` as a person runs it: it ends well, in time, and every count it shows is equal."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(90)
def test_the_local_demo_ends_with_equal_counts(tmp_path: Path) -> None:
    environment = {**os.environ, "DEMO_RUNS": "130", "TMPDIR": str(tmp_path)}
    command = [sys.executable, str(ROOT / "scripts" / "demo_local.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=80, env=environment, check=False)
    shown = done.stdout
    assert done.returncode == 0, shown + done.stderr
    assert "circuit Closed → Open" in shown
    assert re.search(r"circuit \w+ → Closed", shown)
    assert re.search(r"\b520 +520 +0 +0\n", shown), shown
    for name in ("backend-a", "backend-b"):
        assert re.search(rf"{name} +520 +520 +0 +0\n", shown), shown
        assert re.search(rf"arrived in {name} +520 +0 ", shown), shown
    assert "└─ chat gpt-4o" in shown
    assert "✓ equal" in shown
    assert list(tmp_path.iterdir()) == []  # nothing is left behind


def test_a_sidecar_that_cannot_start_is_explained(tmp_path: Path) -> None:
    """A broken interpreter path stands for any early death: the demo shows the process's own words."""
    broken = tmp_path / "tracekeeper_sidecar"
    broken.mkdir()
    (broken / "__init__.py").touch()
    (broken / "__main__.py").write_text("raise SystemExit('no such thing as a sidecar')\n")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, str(ROOT / "scripts" / "demo_local.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, env=environment, check=False)
    assert done.returncode == 1
    assert "sidecar ended with exit code 1" in done.stdout
    assert "no such thing as a sidecar" in done.stdout
