"""The OpenTelemetry Collector, built from Go modules by its own builder, once for each content of its manifest.

    python bench/collector_build.py      prints the path of the program; builds it first when the cache has none

Kept in $TRACEKEEPER_CACHE (default ~/.cache/tracekeeper), like the test cluster's programs: some 5 minutes on two cores
the first time, nothing after that. Tests call `ensure()`.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from cluster import golang, paths
from cluster.commands import run
from cluster.errors import ClusterError
from cluster.lock import locked

MANIFEST = Path(__file__).resolve().parent / "collector_manifest.yaml"
BUILDER = "go.opentelemetry.io/collector/cmd/builder"
NEEDS_GO = "1.26.0"
"""What the builder's own go.mod asks for."""
LIMIT = 3600.0


def version() -> str:
    """The Collector's version in the manifest, e.g. `0.161.0`. Raises ClusterError when its modules differ from it."""
    text = MANIFEST.read_text()
    found = re.search(r"^  version: (\S+)$", text, re.MULTILINE)
    modules = set(re.findall(r"gomod: \S+ v(\S+)$", text, re.MULTILINE))
    if found is None or modules != {found[1]}:
        raise ClusterError(f"{MANIFEST} names more than one version: {sorted(modules)}")
    return found[1]


def program() -> Path:
    """Where the program is, or will be: its folder is named after all that goes into it."""
    digest = hashlib.sha256(f"{BUILDER}@{version()}\0{NEEDS_GO}\0".encode() + MANIFEST.read_bytes()).hexdigest()
    return paths.cache() / "tools" / f"collector-{digest[:16]}" / "otelcol"


def ensure() -> Path:
    """The program's path; builds it when it is missing, which takes minutes and needs the Go module proxy.

    Raises ClusterError with the compiler's words.
    """
    done = program()
    if not done.exists():
        done.parent.mkdir(parents=True, exist_ok=True)
        with locked(done.parent, LIMIT, "building the Collector"):
            if not done.exists():
                _build_into(done)
    return done


def _build_into(done: Path) -> None:
    go = golang.ensure(NEEDS_GO)
    work = done.parent / f"building.{os.getpid()}"
    work.mkdir()
    environment = {
        "PATH": f"{go.parent}:{os.environ.get('PATH', '')}",
        "GOBIN": str(work),
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "GOFLAGS": "-buildvcs=false",
    }
    try:
        print(f"Building the Collector {version()} into {done.parent}: about 5 minutes on 2 cores.", file=sys.stderr)
        run([str(go), "install", f"{BUILDER}@v{version()}"], timeout=LIMIT, env=environment)
        manifest = work / "manifest.yaml"
        output = f"dist:\n  output_path: {work / 'source'}\n"
        manifest.write_text(MANIFEST.read_text().replace("dist:\n", output, 1))
        sources = [str(work / "builder"), "--config", str(manifest), "--skip-compilation"]
        run(sources, timeout=LIMIT, env=environment)
        build = [str(go), "build", "-trimpath", "-ldflags", "-s -w", "-o", str(work / "otelcol"), "."]
        run(build, timeout=LIMIT, env=environment, cwd=str(work / "source"))
        (work / "otelcol").replace(done)
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    print(ensure())
