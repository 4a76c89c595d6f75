"""The version before this one, built from the sources that `scripts/previous.sh` keeps in tests/neighbours."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cluster import paths
from cluster.lock import locked

SOURCES = Path(__file__).parent / "neighbours" / "previous.tar.xz"
BUILD_LIMIT = 550.0
"""Seconds: all modules are compiled, on a machine that may be busy."""


@dataclass(frozen=True, slots=True)
class Previous:
    """A folder with the packages of the version before, compiled."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """For a Python of this checkout, to import those packages instead of this version's."""
        packages = (str(self.folder / name) for name in ("sidecar", "operator", "proto"))
        return {**os.environ, "PYTHONPATH": os.pathsep.join(packages)}

    def package(self, name: str) -> Path:
        """Where a Python with that environment finds a package."""
        command = [sys.executable, "-c", f"import {name}; print({name}.__file__)"]
        found = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60, check=True)
        return Path(found.stdout.strip())


def ensure() -> Previous:
    """Build it into the cache, unless it is there. Raises AssertionError with the compiler's words."""
    python = f"{sys.implementation.cache_tag}".encode()
    digest = hashlib.sha256(SOURCES.read_bytes() + python).hexdigest()[:16]
    done = paths.cache() / "previous" / digest
    done.parent.mkdir(parents=True, exist_ok=True)
    with locked(done.parent, BUILD_LIMIT, "building the version before"):
        if not done.exists():
            _build_into(done)
    return Previous(done)


def _build_into(done: Path) -> None:
    with tempfile.TemporaryDirectory(dir=done.parent) as folder:
        with tarfile.open(SOURCES) as archive:
            archive.extractall(folder, filter="data")
        sources = Path(folder) / "previous"
        command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
        built = subprocess.run(command, cwd=sources, capture_output=True, text=True, timeout=BUILD_LIMIT, check=False)
        assert built.returncode == 0, (built.stdout + built.stderr)[-4000:]
        sources.rename(done)
