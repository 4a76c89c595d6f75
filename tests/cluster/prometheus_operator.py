"""The Prometheus operator and its config reloader, built from their Go module, once for each content of monitoring/.

    scripts/cluster.sh monitoring      builds them, and prints their folder; `make setup` does it

Kept in $TRACEKEEPER_CACHE like the cluster's programs: some 5 minutes on two cores the first time, nothing after that.
The CRDs, which are part of the module, are kept beside them.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

from cluster import golang, paths
from cluster.commands import run
from cluster.errors import ClusterError
from cluster.lock import locked

FOLDER = paths.HERE / "monitoring"
MODULE = "github.com/prometheus-operator/prometheus-operator"
PROGRAMS = ("operator", "prometheus-config-reloader")
CRDS = "crds"
LIMIT = 3600.0


def required(name: str) -> str:
    """What monitoring/go.mod says of a module, or of `go`: e.g. `0.85.0`. Raises ClusterError."""
    found = re.search(rf"^(?:require )?{re.escape(name)} v?(\S+)$", (FOLDER / "go.mod").read_text(), re.MULTILINE)
    if found is None:
        raise ClusterError(f"{FOLDER / 'go.mod'} says nothing of {name}")
    return found[1]


def link_flags() -> str:
    """No debug information, and the version that the operator writes into its log and its labels."""
    return f"-s -w -X github.com/prometheus/common/version.Version={required(MODULE)}"


def home() -> Path:
    """The folder of the programs and of `crds`: its name is the hash of all that goes into them."""
    digest = hashlib.sha256(link_flags().encode())
    for file in sorted(FOLDER.iterdir()):
        digest.update(f"{file.name}\0".encode() + file.read_bytes() + b"\0")
    return paths.cache() / "tools" / f"prometheus-operator-{digest.hexdigest()[:16]}"


def ensure() -> Path:
    """The folder; builds what is missing, which takes minutes and needs the Go module proxy.

    Raises ClusterError with the compiler's words.
    """
    done = home()
    if not done.exists():
        done.parent.mkdir(parents=True, exist_ok=True)
        with locked(done.parent, LIMIT, "building the Prometheus operator"):
            if not done.exists():
                _build_into(done)
    return done


def _build_into(done: Path) -> None:
    go = golang.ensure(required("go"))
    environment = {
        "PATH": f"{go.parent}:{os.environ.get('PATH', '')}",
        "CGO_ENABLED": "0",  # they run in images that hold nothing else
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "GOFLAGS": "-mod=readonly -buildvcs=false",
    }
    print(f"Building {MODULE} {required(MODULE)} into {done}: about 5 minutes on 2 cores.", file=sys.stderr)
    with tempfile.TemporaryDirectory(dir=done.parent) as temporary:
        partial = Path(temporary) / "done"
        partial.mkdir()
        build = [str(go), "build", "-trimpath", "-ldflags", link_flags(), "-o", f"{partial}/"]
        build += [f"{MODULE}/cmd/{name}" for name in PROGRAMS]
        run(build, timeout=LIMIT, env=environment, cwd=str(FOLDER))
        listed = run([str(go), "list", "-m", "-f", "{{.Dir}}", MODULE], timeout=LIMIT, env=environment, cwd=str(FOLDER))
        source = Path(listed.stdout.strip()) / "example/prometheus-operator-crd"
        shutil.copytree(source, partial / CRDS, copy_function=shutil.copyfile)
        (partial / CRDS).chmod(0o755)  # the module cache is read-only
        partial.rename(done)
