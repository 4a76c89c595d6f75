"""The Prometheus operator, its config reloader and a Prometheus for it, built from their Go modules in monitoring/.

    scripts/cluster.sh monitoring      builds them, and prints their folder; `make setup` does it

Debian's Prometheus cannot stand in: it is built without the discovery of pods. Ours knows only that and DNS, of some
two dozen ways of discovery, because the others would take longer to compile than all the rest. It is a newer one, too:
so rules are tried on the oldest that we support, in Debian, and on this one.

Kept in $TRACEKEEPER_CACHE like the cluster's programs, once for each content of monitoring/: some 5 minutes on two
cores the first time, nothing after that. The CRDs, part of the operator's module, are kept beside the programs.
"""

from __future__ import annotations

import hashlib
import json
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
OPERATOR, PROMETHEUS = FOLDER / "operator", FOLDER / "prometheus"
OPERATOR_MODULE = "github.com/prometheus-operator/prometheus-operator"
PROMETHEUS_MODULE = "github.com/prometheus/prometheus"
DISCOVERIES = ("dns", "kubernetes")
CRDS = "crds"
LIMIT = 3600.0
RECIPE = 1
"""To be raised when what is done here changes."""


def required(folder: Path, name: str) -> str:
    """What the go.mod of a folder says of a module, or of `go`: e.g. `0.85.0`. Raises ClusterError."""
    found = re.search(rf"^\s*(?:require )?{re.escape(name)} v?(\S+)$", (folder / "go.mod").read_text(), re.MULTILINE)
    if found is None:
        raise ClusterError(f"{folder / 'go.mod'} says nothing of {name}")
    return found[1]


def prometheus_version() -> str:
    """Prometheus as its makers count, e.g. `3.7.0`, which is 0.307.0 as a module."""
    _, minor, patch = required(PROMETHEUS, PROMETHEUS_MODULE).split(".")
    return f"{int(minor) // 100}.{int(minor) % 100}.{patch}"


def home() -> Path:
    """The folder of the three programs and of `crds`: its name is the hash of all that goes into them."""
    digest = hashlib.sha256(json.dumps([DISCOVERIES, RECIPE]).encode())
    for file in sorted(path for path in FOLDER.rglob("*") if path.is_file()):
        digest.update(f"{file.relative_to(FOLDER)}\0".encode() + file.read_bytes() + b"\0")
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
    print(f"Building the Prometheus operator and Prometheus into {done}: about 5 minutes on 2 cores.", file=sys.stderr)
    with tempfile.TemporaryDirectory(dir=done.parent) as temporary:
        partial = Path(temporary) / "done"
        partial.mkdir()
        commands = [f"{OPERATOR_MODULE}/cmd/{name}" for name in ("operator", "prometheus-config-reloader")]
        _build(OPERATOR, f"{partial}/", required(OPERATOR, OPERATOR_MODULE), *commands)
        crds = _source(OPERATOR, OPERATOR_MODULE) / "example/prometheus-operator-crd"
        shutil.copytree(crds, partial / CRDS, copy_function=shutil.copyfile)
        (partial / CRDS).chmod(0o755)  # the module cache is read-only
        overlay = ["-overlay", str(_overlay(Path(temporary)))]
        _build(PROMETHEUS, f"{partial}/prometheus", prometheus_version(), *overlay, "./server")
        partial.rename(done)


def _overlay(folder: Path) -> Path:
    """What makes the compiler see a package `server` beside go.mod: Prometheus's own, but for the discoveries."""
    main = (_source(PROMETHEUS, PROMETHEUS_MODULE) / "cmd/prometheus/main.go").read_text()
    plugins = f'_ "{PROMETHEUS_MODULE}/plugins"'
    if main.count(plugins) != 1:
        raise ClusterError(f"{PROMETHEUS_MODULE} takes in its discoveries otherwise than before: see _overlay")
    wanted = "\n\t".join(f'_ "{PROMETHEUS_MODULE}/discovery/{name}"' for name in DISCOVERIES)
    (folder / "main.go").write_text(main.replace(plugins, wanted))
    overlay = folder / "overlay.json"
    overlay.write_text(json.dumps({"Replace": {str(PROMETHEUS / "server/main.go"): str(folder / "main.go")}}))
    return overlay


def _build(folder: Path, output: str, version: str, *words: str) -> None:
    """Without debug information; the version is what the programs say of themselves."""
    flags = f"-s -w -X github.com/prometheus/common/version.Version={version}"
    _go(folder, "build", "-ldflags", flags, "-o", output, *words)


def _source(folder: Path, module: str) -> Path:
    # Not `go list`: where nothing has been built yet it knows of no folder, and says nothing.
    found: dict[str, str] = json.loads(_go(folder, "mod", "download", "-json", module))
    return Path(found["Dir"])


def _go(folder: Path, *words: str) -> str:
    go = golang.ensure(required(folder, "go"))
    environment = {
        "PATH": f"{go.parent}:{os.environ.get('PATH', '')}",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "GOFLAGS": "-mod=readonly -buildvcs=false",
    }
    return run([str(go), *words], timeout=LIMIT, env=environment, cwd=str(folder)).stdout
