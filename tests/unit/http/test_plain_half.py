"""The HTTP server uncompiled: the same tests, in a process where our modules are loaded from their .py files alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PLAIN = """
import importlib.machinery, sys

class Sources:
    "Finds the modules of the server as plain Python, whatever lies compiled beside them."

    @staticmethod
    def find_spec(name, path=None, target=None):
        plain = name.startswith("tracekeeper_sidecar.http") or name.startswith("tracekeeper_sidecar.receive.otlp_http")
        if not plain and name != "tracekeeper_sidecar.receive.upload":
            return None
        loaders = (importlib.machinery.SourceFileLoader, [".py"])
        for folder in path or ():
            if spec := importlib.machinery.FileFinder(folder, loaders).find_spec(name):
                return spec

sys.meta_path.insert(0, Sources)
from tracekeeper_sidecar.http import connection
from tracekeeper_sidecar.receive import upload
assert connection.__file__.endswith(".py") and upload.__file__.endswith(".py")
import pytest
sys.exit(pytest.main(["-q", "-x", "-p", "no:cacheprovider", *sys.argv[1:]]))
"""
TESTS = (
    "tests/unit/http/test_head.py",
    "tests/unit/http/test_answer.py",
    "tests/unit/receive/test_upload.py",
    "tests/contract/test_http_connections.py",
    "tests/contract/test_http_smuggling.py",
)


@pytest.mark.timeout(250)
def test_the_same_tests_pass_uncompiled() -> None:
    command = [sys.executable, "-c", PLAIN, *TESTS]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
