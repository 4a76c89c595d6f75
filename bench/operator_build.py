"""The OpenTelemetry operator, built from its Go module, once for each content of operator_peer/.

    python bench/operator_build.py      prints the path of the program; builds it first when the cache has none

Kept in $TRACEKEEPER_CACHE (default ~/.cache/tracekeeper), like the test cluster's programs: some 10 minutes on two
cores the first time, nothing after that. Its manifests, which are part of the module, are kept beside it.
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

FOLDER = Path(__file__).resolve().parent / "operator_peer"
MODULE = "github.com/open-telemetry/opentelemetry-operator"
MANIFESTS = "config"
"""The module's folder of CRDs and webhook configurations."""
LIMIT = 3600.0


def required(name: str) -> str:
    """What operator_peer/go.mod says of a module, or of `go`: e.g. `0.148.0`. Raises ClusterError."""
    found = re.search(rf"^(?:require )?{re.escape(name)} v?(\S+)$", (FOLDER / "go.mod").read_text(), re.MULTILINE)
    if found is None:
        raise ClusterError(f"{FOLDER / 'go.mod'} says nothing of {name}")
    return found[1]


def link_flags() -> str:
    """No debug information, and the versions that its releases are stamped with: without them it takes itself for
    version 0.0.0, and upgrades what it finds."""
    stamps = " ".join(f"-X {MODULE}/internal/version.{name}={required(MODULE)}" for name in ("version", "otelCol"))
    return f"-s -w {stamps}"


def home() -> Path:
    """The folder of the program `manager` and of `config`: its name is the hash of all that goes into them."""
    digest = hashlib.sha256(link_flags().encode())
    for file in sorted(FOLDER.iterdir()):
        digest.update(f"{file.name}\0".encode() + file.read_bytes() + b"\0")
    return paths.cache() / "tools" / f"operator-{digest.hexdigest()[:16]}"


def built() -> bool:
    """Whether nothing is left to do."""
    return (home() / "manager").exists()


def ensure() -> Path:
    """The folder; builds what is missing, which takes minutes and needs the Go module proxy.

    Raises ClusterError with the compiler's words.
    """
    done = home()
    if not built():
        done.mkdir(parents=True, exist_ok=True)
        with locked(done, LIMIT, "building the OpenTelemetry operator"):
            if not built():
                _build_into(done)
    return done


def _build_into(done: Path) -> None:
    go = golang.ensure(required("go"))
    environment = {
        "PATH": f"{go.parent}:{os.environ.get('PATH', '')}",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "GOFLAGS": "-mod=readonly -buildvcs=false",
    }
    print(f"Building {MODULE} {required(MODULE)} into {done}: about 10 minutes on 2 cores.", file=sys.stderr)
    partial = done / f"manager.{os.getpid()}"
    try:
        build = [str(go), "build", "-trimpath", "-ldflags", link_flags(), "-o", str(partial), MODULE]
        run(build, timeout=LIMIT, env=environment, cwd=str(FOLDER))
        listed = run([str(go), "list", "-m", "-f", "{{.Dir}}", MODULE], timeout=LIMIT, env=environment, cwd=str(FOLDER))
        shutil.rmtree(done / MANIFESTS, ignore_errors=True)
        shutil.copytree(Path(listed.stdout.strip()) / MANIFESTS, done / MANIFESTS, copy_function=shutil.copyfile)
        partial.replace(done / "manager")
    finally:
        partial.unlink(missing_ok=True)


if __name__ == "__main__":
    print(ensure() / "manager")
